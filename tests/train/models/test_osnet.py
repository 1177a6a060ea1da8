"""OSNet, OSNet-IBN and OSNet-AIN against golden descriptors, gradients and names."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edge_runtime.contract.errors import CheckpointError
from tests.conftest import ROOT
from tests.golden.rule import image, parameter
from train.models.catalog import build
from train.models.training_output import TrainingOutput
from train.training.losses import label_smoothed_cross_entropy

GOLDEN = ROOT / "tests" / "golden"
TRAIN_MODE: dict[str, Any] = json.loads((GOLDEN / "train_mode.json").read_text())["models"]


def golden_network(name: str, *, classes: int = 1000, dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    network = build(name, classes=classes).to(dtype)
    state = network.state_dict()
    filled = {key: torch.tensor(parameter(key, tuple(value.shape))).to(value.dtype) for key, value in state.items()}
    network.load_state_dict(filled)
    return network.eval()


@pytest.mark.parametrize("name", ["osnet_x1_0", "osnet_x0_25", "osnet_ibn_x1_0"])
def test_descriptors_equal_the_golden_ones(name: str) -> None:
    """Within 1e-4 of their standard deviation in float32: float32 rounding of the reference itself is up to 1e-5."""
    expected = np.load(GOLDEN / "features" / f"{name}_256x128.npy")
    images = np.stack([image(number, height=256, width=128) for number in range(len(expected))])
    with torch.inference_mode():
        found = golden_network(name)(torch.tensor(images, dtype=torch.float32)).numpy()
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-4 * expected.std()


@pytest.mark.parametrize("path", sorted((GOLDEN / "state_dict").glob("osnet_*.json")), ids=lambda path: path.stem)
def test_state_dict_has_the_public_names_and_shapes(path: Any) -> None:
    """Names, shapes and order are those of the public code, so that its checkpoints load."""
    expected = json.loads(path.read_text())["shapes"]
    found = {key: list(value.shape) for key, value in build(path.stem, classes=1000).state_dict().items()}
    assert list(found.items()) == list(expected.items())


@pytest.mark.parametrize("name", ["osnet_x0_25", "osnet_ibn_x0_25", "osnet_ain_x0_25", "osnet_attributes_x0_25"])
def test_pretrained_weights_fill_all_but_the_classifier(name: str) -> None:
    """Weights for 1,000 classes start a network for 7: only the classifier keeps its own numbers."""
    torch.manual_seed(0)
    source, network = build(name, classes=1000), build(name, classes=7)
    classifier = copy.deepcopy(network.classifier.state_dict())
    network.load_pretrained(source.state_dict(), source=Path("imagenet.pth"))
    state, expected = network.state_dict(), source.state_dict()
    assert all(torch.equal(state[key], expected[key]) for key in state if not key.startswith("classifier"))
    assert all(torch.equal(network.classifier.state_dict()[key], value) for key, value in classifier.items())


def test_pretrained_weights_of_another_width_are_refused() -> None:
    """Nothing is loaded in part."""
    network = build("osnet_x0_25", classes=7)
    with pytest.raises(CheckpointError, match=r"imagenet\.pth belongs to another network"):
        network.load_pretrained(build("osnet_x0_5", classes=7).state_dict(), source=Path("imagenet.pth"))


@pytest.mark.parametrize("name", ["osnet_x0_25", "osnet_ain_x0_25"])
def test_pretrained_weights_fill_every_backbone_module(name: str) -> None:
    """Backbone modules and classifier hold every parameter, once."""
    network = build(name, classes=7)
    backbone = [p for child in network.backbone_modules for p in network.get_submodule(child).parameters()]
    found = sorted(map(id, [*backbone, *network.classifier.parameters()]))
    assert found == sorted(map(id, network.parameters()))


@pytest.mark.parametrize("name", ["osnet_x0_25", "osnet_ain_x0_25"])
def test_hooks_show_the_gating_vectors_of_a_block(name: str) -> None:
    """The last block adds its streams weighted by the four vectors that its gate's second layer gave, in order."""
    network = golden_network(name)
    block, gates, inside = network.conv4[1], [], {}
    block.gate.fc2.register_forward_hook(lambda module, inputs, output: gates.append(torch.sigmoid(output)))
    block.conv1.register_forward_hook(lambda module, inputs, output: inside.update(reduced=output))
    block.conv3.register_forward_hook(lambda module, inputs, output: inside.update(total=inputs[0]))
    with torch.inference_mode():
        network(torch.tensor(image(0, height=64, width=32), dtype=torch.float32).unsqueeze(0))
        streams = block.streams(inside["reduced"])
    assert len(gates) == len(streams) == 4
    expected = sum(gate * stream for gate, stream in zip(gates, streams, strict=True))
    torch.testing.assert_close(inside["total"], expected)


@pytest.mark.parametrize("name", ["osnet_x0_25", "osnet_ibn_x0_25", "osnet_ain_x0_25"])
@pytest.mark.parametrize("size", [(256, 128), (160, 64)])
def test_any_input_size_gives_512_numbers(name: str, size: tuple[int, int]) -> None:
    """Eval mode gives one descriptor, train mode logits and embedding of the same images."""
    network = build(name, classes=7)
    images = torch.randn(3, 3, *size)
    assert network.eval()(images).shape == (3, 512)
    output = network.train()(images)
    assert isinstance(output, TrainingOutput)
    assert [t.shape for t in (*output.logits, *output.embeddings)] == [(3, 7), (3, 512)]


@pytest.mark.parametrize("name", [name for name in TRAIN_MODE if name.startswith("osnet")])
def test_training_forward_and_backward_equal_the_golden_figures(name: str) -> None:
    """Batch statistics, label-smoothed loss and gradients in float64: only summation order may differ, so 1e-8."""
    golden = TRAIN_MODE[name]
    network = golden_network(name, classes=751, dtype=torch.float64).train()
    images = torch.tensor(np.stack([image(number, height=256, width=128) for number in range(4)]))
    output = network(images)
    loss = label_smoothed_cross_entropy(output.logits[0], torch.tensor([0, 0, 1, 1]), smoothing=0.1)
    loss.backward()
    gradients = {key: value.grad.norm().item() for key, value in network.named_parameters()}
    gradients["all_parameters"] = sum(value**2 for value in gradients.values()) ** 0.5
    assert output.logits[0][0, :8].tolist() == pytest.approx(golden["logits"]["row0_first8"], rel=1e-8, abs=1e-9)
    assert output.embeddings[0][0, :8].tolist() == pytest.approx(golden["features"]["row0_first8"], rel=1e-8, abs=1e-9)
    assert loss.item() == pytest.approx(golden["label_smoothed_ce"], rel=1e-8)
    for key, expected in golden["grad_l2"].items():
        assert gradients[key] == pytest.approx(expected, rel=1e-8), key
