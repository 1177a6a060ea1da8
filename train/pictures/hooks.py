"""Collecting the outputs of a network's modules while it describes images."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from train.datasets.catalog import Sample, load_images
from train.models.checkpoint import LoadedNetwork
from train.models.pixels import describe_raw_with

_CHUNK = 64


def look_inside(
    loaded: LoadedNetwork, samples: Sequence[Sample], *, modules: Sequence[str], keep: Callable[[Tensor], Tensor]
) -> dict[str, list[NDArray[np.float32]]]:
    """The outputs of named modules for each image.

    keep: reduces a module's output for a chunk of images to what is collected: (N, ...).
    Returns for each module one array (N, ...) per call: a module that runs four times for an image has four, in the
    order of its calls. The network runs on the GPU if there is one, and is moved back afterwards.

    Raises:
        DataError: an image cannot be decoded.
    """
    input_ = loaded.manifest.input
    home = next(loaded.network.parameters()).device
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    describe = describe_raw_with(loaded.network, input_, device=device)
    chunks: list[dict[str, list[NDArray[np.float32]]]] = []

    def note(name: str, module: nn.Module, inputs: Any, output: Tensor) -> None:  # noqa: PLR0917 - PyTorch's form of a hook
        chunks[-1][name].append(keep(output).float().cpu().numpy())

    with ExitStack() as after, tqdm(total=len(samples), unit="image", leave=False, disable=None) as bar:
        after.callback(loaded.network.to, home)
        for name in modules:
            after.enter_context(loaded.network.get_submodule(name).register_forward_hook(partial(note, name)))
        for start in range(0, len(samples), _CHUNK):
            chunk = samples[start : start + _CHUNK]
            chunks.append({name: [] for name in modules})
            describe(load_images(chunk, height_px=input_.height_px, width_px=input_.width_px, rule=input_.resize))
            bar.update(len(chunk))
    return {
        name: [np.concatenate(call) for call in zip(*(seen[name] for seen in chunks), strict=True)] for name in modules
    }
