"""Rescale the channels between neighbouring layers, so that all of them use the 8 bits. Exact in float.

Source: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019, section 4.1.
Differs: ranges of activations are measured, not computed, because there are calibration images.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from calibration.onnx_graph import GraphLinks, group_count, is_depthwise_node
from calibration.ranges import Extremes, Floats

_SMALLEST = 1 / 64  # channels that are nearly always zero are not enlarged further


@dataclass(frozen=True)
class _Pair:
    """Two convolutions with nothing between them, or only a ReLU. tensors: those between them, in order."""

    first: onnx.NodeProto
    second: onnx.NodeProto
    tensors: tuple[str, ...]


def equalise(model: onnx.ModelProto, extremes: dict[str, Extremes]) -> dict[str, Extremes]:
    """Rescale the weights of `model` in place; its function stays the same. Returns the extremes after that.

    extremes: must hold the tensors between convolutions.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    links = GraphLinks(model.graph)
    after = dict(extremes)
    for pair in _pairs(model.graph, links, constants=constants):
        weights = numpy_helper.to_array(constants[pair.second.input[1]])
        seen = extremes[pair.tensors[-1]]
        scales = _scales(np.maximum(np.abs(seen.low), np.abs(seen.high)), weights, second=pair.second)
        inverse: Floats = np.reciprocal(scales)
        _multiply(constants[pair.first.input[1]], inverse, axis=0)
        if len(pair.first.input) > 2:
            _multiply(constants[pair.first.input[2]], inverse, axis=0)
        _multiply(constants[pair.second.input[1]], scales, axis=0 if _is_depthwise(pair.second, weights) else 1)
        after |= {name: extremes[name].scaled(inverse) for name in pair.tensors if name in extremes}
    return after


def _pairs(graph: onnx.GraphProto, links: GraphLinks, *, constants: dict[str, onnx.TensorProto]) -> Iterator[_Pair]:
    for first in graph.node:
        if first.op_type != "Conv" or any(len(links.readers[name]) != 1 for name in first.input[1:]):
            continue  # weights that two layers share cannot have two scales
        tensors = [first.output[0]]
        readers = links.after(first)
        if len(readers) == 1 and readers[0].op_type == "Relu":
            tensors.append(readers[0].output[0])
            readers = links.after(readers[0])
        if len(readers) != 1 or readers[0].op_type != "Conv" or len(links.readers[readers[0].input[1]]) != 1:
            continue
        second = readers[0]
        weights = constants.get(second.input[1])
        if weights is None or any(name not in constants for name in first.input[1:]):
            continue  # torch writes equal constants once, and makes the others from it by Identity nodes
        if group_count(second) == 1 or is_depthwise_node(second, tuple(weights.dims)):
            yield _Pair(first, second, tuple(tensors))


def _is_depthwise(conv: onnx.NodeProto, weights: NDArray[np.float32]) -> bool:
    return is_depthwise_node(conv, weights.shape)


def _scales(largest: Floats, weights: Floats, *, second: onnx.NodeProto) -> Floats:
    """The divisor of each channel between the two layers, (C,).

    Before a depthwise convolution all channels become equally large, because its weights have one scale per channel.
    Otherwise the activations of a channel and the second layer's weights for it become equally large.
    """
    used = np.ones_like(largest) if _is_depthwise(second, weights) else _largest_weights(weights)
    is_alive = (largest > 0) & (used > 0)
    if not is_alive.any():
        return np.ones_like(largest)
    scales = np.ones_like(largest)
    np.divide(largest, used, out=scales, where=is_alive)
    if not _is_depthwise(second, weights):
        scales = np.sqrt(scales)
    scales = np.where(is_alive, scales / scales[is_alive].max(), 1)
    return np.maximum(scales, _SMALLEST).astype(np.float32)


def _largest_weights(weights: Floats) -> Floats:
    """The largest absolute weight of each input channel, (C,)."""
    largest: Floats = np.abs(weights).max(axis=(0, *range(2, weights.ndim)))
    return largest


def _multiply(tensor: onnx.TensorProto, factors: Floats, *, axis: int) -> None:
    values = numpy_helper.to_array(tensor)
    shape = [1] * values.ndim
    shape[axis] = -1
    tensor.CopyFrom(numpy_helper.from_array((values * factors.reshape(shape)).astype(np.float32), tensor.name))
