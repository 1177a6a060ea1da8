"""Engines that take RGBA pixels, from the checkpoint to the descriptor."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from calibration import select_images
from edge_runtime.contract.manifest import read_manifest
from edge_runtime.contract.preprocess import in_colour_order
from edge_runtime.engine.catalog import open_engine
from export import build_engine
from export.acceptance import pack_images
from export.graph.deploy import deploy
from export.to_onnx import main
from tests.support.every_network import largest_error, truth
from tests.support.market_folder import write_market_folder
from tests.support.small_osnet import FACTS, HEIGHT_PX, WIDTH_PX, write_public_checkpoint
from tests.support.trained_osnet import INPUT, demo_osnet, people

# The network was never trained: what INT8 costs it jumps, and is not what this test is about.
ANY_LOSS = ("--rank1-points", "100", "--map-points", "100", "--mean-cosine", "-1", "--least-cosine", "-1")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one network twice, taking RGB and RGBA pixels."""
    folder = tmp_path_factory.mktemp("exported")
    checkpoint = str(write_public_checkpoint(folder))
    for pixels in ("rgb", "rgba"):
        assert main([checkpoint, "--output", str(folder), "--half", "--pixels", pixels, *FACTS]) == 0
    return folder


@pytest.mark.parametrize(("precision", "atol"), [("", 2e-6), ("_fp16", 5e-3)])
def test_it_describes_as_the_rgb_engine_does(exported: Path, precision: str, atol: float) -> None:
    """The same crops in, border and extremes included; float32 to summation order, float16 to its 11 bits."""
    crops = np.random.default_rng(0).integers(0, 256, (6, HEIGHT_PX, WIDTH_PX, 3), dtype=np.uint8)
    crops[-2], crops[-1] = 0, 255
    with (
        open_engine(exported / f"osnet{precision}.onnx") as rgb,
        open_engine(exported / f"osnet_rgba{precision}.onnx") as rgba,
    ):
        np.testing.assert_allclose(rgba.describe(crops), rgb.describe(crops), atol=atol)


def test_it_is_quantized_and_accepted_as_any_other(exported: Path, tmp_path: Path) -> None:
    """By a calibration list and packed crops of the RGB file: crops are the same, and the engine widens them."""
    data, images, packed = write_market_folder(tmp_path / "data"), tmp_path / "list.json", tmp_path / "acceptance.npz"
    assert select_images.main([str(data), "--output", str(images), "--count", "20"]) == 0
    packing = [str(data), "--model", str(exported / "osnet.onnx"), "--output", str(packed), "--identities", "2"]
    assert pack_images.main(packing) == 0
    output = tmp_path / "int8.onnx"
    options = [
        "--int8",
        "--calibration",
        str(images),
        "--data",
        str(data),
        "--acceptance",
        str(packed),
        "--output",
        str(output),
    ]
    options += ["--backend", "onnxruntime", *ANY_LOSS, "--allow-slower"]
    assert build_engine.main([str(exported / "osnet_rgba.onnx"), *options]) == 0
    assert read_manifest(output).input.colour_order == "RGBA"


def test_its_descriptors_meet_those_of_the_rgb_engine(exported: Path) -> None:
    """A gallery may hold both: the space is the same, the manifest says how pixels go in."""
    rgb, rgba = (read_manifest(exported / name) for name in ("osnet.onnx", "osnet_rgba.onnx"))
    assert rgba.space_id == rgb.space_id
    assert (rgb.input.colour_order, rgba.input.colour_order) == ("RGB", "RGBA")


def test_nothing_stands_between_its_pixels_and_the_stem(exported: Path) -> None:
    """A cast and a change of layout: mean and standard deviation are in the stem's weights."""
    model = onnx.load(exported / "osnet_rgba.onnx")
    steps = [node.op_type for node in model.graph.node if node.op_type != "Identity"]  # those name equal constants
    assert steps[:3] == ["Cast", "Transpose", "Conv"]
    assert [size.dim_value for size in model.graph.input[0].type.tensor_type.shape.dim[1:]] == [HEIGHT_PX, WIDTH_PX, 4]


def test_with_trained_weights_it_is_exact_to_1e_5() -> None:
    """Against float64, relative to the largest number, as with three channels."""
    images, trained = people(), demo_osnet()
    pixels = torch.from_numpy(in_colour_order(images.numpy(), "RGBA"))
    deployed = deploy(trained, INPUT.model_copy(update={"colour_order": "RGBA"}), graph="stack")
    with torch.inference_mode():
        assert largest_error(deployed(pixels).numpy(), truth(trained, images, INPUT)) < 1e-5
