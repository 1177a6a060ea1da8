"""Rewrites one by one, on the smallest network that has what they look for."""

import copy

import pytest
import torch
from torch import Tensor, fx, nn

from edge_runtime.contract.errors import ExportError
from edge_runtime.contract.manifest import Input
from export.graph.deploy import DeployedNetwork
from export.graph.rewrites.batch_norms import fold_batch_norms
from export.graph.rewrites.dense import compose_light_convolutions
from export.graph.rewrites.gate_stacking import stack_gates
from export.graph.rewrites.graph import Rewrite, trace
from export.graph.rewrites.half import to_half_precision
from export.graph.rewrites.pools import compose_mean_pools, replace_mean_pools
from export.graph.rewrites.reductions import share_maxima, stack_reductions
from export.graph.rewrites.stem_folding import fold_normalisation_of_four_channels, fold_standard_deviation
from export.graph.rewrites.streams import align_streams
from train.models.osnet import ChannelGate, LightConv3x3, OSBlock

INPUT = Input(height_px=16, width_px=8)
Modules = dict[str, list[nn.Module]]


def rewritten(network: nn.Module, images: Tensor, *rewrites: Rewrite) -> list[nn.Module]:
    """Check that rewrites leave the function as it is. Returns the modules that are called then."""
    network.eval()
    traced = trace(network)
    for rewrite in rewrites:
        rewrite(traced)
    with torch.inference_mode():
        torch.testing.assert_close(traced(images), network(images), atol=2e-5, rtol=2e-5)
    return [traced.get_submodule(str(node.target)) for node in traced.graph.nodes if node.op == "call_module"]


def settled(network: nn.Module) -> nn.Module:
    """Give every batch norm statistics of its own."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 2)  # type: ignore[arg-type]
            nn.init.normal_(module.bias, std=0.3)
    return network


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


class _Norms(nn.Module):
    """One norm that can be folded, and one that cannot, because its convolution is read twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.first_norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.second, self.second_norm = nn.Conv2d(4, 4, 3, bias=False), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first_norm(self.first(x))
        y = self.second(x)
        return self.second_norm(y) + y


def test_a_norm_is_folded_only_where_nothing_else_reads_the_convolution() -> None:
    """Folding changes the convolution's output, so everyone who reads it."""
    called = rewritten(settled(_Norms()), torch.randn(2, 3, 9, 9), fold_batch_norms)
    assert [type(module) for module in called] == [nn.Conv2d, nn.Conv2d, nn.BatchNorm2d]


def test_networks_without_gates_are_left_alone() -> None:
    """Other architectures pass through unchanged."""
    traced = fx.symbolic_trace(_Norms().eval())
    before = traced.code
    stack_gates(traced)
    align_streams(traced)
    assert traced.code == before


def test_streams_end_in_one_tensor() -> None:
    """Four levels of a 1x1 and a depthwise convolution for ten Lite layers, each level one stream wider."""
    block = settled(OSBlock(32, 32))
    called = rewritten(block, torch.randn(2, 32, 6, 4), fold_batch_norms, align_streams)
    convs = [module for module in called if isinstance(module, nn.Conv2d) and module.out_channels % 8 == 0]
    levels = [(conv.in_channels, conv.out_channels, conv.groups) for conv in convs[1:-1]]
    assert levels == [
        (8, 8, 1),
        (8, 8, 8),
        (16, 16, 2),
        (16, 16, 16),
        (24, 24, 3),
        (24, 24, 24),
        (32, 32, 4),
        (32, 32, 32),
    ]


class _ReadTwice(OSBlock):
    """A block one of whose streams is read by something else too."""

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.conv1(x)
        first = self.conv2a(reduced)
        return self.conv3(self.gate(first) + self.gate(self.conv2b(reduced)) + first)


def test_a_stream_that_is_read_elsewhere_stays() -> None:
    """Only what a sum of gated streams alone reads may be rewritten."""
    called = rewritten(settled(_ReadTwice(32, 32)), torch.randn(1, 32, 6, 4), fold_batch_norms, align_streams)
    assert [type(module) for module in called].count(ChannelGate) == 2


def test_a_lite_layer_becomes_one_convolution() -> None:
    """1x1 and depthwise 3x3 are one full 3x3, at the border too."""
    called = rewritten(settled(LightConv3x3(8)), torch.randn(2, 8, 5, 4), fold_batch_norms, compose_light_convolutions)
    convs = [module for module in called if isinstance(module, nn.Conv2d)]
    assert [(conv.kernel_size, conv.groups) for conv in convs] == [((3, 3), 1)]


