"""A device trains in the numbers that it is fast in."""

import pytest
import torch

from train.precision import precision_for


@pytest.mark.parametrize(("is_native", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_gpu_that_only_emulates_bfloat16_trains_in_float32(
    is_native: bool, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch calls bfloat16 supported on any GPU unless it is told that emulation does not count."""
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: is_native or including_emulation
    )
    assert precision_for(torch.device("cuda")) == expected
