"""Measure how many cameras this machine carries: CPU time per look, looks got, latency and memory; write a record.

Each case runs the daemon on clips that are played as cameras, with a broker of its own. With --before DIR, a checkout
of an earlier commit, both take turns in each case.
"""

import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from benchmarks.measuring.clips import scale_clip
from benchmarks.measuring.daemon_run import DaemonFigures, SiteCamera, run_daemon
from benchmarks.measuring.machine import record_head
from benchmarks.measuring.records import record_folder, write_record
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.script import SAMPLE_CLIP, ScriptParser, run

ROOT = Path(__file__).resolve().parent.parent
_MODEL = ROOT / "edge_runtime/models/osnet_x0_25.onnx"
_SIZES = {"small": (432, 768, 15), "large": (1080, 1920, 15), "heavy": (2160, 3840, 10)}
"""Height, width and frames per second of the clips."""


@dataclass(frozen=True)
class Case:
    """Cameras of one node: how many of each size, and the looks per second asked for."""

    name: str
    cameras: tuple[tuple[str, int], ...]
    max_fps: float = 10.0


@dataclass(frozen=True)
class CaseFigures:
    """What one version did in one round of a case. max_fps: looks/s that each camera wants. looks_per_s: it got."""

    case: str
    version: str
    max_fps: float
    cores: float
    cpu_ms_per_look: float
    looks_per_s: dict[str, float]
    p95_ms: float | None
    peak_mib: float
    load_average: float


CASES = (
    Case("1 small", (("small", 1),)),
    Case("4 small", (("small", 4),)),
    Case("8 small", (("small", 8),)),
    Case("16 small", (("small", 16),)),
    Case("1 large", (("large", 1),)),
    Case("4 large", (("large", 4),)),
    Case("8 large", (("large", 8),)),
    Case("8 large, 2 looks/s", (("large", 8),), max_fps=2.0),
    Case("1 heavy beside 3 small", (("heavy", 1), ("small", 3))),
)


def main(argv: list[str] | None = None) -> int:
    """Print a table and write the record. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    cases = [case for case in CASES if not arguments.cases or case.name in arguments.cases]
    if arguments.before and not (arguments.before / "edge_runtime/daemon.py").is_file():
        raise ConfigError(f"expected a checkout of this project at {arguments.before}, found none")
    versions = {"before": arguments.before.resolve(), "now": ROOT} if arguments.before else {"now": ROOT}
    found: list[CaseFigures] = []
    with tempfile.TemporaryDirectory() as folder:
        kinds = sorted({kind for case in cases for kind, _ in case.cameras})
        length_s = arguments.warm_up + arguments.seconds + 30
        clips = {kind: _make_clip(arguments.clip, kind, folder=Path(folder), seconds=length_s) for kind in kinds}
        turns = [(case, version) for _ in range(arguments.rounds) for case in cases for version in versions]
        for case, version in tqdm(turns, disable=None):
            figures = run_daemon(
                versions[version],
                _cameras(case, clips),
                model=_MODEL,
                detector=arguments.detector,
                warm_up_s=arguments.warm_up,
                seconds=arguments.seconds,
            )
            found.append(_row(case, figures, version=version))
            print(_line(found[-1]), flush=True)
    record = record_head("cameras", libraries=("numpy", "onnxruntime", "openvino", "opencv-python-headless"))
    record |= {
        "job": "clips in H.264, played at their own speed as cameras, by the daemon with a broker beside it",
        "clip": arguments.clip.name,
        "sizes": _SIZES,
        "detector": arguments.detector.name if arguments.detector else "HOG",
        "model": _MODEL.name,
        "seconds": arguments.seconds,
        "method": f"{arguments.rounds} rounds, versions in turns, CPU time of the daemon after {arguments.warm_up:g} s",
        "runs": [asdict(row) for row in found],
    }
    output = arguments.output or record_folder() / "cameras.json"
    write_record(output, record)
    print(f"{record['device']}, {record['cores']} cores; record: {output}")
    return 0


def _make_clip(clip: Path, kind: str, *, folder: Path, seconds: float) -> Path:
    height_px, width_px, fps = _SIZES[kind]
    path = folder / f"{kind}.mp4"
    scale_clip(clip, path, height_px=height_px, width_px=width_px, fps=fps, seconds=seconds)
    return path


def _cameras(case: Case, clips: dict[str, Path]) -> list[SiteCamera]:
    return [
        SiteCamera(f"{kind}-{number}", clips[kind], case.max_fps)
        for kind, count in case.cameras
        for number in range(count)
    ]


def _row(case: Case, figures: DaemonFigures, *, version: str) -> CaseFigures:
    looks = sum(figures.looks_per_s.values())
    return CaseFigures(
        case=case.name,
        version=version,
        max_fps=case.max_fps,
        cores=round(figures.cores, 3),
        cpu_ms_per_look=round(1000 * figures.cores / max(looks, 0.01), 2),
        looks_per_s={id_: round(rate, 2) for id_, rate in figures.looks_per_s.items()},
        p95_ms=None if figures.p95_ms is None else round(figures.p95_ms, 1),
        peak_mib=round(figures.peak_mib),
        load_average=round(figures.load_average, 1),
    )


def _line(row: CaseFigures) -> str:
    looks = sorted(row.looks_per_s.values())
    latency = "-" if row.p95_ms is None else f"{row.p95_ms:.0f}"
    return (
        f"{row.case:24}{row.version:8}{row.cores:6.2f} cores{row.cpu_ms_per_look:8.1f} ms/look  "
        f"looks/s {looks[0]:.1f} to {looks[-1]:.1f}  p95 {latency} ms  {row.peak_mib:.0f} MiB  load {row.load_average}"
    )


def _parser() -> ScriptParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="--seconds 15",
        next_step="benchmarks/README.md shows the records as tables",
        examples="example: python benchmarks/cameras.py --detector yolox_nano.onnx --before ../checkout-of-main",
    )
    parser.add_argument("--clip", type=Path, default=SAMPLE_CLIP, help="a video of people (default: OpenCV's sample)")
    parser.add_argument("--detector", type=Path, help="an ONNX file (default: HOG)")
    parser.add_argument("--before", type=Path, help="a checkout of an earlier commit to compare with")
    parser.add_argument("--cases", nargs="+", choices=[case.name for case in CASES], help="some of them (default: all)")
    parser.add_argument("--seconds", type=float, default=20.0, help="measured per run (default: %(default)g)")
    parser.add_argument("--warm-up", type=float, default=5.0, help="seconds before (default: %(default)g)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each case (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="record (default: benchmarks/records/MACHINE/cameras.json)")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