def test_a_1x1_with_a_bias_is_not_composed() -> None:
    """Zeros beyond the border would become the bias within it."""
    network = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, padding=1, groups=4))
    assert len(rewritten(network, torch.randn(1, 4, 5, 4), compose_light_convolutions)) == 2


def test_a_mean_pool_becomes_a_convolution() -> None:
    """2x2 pools only; odd rows are dropped as before."""
    network = nn.Sequential(nn.Conv2d(3, 6, 1), nn.ReLU(), nn.AvgPool2d(2, stride=2), nn.AvgPool2d(3))
    called = rewritten(network, torch.randn(2, 3, 13, 15), replace_mean_pools)
    assert [type(module) for module in called] == [nn.Conv2d, nn.ReLU, nn.Conv2d, nn.AvgPool2d]
    assert isinstance(called[2], nn.Conv2d)
    assert called[2].groups == 6


def test_a_mean_pool_moves_into_the_1x1_behind_it() -> None:
    """It is a 2x2 convolution of stride 2 then; a 3x3 reader keeps the pool."""
    pool = nn.AvgPool2d(2, stride=2)
    one = nn.Sequential(nn.Conv2d(3, 6, 3), pool, nn.Conv2d(6, 4, 1))
    three = nn.Sequential(nn.Conv2d(3, 6, 3), pool, nn.Conv2d(6, 4, 3))
    assert len(rewritten(one, torch.randn(1, 3, 11, 9), compose_mean_pools)) == 2
    assert len(rewritten(three, torch.randn(1, 3, 11, 9), compose_mean_pools)) == 3


class _Heads(nn.Module):
    """Whole and stripes of a map, each reduced by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.whole, self.cut = nn.AdaptiveMaxPool2d(1), nn.AdaptiveMaxPool2d((2, 1))
        self.reductions = nn.ModuleList(nn.Conv2d(6, 4, 1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        whole, stripes = self.whole(x), self.cut(x)
        parts = [whole, stripes[:, :, :1], stripes[:, :, 1:]]
        return torch.cat([torch.relu(r(p)).flatten(1) for r, p in zip(self.reductions, parts, strict=True)], dim=1)


def test_reductions_become_one_and_the_map_is_read_once() -> None:
    """Three 1x1 convolutions are one with three groups; the whole map's maximum is that of its stripes' maxima."""
    called = rewritten(_Heads(), torch.randn(2, 6, 8, 3), share_maxima, stack_reductions)
    assert [type(module) for module in called] == [nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool2d, nn.Conv2d]
    assert isinstance(called[2], nn.Conv2d)
    assert (called[2].groups, called[2].out_channels) == (3, 12)


def _stem() -> DeployedNetwork:
    return DeployedNetwork(nn.Sequential(nn.Conv2d(3, 4, 7, stride=2, padding=3), nn.ReLU()), INPUT)


def _pixels(channels: int) -> Tensor:
    return torch.randint(0, 256, (2, 16, 8, channels), dtype=torch.uint8)


def test_the_stem_takes_over_the_standard_deviation() -> None:
    """The border stays exact: it is the mean that would move it, and the mean stays."""
    rewritten(_stem(), _pixels(3), fold_standard_deviation)


def test_four_channels_need_no_normalisation_border_included() -> None:
    """The fourth channel, 255 inside the image, carries the mean; the zeros around the image stay what they were."""
    network = _stem().eval()
    traced = trace(network)
    fold_normalisation_of_four_channels(traced)
    four = _pixels(4)
    four[..., 3] = 255
    with torch.inference_mode():
        torch.testing.assert_close(traced(four), network(four[..., :3]), atol=2e-5, rtol=2e-5)


def test_four_channels_need_a_stem() -> None:
    """There is nowhere to put the mean without a convolution that alone reads the pixels."""
    with pytest.raises(ExportError, match="first step is one convolution; use three channels"):
        fold_normalisation_of_four_channels(trace(DeployedNetwork(nn.MaxPool2d(2), INPUT)))


class _Mean(nn.Module):
    """A mean whose sum float16 cannot hold."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.normalize(100 * self.stem(x).abs().mean(dim=(2, 3)))


def test_half_precision_adds_up_in_float32() -> None:
    """A mean and a norm get float32 and give it; what lies between may be float16."""
    half = to_half_precision(trace(DeployedNetwork(_Mean(), INPUT).eval()))
    casts = [node.target for node in half.graph.nodes if node.op == "call_method" and node.target in ("half", "float")]
    assert casts == ["half", "float", "half", "float"]
    assert copy.deepcopy(half)(_pixels(3)).norm(dim=1).tolist() == pytest.approx([1, 1])
