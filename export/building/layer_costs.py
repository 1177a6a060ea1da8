"""What INT8 costs in retrieval and saves in time, measured for any choice of layer groups that stay in float."""

from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from calibration.layer_groups import LAYER_GROUPS, LayerGroup
from calibration.precision_plan import GroupCost, TargetBackend, activations_of
from calibration.quantization import Calibrated, find_quantizable_groups, quantize_network, write_quantized
from edge_runtime.contract.manifest import Precision, read_manifest
from edge_runtime.engine.catalog import open_engine
from edge_runtime.engine.engine import Engine
from export.acceptance.acceptance_images import Crops
from export.building.backends import BACKENDS, EngineKind
from export.building.engine_build import TIMING_CACHE, decide_build, make_engine
from export.building.tensorrt_builder import BatchSizes
from export.building.timing import Call, interleave
from train.scoring.scoring import Described, score


@dataclass(frozen=True)
class LayerLoss:
    """What a network loses against float32.

    mean: mean of 1 - cosine. least_cosine: cosine of the worst crop. mean_ap: percentage points of mAP.
    """

    mean: float
    least_cosine: float
    mean_ap: float


class LayerCosts:
    """Engines of one network with any layer groups in float, and what they lose and take; each is built once."""

    def __init__(
        self, parent: Path, calibrated: Calibrated, *, backend: TargetBackend, crops: Crops, folder: Path
    ) -> None:
        """Build the float32 engine and describe all crops with it.

        parent: the float32 ONNX file that `calibrated` was made from. crops: labelled crops that were not used to
        calibrate. folder: for all engines.
        """
        self._parent, self._calibrated, self._backend, self._folder = parent, calibrated, backend, folder
        self._crops, self._pixels = crops, crops.read(slice(None))
        self._engines: dict[frozenset[LayerGroup], Path] = {}
        self.groups = find_quantizable_groups(calibrated, activations_of(backend))
        self.float_engine = self._make(parent, "fp32")
        with open_engine(self.float_engine) as engine:
            self.runs_on = engine.backend
        self._reference = self._describe(self.float_engine)

    def losses(self) -> dict[LayerGroup, LayerLoss]:
        """The loss of each group when only this group is quantised."""
        bar = tqdm(self.groups, desc="loss per group", leave=False, disable=None)
        return {group: self.loss(set(self.groups) - {group}) for group in bar}

    def loss(self, kept: Collection[LayerGroup]) -> LayerLoss:
        """The loss when all groups except `kept` are quantised."""
        described = self._describe(self.engine(kept))
        cosines = (self._reference.descriptors.astype(np.float64) * described.descriptors).sum(axis=1)
        before, after = (score(images, images).mean_ap for images in (self._reference, described))
        return LayerLoss(1 - float(cosines.mean()), float(cosines.min()), 100 * (before - after))

    def costs(
        self, kept: Collection[LayerGroup], losses: Mapping[LayerGroup, LayerLoss], *, batch: int, rounds: int
    ) -> tuple[GroupCost, ...]:
        """The loss of each group, and the time that INT8 saves in it while the groups `kept` stay in float."""
        pairs = {group: (self.engine({*kept, group}), self.engine({*kept} - {group})) for group in self.groups}
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

    def times(self, engines: Mapping[str, Path], *, batch: int, rounds: int) -> dict[str, NDArray[np.float64]]:
        """Microseconds per image of each engine, (rounds,) each, on one thread and in one interleaved run."""
        crops = np.resize(self._pixels, (batch, *self._pixels.shape[1:]))
        with ExitStack() as stack:
            opened = {name: stack.enter_context(open_engine(path)) for name, path in engines.items()}
            samples = interleave({name: _call(engine, crops) for name, engine in opened.items()}, rounds=rounds)
        return {name: 1000 * values / batch for name, values in samples.items()}

    def engine(self, kept: Collection[LayerGroup]) -> Path:
        """The engine with these groups in float; the float32 engine if no other group is left."""
        key = frozenset(kept)
        if key.issuperset(self.groups):
            return self.float_engine
        if key not in self._engines:
            names = tuple(group for group in LAYER_GROUPS if group in key)
            path = self._folder / f"{'_'.join(('float', *names))}.onnx"
            network = quantize_network(self._calibrated, activations=activations_of(self._backend), kept_in_float=names)
            write_quantized(network, path, parent=read_manifest(self._parent), kept_in_float=names, calibration=None)
            self._engines[key] = self._make(path, "int8")
        return self._engines[key]

    def _make(self, network: Path, precision: Precision) -> Path:
        sizes = read_manifest(self._parent).artefact
        output = self._folder / f"engine_{network.stem}{BACKENDS[self._backend].suffix}"
        build = decide_build(
            network,
            EngineKind(precision, self._backend),
            parent=self._parent,
            batch=BatchSizes(sizes.batch_min, sizes.batch_opt, sizes.batch_max),
            output=output,
        )
        make_engine(build, output, timing_cache=self._folder / TIMING_CACHE)
        return output

    def _describe(self, engine: Path) -> Described:
        with open_engine(engine) as opened:
            return Described(opened.describe(self._pixels), self._crops.identities, self._crops.cameras)


def _call(engine: Engine, crops: NDArray[np.uint8]) -> Call:
    return lambda: engine.describe(crops)
