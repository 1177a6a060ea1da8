"""Measure what INT8 costs a detector, group of layers by group: whom it still finds, in what boxes; write a record."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measuring.machine import record_head
from benchmarks.measuring.records import record_folder, write_record
from calibration.layer_groups import LayerGroup
from calibration.onnx_graph import read_network
from calibration.precision_plan import DETECTOR_PLANS
from edge_runtime.contract.nv12 import Nv12
from edge_runtime.contract.script import ScriptParser, run
from edge_runtime.people.catalog import DetectorSettings, open_detector
from edge_runtime.people.network_detector import NetworkDetector
from export.acceptance.people_found import Found, match_people, read_frames
from export.building.detector_networks import quantize_detector

_FRAMES = 48
_ALWAYS: tuple[LayerGroup, ...] = ("stem", "heads")
_TRIED: tuple[tuple[LayerGroup, ...], ...] = ((), ("residuals",), ("depthwise",), ("pointwise",))


@dataclass(frozen=True)
class GroupLoss:
    """What one network in INT8 finds. kept_in_float: groups. finds, adds, overlap: as in `DetectorTrial`."""

    kept_in_float: tuple[LayerGroup, ...]
    finds: float
    adds: float
    overlap: float


def main(argv: list[str] | None = None) -> int:
    """Print and write the record. Returns the exit code."""
    parser = ScriptParser(
        purpose=__doc__,
        shortest="yolox_nano.onnx --video CLIP",
        next_step="calibration/precision_plan.py holds the plan of detectors",
        examples="example: python benchmarks/detector_groups.py yolox_nano.onnx --video street.mp4",
    )
    parser.add_argument("model", type=Path, help="a detection network in float32")
    parser.add_argument("--video", type=Path, required=True, help="every other frame calibrates, the others are judged")
    parser.add_argument("--output", type=Path, help="default: benchmarks/records/MACHINE/detector_groups.json")
    arguments = parser.parse_args(argv)
    frames = read_frames(arguments.video, 2 * _FRAMES)
    losses = [measure(arguments.model, (*_ALWAYS, *kept), frames=frames) for kept in _TRIED]
    record = record_head("detector_groups", libraries=("onnx", "onnxruntime")) | {
        "method": "INT8 in ONNX Runtime beside float32, on frames that did not calibrate",
        "model": arguments.model.name,
        "video": arguments.video.name,
        "frames": _FRAMES,
        "losses": [asdict(loss) for loss in losses],
    }
    write_record(arguments.output or record_folder() / "detector_groups.json", record)
    print("\n".join(f"{one.finds:7.1%}{one.adds:7.1%}{one.overlap:7.3f}  {one.kept_in_float}" for one in losses))
    return 0


def measure(model: Path, kept: tuple[LayerGroup, ...], *, frames: Sequence[Nv12]) -> GroupLoss:
    """Quantise all but some groups on half of the frames, and compare with float32 on the other half."""
    settings = DetectorSettings(model, backend="onnxruntime")
    detector = open_detector(settings)
    assert isinstance(detector, NetworkDetector)
    plan = next(plan for plan in DETECTOR_PLANS if plan.backend == "onnxruntime")
    plan = plan.model_copy(update={"kept_in_float": kept})
    with TemporaryDirectory() as folder:
        path = Path(folder) / "int8.onnx"
        network = quantize_detector(read_network(model), detector, frames=frames[0::2], plan=plan)
        path.write_bytes(network.SerializeToString())
        child = open_detector(replace(settings, model=path, kind=detector.kind.name))
        assert isinstance(child, NetworkDetector)
        expected, found = ([_people(one, frame) for frame in frames[1::2]] for one in (detector, child))
    pairs = match_people(expected, found)
    return GroupLoss(
        kept,
        finds=round(len(pairs) / sum(map(len, expected)), 4),
        adds=round(len(pairs) / max(sum(map(len, found)), 1), 4),
        overlap=round(sum(pair.overlap for pair in pairs) / max(len(pairs), 1), 4),
    )


def _people(detector: NetworkDetector, frame: Nv12) -> list[Found]:
    return [Found(one.box, one.score) for one in detector.detect(frame) if one.score >= detector.sure_score]


if __name__ == "__main__":
    sys.exit(run(main))
