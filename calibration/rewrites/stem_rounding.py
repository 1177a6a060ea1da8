"""Round the weights that meet pixels so that their errors cancel on pictures, whose neighbouring pixels are alike.

Source: Frantar et al., "GPTQ", ICLR 2023 (arXiv 2210.17323), algorithm 1, without its lazy batches.
Differs: for a convolution, whose columns are the pixels under its kernel; each output channel keeps its own scale.
"""

import copy
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from calibration.ranges import ImageBatches

_BATCHES = 8
_PATCHES = 20_000
_DAMPING = 1e-4
"""Added to the diagonal, as a share of its mean, so that the matrix can be inverted."""

Matrix = NDArray[np.float64]


def round_stem(network: onnx.ModelProto, stem: Iterable[str], *, batches: ImageBatches, levels: int) -> None:
    """Put the weights of the stem's convolutions on their grid of -levels to levels. Changes `network`.

    stem: names of nodes. batches: calibration images; the first 32 are used. A quantizer with one scale per output
    channel then finds the same grid. Convolutions in groups, with gaps, or padded by a rule stay as they are.
    """
    names = set(stem)
    constants = {tensor.name: tensor for tensor in network.graph.initializer}
    for node in network.graph.node:
        if node.op_type != "Conv" or node.name not in names or node.input[1] not in constants:
            continue
        settings = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        is_plain = settings.get("group", 1) == 1 and set(settings.get("dilations", [1])) == {1}
        if not is_plain or settings.get("auto_pad", b"NOTSET") != b"NOTSET":
            continue
        tensor = constants[node.input[1]]
        weights = numpy_helper.to_array(tensor)
        patches = _patches(network, node.input[0], batches=batches, kernel=weights.shape[2:], settings=settings)
        rounded = _round(weights.reshape(len(weights), -1).astype(np.float64), patches, levels=levels)
        tensor.CopyFrom(numpy_helper.from_array(rounded.reshape(weights.shape).astype(np.float32), tensor.name))


def _patches(
    network: onnx.ModelProto,
    name: str,
    *,
    batches: ImageBatches,
    kernel: tuple[int, ...],
    settings: dict[str, list[int]],
) -> Matrix:
    """What lies under the kernel at places drawn at random, (M, channels * height * width)."""
    top, left, bottom, right = settings.get("pads", [0, 0, 0, 0])
    down, across = settings.get("strides", [1, 1])
    rng, found = np.random.default_rng(0), []
    for values in _values(network, name, batches=batches):
        padded = np.pad(values, ((0, 0), (0, 0), (top, bottom), (left, right)))
        under = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(2, 3))[:, :, ::down, ::across]
        places = under.transpose(0, 2, 3, 1, 4, 5).reshape(-1, under.shape[1] * kernel[0] * kernel[1])
        found.append(places[rng.choice(len(places), min(len(places), _PATCHES // _BATCHES), replace=False)])
    return np.concatenate(found).astype(np.float64)


def _values(network: onnx.ModelProto, name: str, *, batches: ImageBatches) -> Iterator[NDArray[np.float32]]:
    """The tensor of this name, batch by batch."""
    observed = copy.deepcopy(network)
    del observed.graph.output[:]
    observed.graph.output.append(helper.make_empty_tensor_value_info(name))
    session = onnxruntime.InferenceSession(observed.SerializeToString(), providers=["CPUExecutionProvider"])
    pixels = session.get_inputs()[0].name
    for images in islice(batches(), _BATCHES):
        yield session.run(None, {pixels: images})[0]


def _round(weights: Matrix, patches: Matrix, *, levels: int) -> Matrix:
    """Each row rounded to multiples of its own scale, column by column; later columns make up for earlier errors.

    A row whose largest weight does not reach the end of its grid is rounded by itself: its scale would not be found.
    """
    products = patches.T @ patches / len(patches)
    products += np.eye(len(products)) * (_DAMPING * np.trace(products) / len(products) or 1.0)
    upper = np.linalg.cholesky(np.linalg.inv(products)).T
    scales = np.maximum(np.abs(weights).max(axis=1), np.finfo(np.float32).tiny) / levels
    left, steps = weights.copy(), np.zeros_like(weights)
    for column in range(weights.shape[1]):
        steps[:, column] = np.clip(np.rint(left[:, column] / scales), -levels, levels)
        error = (left[:, column] - steps[:, column] * scales) / upper[column, column]
        left[:, column + 1 :] -= np.outer(error, upper[column, column + 1 :])
    is_whole = np.abs(steps).max(axis=1, keepdims=True) == levels
    rounded: Matrix = np.where(is_whole, steps, np.rint(weights / scales[:, None])) * scales[:, None]
    return rounded
