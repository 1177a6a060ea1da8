"""Files of weights, as the field's trainers write them: read without running code, and unwrapped."""

import argparse
import collections
import logging
import pickle
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edge_runtime.contract.errors import CheckpointError
from train.models.weights import CLASSIFIER, StateDict

logger = logging.getLogger(__name__)

_AVERAGED = ("ema_state_dict", "state_dict_ema", "model_ema", "ema_model", "ema")
_WRAPPERS = (*_AVERAGED, "state_dict", "model_state_dict", "model", "net", "network", "weights")
"""The names under which a file may hold its weights. Averaged weights come first: who keeps them scores them."""
_PREFIXES = ("ema_model", "model_ema", "ema", "module", "_orig_mod", "model", "net", "network")
"""What DataParallel, torch.compile, Lightning, weight averaging and others write before each name."""
_COUNTERS = ("n_averaged", "num_updates", "initted", "step")
"""What weight averaging keeps beside the weights."""
_MARKS = (
    (b"version https://git-lfs", "a pointer of Git LFS, without the content; fetch it with `git lfs pull`"),
    (b"<", "a web page or XML, not the file itself; download it again, signed in where that is needed"),
    (b"{", "a JSON text; weights are elsewhere"),
    (b"\x1f\x8b", "a gzip archive; unpack it"),
    (b"BZh", "a bzip2 archive; unpack it"),
    (b"\xfd7zXZ", "an xz archive; unpack it"),
    (b"Rar!", "a RAR archive; unpack it"),
    (b"\x89HDF", "an HDF5 file, as Keras writes it; weights of PyTorch are needed"),
)
_SAFETENSORS_HEADER = 8
_HEAD_BYTES = 512

# What torch's reader and unpickler raised on foreign and damaged files in tests.
_UNREADABLE = (
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
)


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint file: tensors, numbers and settings only, never code.

    Raises:
        CheckpointError: the file is missing, cut, or no checkpoint; what it is instead is said.
    """
    try:
        with torch.serialization.safe_globals(_harmless()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"expected a checkpoint at {path}, found no file") from error
    except _UNREADABLE as error:
        raise CheckpointError(f"{path} is not a checkpoint that can be read: {_explain(path, error)}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"expected a dictionary of weights in {path}, found {type(content).__name__}")
    return content


def read_weights(path: Path) -> StateDict:
    """Read the weights of a checkpoint of ours or of public code, without wrappers and prefixes of names.

    What is left out, and which of several weights are taken, is logged.

    Raises:
        CheckpointError: see `read`; or weights that a descriptor depends on are not finite.
    """
    state, key = _unwrap(read(path))
    if not _is_weights(state):
        raise CheckpointError(f"{path} holds no weights; expected tensors by name, or those under 'state_dict'")
    if key in _AVERAGED:
        logger.info("%s: the averaged weights are taken, those under %r", path, key)
    weights = _strip(state, source=path)
    _refuse_no_numbers(weights, source=path)
    return weights


def _harmless() -> list[Any]:
    """What trainers pickle beside weights: scores as numpy numbers, settings as a namespace. None of it runs code."""
    numbers = [type(np.dtype(code)) for code in "?bBhHiIlLqQefd"]
    return [
        np.dtype,
        *numbers,
        np.ndarray,
        *_numpy_makers("numpy.core.multiarray"),
        *_numpy_makers("numpy._core.multiarray"),
        argparse.Namespace,
        collections.defaultdict,
        *(int, float, str, list, dict),
    ]


def _numpy_makers(module: str) -> tuple[Any, Any]:
    """The two functions by which pickles of numpy make numbers and arrays, under the name that a version gives them."""

    def scalar(dtype: Any, content: bytes) -> Any:
        return np.frombuffer(content, dtype)[0]

    def _reconstruct(*_: Any) -> Any:
        return np.empty(0, np.int8)  # its state follows in the pickle

    for maker in (scalar, _reconstruct):
        maker.__module__, maker.__qualname__ = module, maker.__name__
    return scalar, _reconstruct


def _explain(path: Path, error: Exception) -> str:
    """What the file is instead of a checkpoint, as far as its first bytes or torch's message tell."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as fault:
        return f"{fault.strerror}"
    if not head:
        return "it is empty"
    if found := re.search(r"GLOBAL (\S+)", str(error)):
        return (
            f"it holds {found[1]}, which is code and not only weights, so it is not opened; where it was trained, "
            "write `torch.save(model.state_dict(), FILE)` and give that file"
        )
    if "TorchScript" in str(error):
        return "it is a TorchScript program; give the state_dict that it was made from"
    for mark, meaning in _MARKS:
        if head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(mark):
            return f"it is {meaning}"
    if _is_safetensors(head):
        return "it is a safetensors file; write its tensors with torch.save(safetensors.torch.load_file(...), FILE)"
    if path.suffix == ".onnx" or b"pytorch" in head[:32]:
        return "it is an ONNX file, which is deployed already; give the .pth that it was exported from"
    if head.startswith((b"PK", b"\x80")):
        return "it is cut or damaged; copy it again"
    return "its first bytes are those of no file that PyTorch writes"


def _is_safetensors(head: bytes) -> bool:
    header = head[_SAFETENSORS_HEADER:]
    return len(head) > _SAFETENSORS_HEADER and header.startswith(b'{"')


def _unwrap(content: dict[Any, Any], under: str = "") -> tuple[dict[Any, Any], str]:
    """The innermost dictionary that holds weights, and the name it is under; or else the content itself."""
    for name in _WRAPPERS:
        inner = content.get(name)
        if isinstance(inner, dict):
            state, found = _unwrap(inner, under if under in _AVERAGED else name)
            if _is_weights(state):
                return state, found
    return content, under


def _is_weights(state: dict[Any, Any]) -> bool:
    return bool(state) and all(isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items())


def _strip(state: StateDict, *, source: Path) -> StateDict:
    """Weights without the prefixes of wrappers; what a file holds beside its network is logged and left out."""
    while prefix := next((name for name in _PREFIXES if any(key.startswith(f"{name}.") for key in state)), None):
        beside = sorted({key.split(".")[0] for key in state if not key.startswith(f"{prefix}.")} - {*_COUNTERS})
        if beside:
            logger.info("%s: the weights of %s are taken; not used of it: %s", source, prefix, ", ".join(beside))
        state = {key.removeprefix(f"{prefix}."): value for key, value in state.items() if key.startswith(f"{prefix}.")}
    return state


def _refuse_no_numbers(state: StateDict, *, source: Path) -> None:
    """Refuse weights of a training that diverged. Classifiers do not count: no descriptor depends on them."""
    broken = [
        name
        for name, value in state.items()
        if value.is_floating_point() and not name.startswith(CLASSIFIER) and not torch.isfinite(value).all()
    ]
    if broken:
        raise CheckpointError(
            f"{len(broken)} of the {len(state)} weights of {source} hold values that are not finite numbers, "
            f"{', '.join(broken[:3])} for example; its training diverged: give an earlier checkpoint, or train again "
            "with a lower learning rate"
        )
