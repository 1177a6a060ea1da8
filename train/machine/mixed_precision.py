"""Numeric precision: bfloat16 and TF32 for training, full float32 for scoring."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

from edge_runtime.contract.errors import ConfigError


def precision_for(device: torch.device) -> torch.dtype:
    """bfloat16 if the device supports it in hardware, else float32: emulation is slower than float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    has_mkldnn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return torch.bfloat16 if has_mkldnn and torch.ops.mkldnn._is_mkldnn_bf16_supported() else torch.float32


def choose_precision(device: torch.device, asked: str = "auto") -> torch.dtype:
    """The precision to train in. asked: auto (see `precision_for`), bfloat16 or float32, which the papers used.

    Raises:
        ConfigError: bfloat16 is asked for, and the device would only emulate it.
    """
    fast = precision_for(device)
    if asked == "bfloat16" and fast != torch.bfloat16:
        raise ConfigError(f"--precision bfloat16 would be emulated on this {device.type}, slowly; take float32")
    return torch.float32 if asked == "float32" else fast


def compute_in(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[None]:
    """Run a forward pass in `dtype` where that is safe; weights, sums and losses stay in float32."""
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


def prefer_speed(device: torch.device, *, precision: torch.dtype) -> None:
    """Let cuDNN search for its fastest kernels, since sizes do not change, and let float32 products use TF32, unless
    all of the training is in float32: then it is in full float32.
    """
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        is_mixed = precision != torch.float32
        torch.backends.cudnn.allow_tf32 = is_mixed
        torch.set_float32_matmul_precision("high" if is_mixed else "highest")


@contextmanager
def without_tf32() -> Iterator[None]:
    """Compute in full float32, whatever training allows: TF32 keeps only 10 of 23 bits of the mantissa."""
    convolutions, products = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = convolutions
        torch.set_float32_matmul_precision(products)
