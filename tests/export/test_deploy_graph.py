"""The network as it is deployed."""

import copy
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import fx, nn

from edge_runtime.contract.manifest import Descriptor, Input, Part
from export.deploy_graph import DeployedNetwork, deploy, deploy_in_half_precision, fold_batch_norms, stack_gates
from export.to_onnx import write_onnx
from tests.small_osnet import HEIGHT_PX, WIDTH_PX, calibrated
from train.models.osnet import ChannelGate

INPUT = Input(height_px=HEIGHT_PX, width_px=WIDTH_PX)
ARCHITECTURES = ["osnet_x0_25", "osnet_ibn_x0_25", "osnet_ain_x0_25"]


def _pixels(count: int) -> torch.Tensor:
    coarse = torch.rand(count, 3, 8, 4, generator=torch.Generator().manual_seed(0)) * 255
    fine = nn.functional.interpolate(coarse, (HEIGHT_PX, WIDTH_PX), mode="bilinear")
    return fine.permute(0, 2, 3, 1).to(torch.uint8).contiguous()


def _truth(network: nn.Module, pixels: torch.Tensor) -> np.ndarray:
    """The original network on images normalised as training does it, all in float64."""
    mean, std = (torch.tensor(values, dtype=torch.float64).view(1, 3, 1, 1) for values in (INPUT.mean, INPUT.std))
    images = (pixels.permute(0, 3, 1, 2).double() / 255 - mean) / std
    with torch.inference_mode():
        return copy.deepcopy(network).double()(images).numpy()


def _export(network: DeployedNetwork, path: Path) -> onnx.ModelProto:
    descriptor = Descriptor(length=512, parts=(Part(name="global", length=512),))
    write_onnx(network, path, input_=INPUT, descriptor=descriptor)
    return onnx.load(path)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_rewrites_are_as_exact_as_the_plain_export(architecture: str, tmp_path: Path) -> None:
    """Against float64, the rewritten file's error is at most twice that of the file without rewrites.

    Random weights amplify rounding: with trained ones both errors are below 1e-5.
    """
    network, pixels = calibrated(architecture), _pixels(6)
    truth = _truth(network, pixels)
    errors = []
    for name, module in (("plain", DeployedNetwork(network, INPUT).eval()), ("deployed", deploy(network, INPUT))):
        _export(module, tmp_path / f"{name}.onnx")
        session = onnxruntime.InferenceSession(tmp_path / f"{name}.onnx", providers=["CPUExecutionProvider"])
        errors.append(np.abs(session.run(None, {"pixels": pixels.numpy()})[0] - truth).max() / np.abs(truth).max())
    plain, deployed = errors
    assert deployed <= 2 * plain
    assert deployed < 1e-4


def test_a_gate_is_called_once_per_block(tmp_path: Path) -> None:
    """Four streams share a gate in each of the six blocks: 6 sigmoids instead of 24, and no batch norm is left."""
    plain = _export(DeployedNetwork(calibrated("osnet_x0_25"), INPUT).eval(), tmp_path / "plain.onnx")
    deployed = _export(deploy(calibrated("osnet_x0_25"), INPUT), tmp_path / "deployed.onnx")
    operators = [[node.op_type for node in model.graph.node] for model in (plain, deployed)]
    assert [found.count("Sigmoid") for found in operators] == [24, 6]
    assert operators[1].count("BatchNormalization") == 0
    assert len(operators[1]) < len(operators[0]) - 40


def test_the_trained_network_stays_as_it_is() -> None:
    """Deployment works on a copy, in both precisions."""
    network = calibrated("osnet_x0_25")
    before = copy.deepcopy(network.state_dict())
    deploy(network, INPUT)
    deploy_in_half_precision(network, INPUT)
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_half_precision_has_float32_ends() -> None:
    """Weights are float16, descriptors come out as float32 and point the same way."""
    network, pixels = calibrated("osnet_x0_25"), _pixels(2)
    half = deploy_in_half_precision(network, INPUT)
    assert {weights.dtype for weights in half.network.parameters()} == {torch.float16}
    with torch.inference_mode():
        descriptors = half(pixels)
    assert descriptors.dtype == torch.float32
    cosines = nn.functional.cosine_similarity(descriptors.double(), torch.from_numpy(_truth(network, pixels)))
    assert cosines.min() > 0.99  # random weights amplify rounding


def test_normalisation_is_that_of_the_manifest() -> None:
    """(pixel / 255 - mean) / std per channel, planes first."""
    pixels = _pixels(1)
    probe = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False), nn.Flatten())
    probe[0].weight.data = torch.eye(3).view(3, 3, 1, 1)
    with torch.inference_mode():
        found = DeployedNetwork(probe, INPUT)(pixels).view(3, HEIGHT_PX, WIDTH_PX)
    for channel in range(3):
        expected = (pixels[0, :, :, channel] / 255 - INPUT.mean[channel]) / INPUT.std[channel]
        torch.testing.assert_close(found[channel], expected, atol=1e-5, rtol=1e-5)


def test_normalisation_works_on_whole_rows(tmp_path: Path) -> None:
    """Mean and std are stored per pixel of a row: three numbers at a time took a fifth of an INT8 network's time."""
    model = _export(deploy(calibrated("osnet_x0_25"), INPUT), tmp_path / "deployed.onnx")
    shapes = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    [subtract], [divide] = ([node for node in model.graph.node if node.op_type == name] for name in ("Sub", "Div"))
    assert shapes[subtract.input[1]] == shapes[divide.input[1]] == [1, 3, 1, WIDTH_PX]


class _Norms(nn.Module):
    """One norm that can be folded, and one that cannot, because its convolution is read twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.first_norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.second, self.second_norm = nn.Conv2d(4, 4, 3, bias=False), nn.BatchNorm2d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first_norm(self.first(x))
        y = self.second(x)
        return self.second_norm(y) + y


def test_a_norm_is_folded_only_where_nothing_else_reads_the_convolution() -> None:
    """Folding changes the convolution's output, so everyone who reads it."""
    torch.manual_seed(0)
    network = _Norms()
    for norm in (network.first_norm, network.second_norm):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    network.eval()
    images = torch.randn(2, 3, 9, 9)
    expected = network(images)
    traced = fx.symbolic_trace(copy.deepcopy(network))
    fold_batch_norms(traced)
    torch.testing.assert_close(traced(images), expected, atol=1e-5, rtol=1e-5)
    assert [name for name, module in traced.named_modules() if isinstance(module, nn.BatchNorm2d)] == ["second_norm"]


def test_stacking_leaves_networks_without_gates_alone() -> None:
    """Other architectures pass through unchanged."""
    traced = fx.symbolic_trace(_Norms().eval())
    before = traced.code
    stack_gates(traced)
    assert traced.code == before
    assert not any(isinstance(module, ChannelGate) for module in traced.modules())
