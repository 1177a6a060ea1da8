"""Gating vectors are those of the last block, and clusters hold what is alike."""

from pathlib import Path

import numpy as np
import pytest
import torch

from edge_runtime.contract.errors import ConfigError, DataError
from tests.support.every_network import network
from tests.support.small_checkpoint import write_checkpoint
from train.datasets.catalog import ReidData, load_images
from train.models.checkpoint import load_network
from train.models.osnet import OSBlock
from train.models.pixels import normalise_pixels
from train.pictures.gates import find_clusters, find_gate_modules, gating_vectors


def test_gating_vectors_of_the_four_streams_stand_side_by_side(data: ReidData, tmp_path: Path) -> None:
    """Section 3.2 by hand: each stream's average through the gate, the shallowest stream first."""
    loaded = load_network(write_checkpoint(tmp_path, "osnet_x0_25"))
    samples, size = data.query[:3], loaded.manifest.input
    pixels = torch.from_numpy(load_images(samples, height_px=size.height_px, width_px=size.width_px))
    block = loaded.network.get_submodule("conv4.1")
    assert isinstance(block, OSBlock)
    seen: list[torch.Tensor] = []
    hook = block.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    with torch.no_grad():
        loaded.network(normalise_pixels(pixels.permute(0, 3, 1, 2), size))
        streams = block.streams(block.conv1(seen[0]))
        gates = [block.gate.weights(stream.mean(dim=(2, 3), keepdim=True)).flatten(1) for stream in streams]
    hook.remove()
    np.testing.assert_allclose(gating_vectors(loaded, samples), torch.cat(gates, dim=1), atol=1e-5)


@pytest.mark.parametrize(
    ("architecture", "names"),
    [
        ("osnet_ain_x0_25", ("conv4.1.gate.fc2",)),
        ("osnet_x0_25_separate_gates", tuple(f"conv4.1.fusion.gates.{stream}.fc2" for stream in range(4))),
        ("plr_osnet_x0_25", ("local_branch.conv4.1.gate.fc2", "global_branch.conv4.1.gate.fc2")),
    ],
)
def test_gates_are_found_in_the_last_block(architecture: str, names: tuple[str, ...]) -> None:
    """Shared or one per stream; of PLR-OSNet in both branches."""
    assert find_gate_modules(network(architecture)) == names


@pytest.mark.parametrize("architecture", ["osnet_x0_25_addition", "osnet_x0_25_fixed_gates", "pyramid_r50"])
def test_a_network_without_gates_is_refused(architecture: str) -> None:
    """No gate, or one that does not look at the image: there is nothing to cluster."""
    with pytest.raises(ConfigError, match="no gate with a value for each image and channel"):
        find_gate_modules(network(architecture))


def test_a_cluster_holds_what_is_alike_and_its_middle_comes_first() -> None:
    """Three clouds: found whole, the largest first, each image by its distance to the mean of its cloud."""
    random = np.random.default_rng(0)
    sizes = (20, 40, 30)
    clouds = [random.normal(10 * number, 1, (size, 5)) for number, size in enumerate(sizes)]
    found = find_clusters(np.concatenate(clouds).astype(np.float32), count=3, seed=0)
    assert [cluster.size for cluster in found] == [40, 30, 20]
    starts = {40: 20, 30: 60, 20: 0}
    for cluster in found:
        cloud = clouds[sizes.index(cluster.size)]
        expected = np.argsort(np.linalg.norm(cloud - cloud.mean(axis=0), axis=1))[:15] + starts[cluster.size]
        np.testing.assert_array_equal(cluster.nearest, expected)


def test_more_clusters_than_different_images_are_refused() -> None:
    """Copies of an image do not make a second cluster."""
    vectors = np.repeat(np.eye(3, dtype=np.float32), 10, axis=0)
    with pytest.raises(DataError, match="3 different gating vectors are too few for 4 clusters; choose fewer"):
        find_clusters(vectors, count=4, seed=0)
