"""The network as it is deployed: every graph of every network is the same function."""

import copy
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_runtime.contract.manifest import Descriptor, Input, Part
from export.graph.cost import count_graph_cost
from export.graph.deploy import GRAPHS, deploy, deploy_in_half_precision
from export.graph.onnx_file import write_onnx
from export.graph.public_checkpoint import Facts, load_public_checkpoint
from export.graph.variants import Graph
from tests.support.every_network import (
    STRUCTURES,
    descriptor_of,
    input_of,
    largest_error,
    least_cosine,
    network,
    pixels,
    truth,
    typical_error,
)
from tests.support.trained_osnet import INPUT, demo_osnet, extremes, people

# end_dense holds the steps of all others, so it stands for them where the streams are much like OSNet's.
COMPARED: dict[str, tuple[Graph, ...]] = {"osnet_x0_25": tuple(GRAPHS), "plr_osnet_x0_25": tuple(GRAPHS)}
HALVED = (
    *("osnet_ibn_x0_25", "osnet_ain_x0_25", "osnet_x0_25_full_conv", "plr_osnet_x0_25"),
    *("mgn_single_part3", "pyramid_r50_001111"),
)
OSNET = Descriptor(length=512, parts=(Part(name="global", length=512),))


def run(deployed: nn.Module, path: Path, *, images: Tensor, descriptor: Descriptor) -> NDArray[np.float32]:
    """Export a deployed network and describe images with the file."""
    _, height, width, _ = images.shape
    write_onnx(deployed, path, input_=Input(height_px=height, width_px=width), descriptor=descriptor)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    descriptors: NDArray[np.float32] = session.run(None, {"pixels": images.numpy()})[0]
    return descriptors


@pytest.mark.parametrize("name", STRUCTURES)
def test_every_graph_of_every_network_is_as_exact_as_the_plain_one(name: str) -> None:
    """Against float64, its typical error is at most twice that of the network without rewrites.

    The largest error is at most 1e-5 of the largest number, the bound for trained weights: float32's own rounding, over
    as many layers, comes to 0.04e-5 to 0.7e-5.
    """
    images, input_ = pixels(name, count=4), input_of(name)
    expected = truth(network(name), images, input_)
    typical, largest = {}, {}
    for graph in COMPARED.get(name, ("plain", "stack", "end_dense")):
        with torch.inference_mode():
            found = deploy(network(name), input_, graph=graph)(images).numpy()
        typical[graph], largest[graph] = typical_error(found, expected), largest_error(found, expected)
    assert max(typical.values()) <= 2 * typical["plain"], typical
    assert max(largest.values()) <= 1e-5, largest


def _trained_on_msmt17(shared_data: Path) -> nn.Module:
    """OSNet x0.25 as others trained it."""
    facts = Facts("osnet_x0_25", data_set="msmt17", licence="research", height_px=256, width_px=128)
    return load_public_checkpoint(shared_data / "osnet_x0_25_msmt17.pth", facts).network


@pytest.fixture(scope="module", params=["demo", pytest.param("msmt17", marks=pytest.mark.shared_data)])
def trained(request: pytest.FixtureRequest) -> nn.Module:
    """OSNet x0.25 with trained weights: ours, and public ones."""
    if request.param == "demo":
        return demo_osnet()
    return _trained_on_msmt17(request.getfixturevalue("shared_data"))


@pytest.fixture(scope="module")
def expected(trained: nn.Module) -> NDArray[np.float64]:
    """What it makes of people, and then of extremes, in float64."""
    return truth(trained, torch.cat([people(), extremes()]), INPUT)


@pytest.mark.parametrize("graph", GRAPHS)
def test_with_trained_weights_every_graph_is_exact_to_1e_5(
    trained: nn.Module, expected: NDArray[np.float64], graph: Graph, tmp_path: Path
) -> None:
    """Against float64, relative to the largest number."""
    images = people()
    deployed = deploy(trained, INPUT, graph=graph)
    found = run(deployed, tmp_path / "osnet.onnx", images=images, descriptor=OSNET)
    assert largest_error(found, expected[: len(images)]) < 1e-5


@pytest.mark.parametrize("graph", GRAPHS)
def test_half_precision_holds_extreme_images(
    trained: nn.Module, expected: NDArray[np.float64], graph: Graph, tmp_path: Path
) -> None:
    """Black, white, checkerboards, saturated noise: every number is finite, and descriptors point the same way."""
    images = torch.cat([people(), extremes()])
    deployed = deploy_in_half_precision(trained, INPUT, graph=graph)
    found = run(deployed, tmp_path / "osnet.onnx", images=images, descriptor=OSNET)
    assert np.isfinite(found).all()
    assert least_cosine(found, expected) > 0.9999


@pytest.mark.parametrize("name", HALVED)
def test_half_precision_of_every_structure_keeps_a_cosine_of_0_9999(name: str, tmp_path: Path) -> None:
    """To float64, on patterns, and on noise of nothing but black and white; float16's 11 bits cost 0.2e-5 to 4e-5."""
    images, input_ = pixels(name, count=3), input_of(name)
    images[2] = torch.where(images[2] > 127, 255, 0).to(torch.uint8)
    expected = truth(network(name), images, input_)
    half = deploy_in_half_precision(network(name), input_, graph="stack")
    found = run(half, tmp_path / "half.onnx", images=images, descriptor=descriptor_of(network(name)))
    assert np.isfinite(found).all()
    assert least_cosine(found, expected) > 0.9999


def test_half_precision_has_float32_ends() -> None:
    """Weights are float16; what adds up many numbers, and the small products after a mean, are not; descriptors come
    out as float32."""
    half = deploy_in_half_precision(network("osnet_ibn_x0_25"), input_of("osnet_ibn_x0_25"), graph="end")
    kinds = {
        dtype: {type(module) for module in half.modules() for w in module.parameters(recurse=False) if w.dtype == dtype}
        for dtype in (torch.float16, torch.float32)
    }
    assert kinds == {torch.float16: {nn.Conv2d}, torch.float32: {nn.InstanceNorm2d, nn.Conv2d, nn.Linear}}
    with torch.inference_mode():
        assert half(pixels("osnet_ibn_x0_25", count=2)).dtype == torch.float32


@pytest.mark.parametrize(
    ("graph", "nodes", "kernels"), [("stack", 340, 216), ("end", 210, 120), ("end_dense", 186, 96)]
)
def test_rewrites_save_nodes_and_kernels(graph: Graph, nodes: int, kernels: int, tmp_path: Path) -> None:
    """Of 394 nodes and 241 kernels of the plain export of OSNet x0.25."""
    name = "osnet_x0_25"
    write_onnx(
        deploy(network(name), input_of(name), graph=graph),
        tmp_path / "osnet.onnx",
        input_=input_of(name),
        descriptor=OSNET,
    )
    cost = count_graph_cost(onnx.load(tmp_path / "osnet.onnx"))
    assert cost.nodes <= nodes
    assert cost.kernels <= kernels


@pytest.mark.parametrize("graph", GRAPHS)
def test_the_trained_network_stays_as_it_is(graph: Graph) -> None:
    """Deployment works on a copy, in both precisions."""
    trained = network("osnet_x0_25")
    before = copy.deepcopy(trained.state_dict())
    deploy(trained, input_of("osnet_x0_25"), graph=graph)
    deploy_in_half_precision(trained, input_of("osnet_x0_25"), graph=graph)
    after = trained.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
