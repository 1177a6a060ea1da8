"""Run one node with several cameras for a long time, and measure whether its memory, threads or open files grow.

The cameras are one clip that is played at its own speed, each as a file of its own; the broker is a real one. The slope
of the memory is that of a straight line through the means of equal parts of the time after the warm-up, with its 95 %
interval: the parts are long, so that what one of them has by chance tells little of the next.
"""

import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy import stats
from tqdm import tqdm

from benchmarks.measuring.bars import Bar, at_most
from benchmarks.measuring.daemon_run import MeasuredDaemon, SiteCamera, start_daemon
from benchmarks.measuring.machine import record_head
from benchmarks.measuring.records import record_folder, write_record
from edge_runtime.contract.errors import ConfigError, StreamError
from edge_runtime.contract.script import SAMPLE_CLIP, ScriptParser, run

ROOT = Path(__file__).resolve().parent.parent
_MODEL = ROOT / "edge_runtime/models/osnet_x0_25.onnx"
_SIZE, _FPS = (384, 288), 5  # width and height: HOG follows the people of eight such cameras on two cores
_EVERY_S = 2.0
_WARM_UP_SHARE = 0.2
_PARTS = 12
_DAY_S = 86_400
_SPARE_S = 120.0


@dataclass(frozen=True)
class Sizes:
    """What the process holds, so many seconds after the start of the soak."""

    at_s: float
    resident_mib: float
    threads: int
    open_files: int


@dataclass(frozen=True)
class Slope:
    """Growth per day, with its 95 % interval."""

    per_day: float
    low: float
    high: float


def main(argv: list[str] | None = None) -> int:
    """Print the figures and write the record. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    if arguments.minutes <= 0 or arguments.cameras < 1:
        raise ConfigError("expected --minutes above 0 and --cameras of at least 1; give larger numbers")
    seconds = 60 * arguments.minutes
    with tempfile.TemporaryDirectory() as name:
        clip = Path(name) / "soak.avi"
        play_again_and_again(arguments.clip, clip, seconds=seconds + _SPARE_S)
        cameras = [SiteCamera(f"camera-{number}", clip, max_fps=_FPS) for number in range(arguments.cameras)]
        with start_daemon(ROOT, cameras, model=_MODEL, detector=arguments.detector) as daemon:
            sizes = _watch(daemon, seconds)
    steady = [one for one in sizes if one.at_s >= _WARM_UP_SHARE * seconds]
    slope = fit_slope([one.at_s for one in steady], [one.resident_mib for one in steady])
    bars = _bars(steady, slope)
    record = record_head("soak", libraries=("numpy", "onnxruntime", "opencv-python-headless"))
    record |= {
        "job": f"{arguments.cameras} cameras of {_SIZE[0]}x{_SIZE[1]} at {_FPS} frames/s, one node, one broker",
        "detector": arguments.detector.name if arguments.detector else "HOG",
        "minutes": arguments.minutes,
        "method": f"a look every {_EVERY_S:g} s; a line through {_PARTS} means after {_WARM_UP_SHARE:.0%} of the time",
        "first": asdict(steady[0]),
        "last": asdict(steady[-1]),
        "resident_mib_per_day": asdict(slope),
        "bars": bars,
        "sizes": [asdict(one) for one in sizes[:: max(1, len(sizes) // 200)]],
    }
    output = arguments.output or record_folder() / "soak.json"
    write_record(output, record)
    print(f"memory     {steady[0].resident_mib:.1f} -> {steady[-1].resident_mib:.1f} MiB")
    print(f"a day      {slope.per_day:+.1f} MiB ({slope.low:+.1f} to {slope.high:+.1f})")
    print(f"threads    {steady[0].threads} -> {steady[-1].threads}")
    print(f"open files {steady[0].open_files} -> {steady[-1].open_files}")
    print(f"{record['device']}, load {record['load_average']}; record: {output}")
    return 0 if all(bar["is_met"] for bar in bars) else 1


def play_again_and_again(clip: Path, path: Path, *, seconds: float) -> None:
    """Write a clip of so many seconds, in which another one is played again and again.

    Raises:
        ConfigError: the other clip cannot be read, or this one not written.
    """
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), _FPS, _SIZE)
    reader = cv2.VideoCapture(str(clip))
    try:
        for _ in range(round(seconds * _FPS)):
            is_there, picture = reader.read()
            if not is_there:
                reader.set(cv2.CAP_PROP_POS_FRAMES, 0)
                is_there, picture = reader.read()
            if not is_there or not writer.isOpened():
                raise ConfigError(f"expected a video at {clip} and room for {path}, found none; give another --clip")
            writer.write(cv2.resize(picture, _SIZE))
    finally:
        reader.release()
        writer.release()


def fit_slope(at_s: list[float], values: list[float]) -> Slope:
    """The slope per day of the line of least squares through the means of equal parts of the time.

    at_s: ascending seconds, one per value; at least three. Source: the t interval of simple linear regression.
    """
    parts = min(_PARTS, len(values))
    times, means = (
        np.array([part.mean() for part in np.array_split(np.array(all_), parts)]) for all_ in (at_s, values)
    )
    line = stats.linregress(times, means)
    half = float(stats.t.ppf(0.975, parts - 2)) * line.stderr
    return Slope(*(_DAY_S * float(per_s) for per_s in (line.slope, line.slope - half, line.slope + half)))


def _watch(daemon: MeasuredDaemon, seconds: float) -> list[Sizes]:
    """The sizes of the daemon until the time is over.

    Raises:
        StreamError: it ends before that.
    """
    begun_s, sizes = time.monotonic(), list[Sizes]()
    with tqdm(total=round(seconds), desc="soak", unit="s", disable=None) as bar:
        while (at_s := time.monotonic() - begun_s) < seconds:
            if daemon.process.poll() is not None:
                raise StreamError(f"the daemon ended after {at_s:.0f} s with exit code {daemon.process.returncode}")
            sizes.append(_read_sizes(daemon.process.pid, at_s))
            bar.update(round(at_s) - bar.n)
            time.sleep(_EVERY_S)
    return sizes


def _read_sizes(process: int, at_s: float) -> Sizes:
    folder = Path(f"/proc/{process}")
    fields = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    resident_mib = int(fields["VmRSS"].split()[0]) / 1024
    return Sizes(round(at_s, 1), round(resident_mib, 2), int(fields["Threads"]), len(os.listdir(folder / "fd")))


def _bars(steady: list[Sizes], slope: Slope) -> list[Bar]:
    """Growth counts only where it is proven; threads and files where there are more of them in the end than ever."""
    half = len(steady) // 2
    more = {
        what: max(getattr(one, what) for one in steady[half:]) - max(getattr(one, what) for one in steady[:half])
        for what in ("threads", "open_files")
    }
    return [
        at_most("proven growth of memory, MiB a day", limit=0.0, measured=round(slope.low, 2)),
        at_most("threads more in the second half", limit=0, measured=more["threads"]),
        at_most("open files more in the second half", limit=0, measured=more["open_files"]),
    ]


def _parser() -> ScriptParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="--minutes 3 --output soak.json",
        next_step="read benchmarks/README.md",
        examples="example: python benchmarks/soak.py --minutes 60",
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (default: %(default)g)")
    parser.add_argument("--cameras", type=int, default=8, help="of one node (default: %(default)s)")
    parser.add_argument("--clip", type=Path, default=SAMPLE_CLIP, help="a video of people (default: OpenCV's sample)")
    parser.add_argument("--detector", type=Path, help="an ONNX file (default: HOG)")
    parser.add_argument("--output", type=Path, help="record (default: in benchmarks/records)")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
