"""Compare our INT8 engine for OpenVINO with the INT8 network that NNCF makes of the plain export by its defaults.

Times and scores both, and writes a record.
"""

import argparse
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring.machine import record_head
from benchmarks.measuring.records import record_folder, write_record
from benchmarks.peers.plain_export import PeerSource, compile_for_openvino, float_planes, unit_rows
from benchmarks.peers.pytorch import export_plain
from calibration.image_list import read_image_list
from calibration.quantization import read_crop_batches
from edge_runtime.contract.descriptor import Describe
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import Input, Manifest, Score, read_manifest
from edge_runtime.contract.script import ScriptParser, run
from edge_runtime.engine.catalog import open_engine
from edge_runtime.engine.engine import Engine
from export.building.timing import Call, interleave
from train.datasets.catalog import ReidData, open_folder
from train.scoring.scoring import score_on

ROOT = Path(__file__).resolve().parent.parent
_WORKER = ROOT / "benchmarks/peers/nncf_worker.py"
_FLOAT, _NNCF, _OURS = "plain export, float32", "plain export, INT8 by NNCF", "ours, INT8"
_AS_EXPORTED = f"{_NNCF}, any batch"
_JOB = "Peers take float planes that were normalised before, ours takes uint8 crops; all give raw descriptors"
_EXAMPLES = """\
example:
  python benchmarks/nncf.py osnet_int8_openvino.onnx --checkpoint model.pth --image-list calibration.json \\
      --data /data/cuhk03_np_detected --nncf-python /tmp/nncf_venv/bin/python

NNCF calibrates on the first 300 images of the list, its default. It needs an environment of its own:
  python -m venv /tmp/nncf_venv && /tmp/nncf_venv/bin/pip install nncf openvino
"""


@dataclass(frozen=True)
class QuantizerTiming:
    """Milliseconds per image, by the rounds. times_nncf: NNCF's median at a fixed batch over this; larger is faster."""

    way: str
    batch: int
    median_ms: float
    p10_ms: float
    times_nncf: float


@dataclass(frozen=True)
class WayScores:
    """What a way scores on the test images."""

    way: str
    rank1: Score
    mean_ap: Score


