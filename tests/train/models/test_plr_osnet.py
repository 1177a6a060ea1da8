"""PLR-OSNet against golden descriptors, training figures and counts, and its rows of tables IV to VI."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edge_runtime.contract.errors import CheckpointError
from tests.support.public_weights import GOLDEN, golden_features, golden_images, public_state
from train.models.catalog import build
from train.models.complexity import measure_complexity
from train.models.plr_osnet import Attention
from train.models.public_names import find_layout, load_public
from train.models.training_output import TrainingOutput
from train.training.losses import batch_hard_triplet, label_smoothed_cross_entropy

SOURCE = Path("plr.pth")


def golden_network(*, classes: int = 3, dtype: torch.dtype = torch.float32) -> nn.Module:
    network, state = build("plr_osnet", classes=classes).to(dtype), public_state("plr_osnet", dtype=dtype)
    layout = find_layout(state)
    assert layout is not None
    load_public(network, state, layout=layout, source=SOURCE)
    return network.eval()


def small(name: str = "plr_osnet") -> nn.Module:
    torch.manual_seed(0)
    return build(f"{name}_x0_25", classes=7)


def test_descriptors_equal_the_golden_ones() -> None:
    """Within 1e-4 of their standard deviation in float32: rounding of the reference itself is 1e-5.

    One joint norm, a pooled gate, no BN in the attention or an average in the global branch would each cost over 1.
    """
    expected = golden_features("plr_osnet_256x128")
    with torch.inference_mode():
        found = golden_network()(golden_images(4, height=256).float()).numpy()
    assert found.shape == expected.shape == (4, 2560)
    assert np.abs(found - expected).max() <= 1e-4 * expected.std()


def test_training_forward_and_backward_equal_the_golden_figures() -> None:
    """Batch statistics, losses and gradients in float64: only summation order may differ, so 1e-8."""
    golden = json.loads((GOLDEN / "train_mode.json").read_text())["models"]["plr_osnet"]
    network, state = golden_network(classes=751, dtype=torch.float64), public_state("plr_osnet", dtype=torch.float64)
    for number in (1, 2):
        for name in ("weight", "bias"):
            network.get_parameter(f"classifiers.{number - 1}.{name}").data = state[f"classifier{number}.{name}"]
    output = network.train()(golden_images(4, height=256))
    labels = torch.tensor([0, 0, 1, 1])
    id_loss = sum(label_smoothed_cross_entropy(logits, labels, smoothing=0.1) for logits in output.logits) / 2
    triplet = sum(batch_hard_triplet(embedding, labels, margin=None) for embedding in output.embeddings) / 2
    (id_loss + triplet).backward()
    for found, name in zip(
        (*output.logits, *output.embeddings),
        ("logits_local", "logits_global", "pre_bn_local_2048", "pre_bn_global_512"),
        strict=True,
    ):
        assert list(found.shape) == golden[name]["shape"]
        assert found[0, :8].tolist() == pytest.approx(golden[name]["row0_first8"], rel=1e-8, abs=1e-9), name
    assert id_loss.item() == pytest.approx(golden["id_loss_mean_of_branches"], rel=1e-8)
    assert triplet.item() == pytest.approx(golden["soft_triplet_mean_of_branches"], rel=1e-8)
    names = {
        "layer0.0.conv.weight": "conv1.conv.weight",
        "attention_module1.pam.gamma": "attention1.position.gamma",
        "attention_module2.pam.query_conv.weight": "attention2.position.query.weight",
        "attention_module1.se.fc1.weight": "attention1.gate.fc1.weight",
        "layer31.0.0.conv1.conv.weight": "global_branch.conv4.0.conv1.conv.weight",
        "fc2.weight": "global_head.linear.weight",
        "classifier1.weight": "classifiers.0.weight",
        "classifier2.weight": "classifiers.1.weight",
    }
    for public, own in names.items():
        gradient = network.get_parameter(own).grad
        assert gradient is not None
        assert gradient.norm().item() == pytest.approx(golden["grad_l2_of_id_plus_triplet"][public], rel=1e-8), own


def test_cost_is_the_golden_one() -> None:
    """Parameters and Mult-Adds of the published network; the products of the attention are counted by themselves."""
    rows = json.loads((GOLDEN / "complexity.json").read_text())["other"]
    golden = next(row for row in rows if row["model"].startswith("plr_osnet"))
    network = build("plr_osnet", classes=751)
    found = measure_complexity(network, height_px=256, width_px=128)
    assert found.parameters == golden["params_test_time"]
    assert sum(parameter.numel() for parameter in network.parameters()) == golden["params_total"]
    assert round(found.mult_adds / 1e6, 1) == golden["mult_adds_torchreid_counter_millions"]
    assert round(found.attention_mult_adds / 1e6, 1) == golden["attention_matmul_millions_not_in_that_count"]


@pytest.mark.parametrize(
    ("name", "logits", "embeddings"),
    [
        ("plr_osnet", 2, (512, 512)),
        ("plr_osnet_pooled_gate", 2, (512, 512)),
        ("plr_osnet_without_attention", 2, (512, 512)),
        ("plr_osnet_multiple_id", 5, (512, 512)),
        ("plr_osnet_without_global", 1, (512,)),
    ],
)
def test_every_row_of_the_tables_describes_and_trains(name: str, logits: int, embeddings: tuple[int, ...]) -> None:
    """One classifier per branch, or per stripe; an embedding per branch. Each branch has length 1."""
    network, images = small(name), torch.randn(3, 3, 64, 32)
    output = network.train()(images)
    assert isinstance(output, TrainingOutput)
    assert [tuple(x.shape) for x in output.logits] == [(3, 7)] * logits
    assert [tuple(x.shape) for x in output.embeddings] == [(3, length) for length in embeddings]
    descriptors = network.eval()(images)
    assert [length for _, length in network.descriptor_parts] == list(embeddings)
    for part in descriptors.split(list(embeddings), dim=1):
        torch.testing.assert_close(part.norm(dim=1), torch.ones(3))


@pytest.mark.parametrize("name", ["plr_osnet", "plr_osnet_multiple_id", "plr_osnet_without_global"])
def test_the_losses_reach_every_weight(name: str) -> None:
    """A weight that no logit and no embedding depends on would be dead."""
    network = small(name).train()
    output = network(torch.randn(4, 3, 64, 32))
    sum(x.sum() for x in (*output.logits, *output.embeddings)).backward()
    assert [key for key, value in network.named_parameters() if value.grad is None] == []


def test_attention_starts_as_a_gate_alone() -> None:
    """gamma is 0 at first: what is gathered is nothing, and the BN of nothing is nothing."""
    attention, x = small().attention1.eval(), torch.randn(2, 64, 8, 4)
    torch.testing.assert_close(attention.position(x), x)


def test_attention_starts_by_looking_everywhere() -> None:
    """No position gets more than a few times its even share; He's initialisation would give one nearly all."""
    network, strongest = small().train(), []

    def keep(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        query, key = module.query(inputs[0]).flatten(2), module.key(inputs[0]).flatten(2)
        strongest.append(torch.softmax(query.transpose(1, 2) @ key, dim=2).max().item())

    for attention in (network.attention1, network.attention2):
        attention.position.register_forward_hook(keep)
    network(torch.randn(4, 3, 128, 64))  # 128 and 32 positions
    assert strongest[0] < 8 / 128
    assert strongest[1] < 8 / 32


@pytest.mark.parametrize("pools", [False, True])
def test_attention_equals_its_definition(pools: bool) -> None:
    """Against loops over positions: similarity of query and key, softmax over all keys, sum of the map itself."""
    torch.manual_seed(1)
    attention = Attention(16, pools=pools).eval()
    nn.init.constant_(attention.position.gamma, 0.7)
    x = torch.randn(1, 16, 3, 2)
    query, key = attention.position.query(x).flatten(2)[0], attention.position.key(x).flatten(2)[0]
    gathered = torch.zeros(16, 6)
    for i in range(6):
        weights = torch.softmax(torch.stack([query[:, i] @ key[:, j] for j in range(6)]), dim=0)
        for j in range(6):
            gathered[:, i] += weights[j] * x.flatten(2)[0, :, j]
    out = attention.position.bn(0.7 * gathered.view(1, 16, 3, 2)) + x
    seen = out.mean(dim=(2, 3), keepdim=True) if pools else out
    gate = torch.sigmoid(attention.gate.fc2(torch.relu(attention.gate.fc1(seen))))
    torch.testing.assert_close(attention(x), out * gate)


def test_length_is_taken_in_float32() -> None:
    """In half precision the squares of values above 256 are infinite, and the descriptor would be zero."""
    network = small().eval()
    nn.init.constant_(network.local_head.bn.weight, 3000.0)
    images = torch.randn(2, 3, 64, 32)
    with torch.inference_mode():
        expected = network(images)
        half = network.half()(images.half())
        with torch.autocast("cpu", torch.bfloat16):
            mixed = network.float()(images)
    for found in (half, mixed):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found[:, :512].norm(dim=1), torch.ones(2))
        assert nn.functional.cosine_similarity(found, expected).min() > 0.98


