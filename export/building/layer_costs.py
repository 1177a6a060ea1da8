"""What an INT8 network costs in retrieval and takes in time, for any groups of layers left in float."""

from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from calibration.layer_groups import GROUPS, Group
from calibration.precision_plan import Backend, Choice, GroupCost
from calibration.quantization import Calibrated, quantisable_groups, quantised
from edge_runtime.contract.manifest import Build, read_manifest, write_manifest
from edge_runtime.contract.provenance import derive_manifest, describe_file
from edge_runtime.engine.catalog import open_engine
from edge_runtime.engine.engine import Engine
from export.building.build import make_engine, make_plan
from export.building.request import Request, Source
from export.building.tensorrt_builder import Batch
from export.building.timing import Call, interleave
from train.scoring.scoring import Described, score

Kept = frozenset[Group]


@dataclass(frozen=True)
class Loss:
    """What a network loses against float32: mean 1 - cosine, the least cosine, and percentage points of mAP."""

    mean: float
    least_cosine: float
    mean_ap: float


class Trial:
    """Builds engines with any groups in float, and measures them. Each is built once.

    parent: the float32 file. crops: (N, H, W, 3) uint8, with identities and cameras (N,), not seen in calibration.
    """

    def __init__(
        self,
        parent: Path,
        calibrated: Calibrated,
        *,
        backend: Backend,
        crops: NDArray[np.uint8],
        identities: NDArray[np.int64],
        cameras: NDArray[np.int64],
        folder: Path,
    ) -> None:
        self._parent, self._calibrated, self._folder = parent, calibrated, folder
        self._choice = Choice(backend=backend, kept_in_float=(), decided_by="trial")
        self._crops, self._identities, self._cameras = crops, identities, cameras
        self._engines: dict[Kept, Path] = {}
        self.groups = quantisable_groups(calibrated, self._choice.activations)
        self.float_engine = self._make(parent, precision_is_int8=False)
        with open_engine(self.float_engine) as engine:
            self.backend = engine.backend
        self._reference = self._describe(self.float_engine)

    def engine(self, kept: Collection[Group]) -> Path:
        """The engine with these groups in float; the float32 engine where nothing else is left."""
        key = frozenset(kept)
        if key.issuperset(self.groups):
            return self.float_engine
        if key not in self._engines:
            name = "_".join(("float", *(group for group in GROUPS if group in key)))
            network = self._folder / f"{name}.onnx"
            model = quantised(self._calibrated, activations=self._choice.activations, kept_in_float=key)
            network.write_bytes(model.SerializeToString(deterministic=True))
            parent = read_manifest(self._parent)
            artefact = describe_file(network, parent=parent, kind="onnx", opset=parent.artefact.opset)
            write_manifest(
                derive_manifest(parent, artefact, build=Build(backend="onnxruntime", precision="int8")), network
            )
            self._engines[key] = self._make(network, precision_is_int8=True)
        return self._engines[key]

    def loss(self, kept: Collection[Group]) -> Loss:
        """What quantising all but these groups costs."""
        described = self._describe(self.engine(kept))
        cosines = (self._reference.descriptors.astype(np.float64) * described.descriptors).sum(axis=1)
        before, after = (score(images, images).mean_ap for images in (self._reference, described))
        return Loss(1 - float(cosines.mean()), float(cosines.min()), 100 * (before - after))

    def times(self, engines: Mapping[str, Path], *, batch: int, rounds: int) -> dict[str, NDArray[np.float64]]:
        """Microseconds per image of each engine, (rounds,) each, on one thread and in one interleaved run."""
        crops = np.resize(self._crops, (batch, *self._crops.shape[1:]))
        with ExitStack() as stack:
            opened = {name: stack.enter_context(open_engine(path)) for name, path in engines.items()}
            samples = interleave({name: _call(engine, crops) for name, engine in opened.items()}, rounds=rounds)
        return {name: 1000 * values / batch for name, values in samples.items()}

    def costs(
        self, base: Collection[Group], losses: Mapping[Group, Loss], *, batch: int, rounds: int
    ) -> tuple[GroupCost, ...]:
        """What each group costs, and saves while the groups of `base` stay in float."""
        pairs = {group: (self.engine({*base, group}), self.engine({*base} - {group})) for group in self.groups}
        engines = {str(path): path for pair in pairs.values() for path in pair}
        times = self.times(engines, batch=batch, rounds=rounds)
        costs = []
        for group, (in_float, in_int8) in pairs.items():
            saved = times[str(in_float)] - times[str(in_int8)]
            low, middle, high = (float(np.quantile(saved, share)) for share in (0.25, 0.5, 0.75))
            loss = losses[group]
            costs.append(
                GroupCost(group=group, loss=loss.mean, lost_map=loss.mean_ap, saved_us=middle, low_us=low, high_us=high)
            )
        return tuple(costs)

    def losses(self) -> dict[Group, Loss]:
        """What quantising each group, and nothing else, costs."""
        bar = tqdm(self.groups, desc="loss per group", leave=False, disable=None)
        return {group: self.loss(set(self.groups) - {group}) for group in bar}

    def _make(self, network: Path, *, precision_is_int8: bool) -> Path:
        batch = read_manifest(self._parent).artefact
        source = Source(
            model=network,
            parent=self._parent,
            calibration=None,
            data=None,
            batch=Batch(batch.batch_min, batch.batch_opt, batch.batch_max),
        )
        request = Request(source, "int8" if precision_is_int8 else "fp32", self._choice.backend)
        suffix = ".engine" if self._choice.backend == "tensorrt" else ".onnx"  # OpenVINO goes by the file's name
        output = self._folder / f"engine_{network.stem}{suffix}"
        make_engine(make_plan(request, self._folder, output=output), output, reuse=False)
        return output

    def _describe(self, engine: Path) -> Described:
        with open_engine(engine) as opened:
            return Described(opened.describe(self._crops), self._identities, self._cameras)


def _call(engine: Engine, crops: NDArray[np.uint8]) -> Call:
    return lambda: engine.describe(crops)
