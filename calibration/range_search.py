"""The range of each tensor by what it costs the descriptor: cut until the network's own output is nearest to float's.

A range that keeps everything spends its 256 levels on values that hardly ever come. What a cut costs and gains is not
seen in the tensor itself (`mse`, `entropy`), because later layers enlarge some errors and forget others; so each tensor
is quantised alone, at several shares of its range, and the share is kept whose descriptors are nearest to float's.
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from tqdm import tqdm

from calibration.ranges import ActivationRange, Floats, ImageBatches
from edge_runtime.contract.descriptor import normalise

SHARES = (0.85, 0.7, 0.55, 0.4)
"""Parts of the whole range that are tried for a tensor, at both ends alike."""
_BATCHES = 4
_NOTICED = 0.005
"""A tensor that costs a smaller share of what all cost together keeps its whole range."""


def cut_ranges(
    quantized: onnx.ModelProto,
    ranges: dict[str, ActivationRange],
    *,
    plain: onnx.ModelProto,
    batches: ImageBatches,
) -> dict[str, ActivationRange]:
    """The ranges after cutting each to the share that costs the descriptor least.

    quantized: the network with Q/DQ nodes for `ranges`. plain: the same network in float. batches: calibration images;
    the first 16 are used.
    """
    images = list(islice(batches(), _BATCHES))
    exact = _describe(plain, images)
    steps = _find_steps(quantized)

    def cost(name: str, share: float) -> float:
        described = _describe(_with_one_quantized(plain, name, step=steps[name].cut(share)), images)
        return float(1 - (described * exact).sum(axis=1).mean())

    whole = {name: cost(name, 1.0) for name in _progress(list(steps), "ranges")}
    noticed = [name for name, value in whole.items() if value > _NOTICED * sum(whole.values())]
    cut = dict(ranges)
    for name in _progress(noticed, "cutting ranges"):
        tried = {1.0: whole[name]} | {share: cost(name, share) for share in SHARES}
        share = min(tried, key=lambda each: tried[each])
        low, high = ranges[name]
        cut[name] = (low * share, high * share)
    return cut


@dataclass(frozen=True)
class _Step:
    """Scale and zero point of one quantised tensor, scalars of ONNX's types."""

    scale: NDArray[np.float32]
    zero_point: NDArray[np.integer[Any]]

    def cut(self, share: float) -> "_Step":
        """For a share of the range; the zero point stays, because both ends move alike."""
        return _Step(self.scale * np.float32(share), self.zero_point)


def _find_steps(network: onnx.ModelProto) -> dict[str, _Step]:
    """The step of each quantised tensor by name, without weights.

    A tensor that takes the step of another, as a max pool's result does, has none of its own.
    """
    constants = {tensor.name: tensor for tensor in network.graph.initializer}
    found: dict[str, _Step] = {}
    for node in network.graph.node:
        if node.op_type != "QuantizeLinear":
            continue
        name, scale, zero_point = node.input
        if name not in constants and scale == f"{name}_scale":
            found[name] = _Step(*(numpy_helper.to_array(constants[each]) for each in (scale, zero_point)))
    return found


def _with_one_quantized(plain: onnx.ModelProto, name: str, *, step: _Step) -> onnx.ModelProto:
    """The float network in which only this tensor is rounded to 8 bits."""
    network = copy.deepcopy(plain)
    scale, zero_point, levels, rounded = (f"{name}/{part}" for part in ("scale", "zero_point", "levels", "rounded"))
    for node in network.graph.node:
        for number, read in enumerate(node.input):
            if read == name:
                node.input[number] = rounded
    place = next(number for number, node in enumerate(network.graph.node) if name in node.output) + 1
    network.graph.node.insert(place, helper.make_node("DequantizeLinear", [levels, scale, zero_point], [rounded]))
    network.graph.node.insert(place, helper.make_node("QuantizeLinear", [name, scale, zero_point], [levels]))
    network.graph.initializer.append(numpy_helper.from_array(step.scale, scale))
    network.graph.initializer.append(numpy_helper.from_array(step.zero_point, zero_point))
    return network


def _describe(network: onnx.ModelProto, images: Iterable[NDArray[np.uint8]]) -> Floats:
    """Descriptors of unit length, (N, D)."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(network.SerializeToString(), options, providers=["CPUExecutionProvider"])
    pixels = session.get_inputs()[0].name
    return normalise(np.concatenate([session.run(None, {pixels: batch})[0] for batch in images]))


def _progress(names: list[str], label: str) -> "tqdm[str]":
    return tqdm(names, desc=label, unit=" tensors", leave=False, disable=None)