def test_imagenet_weights_fill_the_trunk_and_both_branches() -> None:
    """Attention, heads and classifiers keep their random weights; OSNet's own head is left out."""
    torch.manual_seed(5)
    source, network = build("osnet_x0_25", classes=1000).state_dict(), small()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    network.load_pretrained(source, source=SOURCE)
    after = network.state_dict()
    for key, value in after.items():
        own = key.removeprefix("local_branch.").removeprefix("global_branch.")
        torch.testing.assert_close(value, source[own] if own.startswith("conv") else before[key])
    children = {
        key.split(".")[0] for key in after if key.split(".")[-1] == "weight" and not after[key].equal(before[key])
    }
    assert children == set(network.backbone_modules)


def test_weights_of_another_network_are_refused() -> None:
    """Another width differs in shape, another kind in names."""
    with pytest.raises(CheckpointError, match=r"other shape: .*conv1\.bn\.bias is \(32,\) instead of \(16,\)"):
        small().load_pretrained(build("osnet_x0_5", classes=5).state_dict(), source=SOURCE)
    with pytest.raises(CheckpointError, match=r"plr\.pth belongs to another network: .*unknown: conv2\.0\.IN\.bias"):
        small().load_pretrained(build("osnet_ibn_x0_25", classes=5).state_dict(), source=SOURCE)
