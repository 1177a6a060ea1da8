"""Training uses the precision in which a device is fast; scoring uses full float32."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import Input
from train.datasets.images import ImageArray
from train.datasets.samples import AttributeData, LabelledImages
from train.machine.mixed_precision import choose_precision, precision_for, prefer_speed
from train.machine.processes import Processes
from train.models.pixels import describe_raw_with
from train.training.tasks import Attributes

CPU = torch.device("cpu")
SIZE = Input(height_px=16, width_px=8)
IMAGES = np.zeros((2, 16, 8, 3), np.uint8)
FAST, WHOLE = (True, "high"), (False, "highest")


def allowed() -> tuple[bool, str]:
    """Whether convolutions may use TF32, and how exact products are."""
    return torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()


class Noting(nn.Module):
    """A network that notes what it was allowed when it ran."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Linear(3, 2)
        self.seen: list[tuple[bool, str]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(allowed())
        return images.mean(dim=(2, 3))


@pytest.fixture
def _speed() -> Iterator[None]:
    """Switch on the fast settings of training on a GPU, and restore the old ones after the test."""
    benchmark, (convolutions, products) = torch.backends.cudnn.benchmark, allowed()
    prefer_speed(torch.device("cuda"), precision=torch.bfloat16)
    yield
    torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32 = benchmark, convolutions
    torch.set_float32_matmul_precision(products)


@pytest.mark.parametrize(("is_native", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_gpu_that_only_emulates_bfloat16_trains_in_float32(
    is_native: bool, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch calls bfloat16 supported on any GPU unless it is told that emulation does not count."""
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: is_native or including_emulation
    )
    assert precision_for(torch.device("cuda")) == expected


@pytest.mark.parametrize("is_native", [True, False])
def test_the_precision_is_what_is_asked_for(is_native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """float32 anywhere, bfloat16 only where the device has it; nothing is replaced in silence."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: is_native)
    gpu = torch.device("cuda")
    assert choose_precision(gpu, "float32") == torch.float32
    assert choose_precision(gpu, "auto") == precision_for(gpu)
    if is_native:
        assert choose_precision(gpu, "bfloat16") == torch.bfloat16
        return
    with pytest.raises(ConfigError, match="--precision bfloat16 would be emulated on this cuda"):
        choose_precision(gpu, "bfloat16")


def test_full_float32_is_without_tf32() -> None:
    """Who asks for the papers' precision gets 23 bits of mantissa, not 10."""
    before = allowed(), torch.backends.cudnn.benchmark
    try:
        prefer_speed(torch.device("cuda"), precision=torch.float32)
        assert allowed() == (False, "highest")
    finally:
        (torch.backends.cudnn.allow_tf32, product), torch.backends.cudnn.benchmark = before
        torch.set_float32_matmul_precision(product)


@pytest.mark.usefixtures("_speed")
def test_descriptors_are_computed_in_whole_float32() -> None:
    """What training allows is off meanwhile, and on again after."""
    network = Noting()
    describe_raw_with(network, SIZE, device=CPU)(IMAGES)
    assert (network.seen, allowed()) == ([WHOLE], FAST)


@pytest.mark.usefixtures("_speed")
def test_predictions_are_computed_in_whole_float32() -> None:
    """Those of classes and attributes, too."""
    network, images = Noting(), LabelledImages(ImageArray(IMAGES), np.array([[0, 1], [1, 0]]))
    data = AttributeData("two", "none", ("one", "other"), images, images, images)
    Attributes(data).score([network], SIZE, processes=Processes(CPU))
    assert (network.seen, allowed()) == ([WHOLE], FAST)