def main(argv: list[str] | None = None) -> int:
    """Print tables and write the record. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    if arguments.rounds < 1 or min(arguments.batches) < 1:
        raise ConfigError("expected --rounds and --batches of at least 1")
    parent = read_manifest(arguments.checkpoint)
    _check(read_manifest(arguments.engine), parent)
    record = record_head("nncf") | _measured(arguments, parent)
    output = arguments.output or record_folder() / f"nncf_{parent.architecture}.json"
    write_record(output, record)
    print(_table(record))
    print(f"{record['device']}, one thread, NNCF {record['nncf']}; record: {output}")
    return 0


def _check(engine: Manifest, parent: Manifest) -> None:
    build = engine.build
    if (build.backend, build.precision) != ("openvino", "int8"):
        raise ConfigError(f"expected an INT8 engine for OpenVINO, found {build.precision} for {build.backend}")
    if engine.weights_sha256 != parent.weights_sha256:
        raise ConfigError(f"{engine.model_id} was not made from {parent.model_id}; give its own checkpoint")


def _measured(arguments: argparse.Namespace, parent: Manifest) -> dict[str, Any]:
    """Everything of the record but its head."""
    images = read_image_list(arguments.image_list, arguments.data)
    data = open_folder(arguments.data)
    crops = np.concatenate(list(read_crop_batches(images, arguments.data, input_=parent.input)()))
    with tempfile.TemporaryDirectory() as folder, open_engine(arguments.engine, threads=1) as engine:
        source = PeerSource(parent.architecture, parent.input, arguments.checkpoint, Path(folder) / "plain.onnx")
        export_plain(source)
        quantized = Path(folder) / "nncf.xml"
        version = quantize_with_nncf(source, quantized, crops=crops, python=arguments.nncf_python)
        peers = {_FLOAT: source.plain, _NNCF: quantized}
        timings = [
            timing
            for batch in arguments.batches
            for timing in _time(peers, engine, crops=crops[:batch], input_=parent.input, rounds=arguments.rounds)
        ]
        ways = {name: _describer(path, parent.input) for name, path in peers.items()} | {_OURS: engine.describe}
        scores = [_score(name, describe, data=data, input_=parent.input) for name, describe in ways.items()]
    return {
        "nncf": version,
        "architecture": parent.architecture,
        "input": [parent.input.height_px, parent.input.width_px],
        "weights": parent.model_id,
        "job": _JOB,
        "method": "one process, fixed batch unless said, random order, one warm call before each; ratios of medians",
        "threads": 1,
        "rounds": arguments.rounds,
        "calibration_images": images.count,
        "timings": [asdict(timing) for timing in timings],
        "data_set": data.name,
        "scores": [asdict(score) for score in scores],
    }


def quantize_with_nncf(source: PeerSource, output: Path, *, crops: NDArray[np.uint8], python: Path) -> str:
    """Let NNCF quantize the plain export in its own environment. Returns NNCF's version."""
    planes = output.with_name("planes.npy")
    np.save(planes, float_planes(crops, source.input_))
    command = [str(python), str(_WORKER), str(source.plain), str(planes), str(output)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise ConfigError(
            f"cannot run {python}: {error.strerror}; see --help for how to make that environment"
        ) from error
    if done.returncode:
        last = (done.stderr.strip() or "it gives no reason").splitlines()[-1]
        raise ConfigError(f"NNCF failed: {last}; see --help for the environment that {python} needs")
    return done.stdout.splitlines()[-1]


def _time(
    peers: dict[str, Path], engine: Engine, *, crops: NDArray[np.uint8], input_: Input, rounds: int
) -> list[QuantizerTiming]:
    """Time all ways at one batch size, in turns, one thread each."""
    planes = float_planes(crops, input_)
    calls: dict[str, Call] = {
        name: partial(compile_for_openvino(path, shape=planes.shape), planes) for name, path in peers.items()
    }
    calls[_AS_EXPORTED] = partial(compile_for_openvino(peers[_NNCF]), planes)
    calls[_OURS] = partial(engine.describe_raw, crops)
    samples = {name: times / len(crops) for name, times in interleave(calls, rounds=rounds).items()}
    peer_ms = np.median(samples[_NNCF])
    return [
        QuantizerTiming(
            name,
            len(crops),
            round(float(np.median(times)), 3),
            round(float(np.percentile(times, 10)), 3),
            round(float(peer_ms / np.median(times)), 2),
        )
        for name, times in samples.items()
    ]


def _describer(path: Path, input_: Input) -> Describe:
    network = compile_for_openvino(path)
    return lambda crops: unit_rows(network(float_planes(crops, input_))[0])


def _score(way: str, describe: Describe, *, data: ReidData, input_: Input) -> WayScores:
    found = score_on(describe, data, input_=input_)
    return WayScores(way, found.rank1, found.mean_ap)


def _table(record: dict[str, Any]) -> str:
    rows = [f"{'way':38}{'batch':>6}{'median ms':>11}{'p10 ms':>9}{'x NNCF':>8}"]
    rows += [
        f"{one['way']:38}{one['batch']:>6}{one['median_ms']:>11.3f}{one['p10_ms']:>9.3f}{one['times_nncf']:>8.2f}"
        for one in record["timings"]
    ]
    rows += [
        f"{one['way']:38} rank-1 {100 * one['rank1'].value:.2f} %, mAP {100 * one['mean_ap'].value:.2f} %"
        for one in record["scores"]
    ]
    return "\n".join(rows)


def _parser() -> ScriptParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="ENGINE --checkpoint MODEL.pth --image-list LIST.json --data DATA --nncf-python PYTHON",
        next_step="benchmarks/README.md shows the records as tables",
        examples=_EXAMPLES,
    )
    parser.add_argument("engine", type=Path, help="our INT8 engine for OpenVINO, beside its manifest")
    parser.add_argument("--checkpoint", type=Path, required=True, help="the checkpoint that the engine was made from")
    parser.add_argument(
        "--image-list", type=Path, required=True, help="calibration images, from calibration/select_images.py"
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the data set for calibration and scores")
    parser.add_argument("--nncf-python", type=Path, required=True, help="Python of the environment that has NNCF")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8], help="crops per call (default: 1 8)")
    parser.add_argument("--rounds", type=int, default=200, help="timed calls of each (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="default: benchmarks/records/MACHINE/nncf_ARCHITECTURE.json")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
