"""Clusters of gating vectors: images in which OSNet mixes its scales in a similar way."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import ClusterError, kmeans2
from torch import Tensor, nn

from edge_runtime.contract.errors import ConfigError, DataError
from train.datasets.catalog import Sample, load_images
from train.models.checkpoint import LoadedNetwork
from train.models.osnet import ChannelGate
from train.pictures.hooks import look_inside
from train.pictures.sheet import Sheet, SheetRow, Tile, draw_sheet

_NEAREST = 15
_LAST_STAGES = ("conv4", "local_branch.conv4", "global_branch.conv4")
_ROUNDS = 50


@dataclass(frozen=True)
class Cluster:
    """Images with similar gating vectors. nearest: positions of the 15 nearest to the centre, the nearest first."""

    size: int
    nearest: NDArray[np.int64]


def find_gate_modules(network: nn.Module) -> tuple[str, ...]:
    """The modules that give the gating vectors of a network's last block, before the sigmoid.

    PLR-OSNet has a last block in each branch; both count.

    Raises:
        ConfigError: it has no gate with a value for each image and channel.
    """
    stages = (module for name, module in network.named_modules() if name in _LAST_STAGES)
    last_blocks = [list(stage.children())[-1] for stage in stages]
    gates = [gate for block in last_blocks for gate in block.modules() if isinstance(gate, ChannelGate)]
    names = tuple(name for name, module in network.named_modules() if any(module is gate.fc2 for gate in gates))
    if not names:
        raise ConfigError(
            "the last block of this network has no gate with a value for each image and channel; "
            "gate clusters are drawn of OSNet, OSNet-IBN, OSNet-AIN and PLR-OSNet"
        )
    return names


def gating_vectors(loaded: LoadedNetwork, samples: Sequence[Sample]) -> NDArray[np.float32]:
    """The gating vectors of all streams of the last block side by side: (N, 4 C) in (0, 1), the shallowest first.

    Source: OSNet paper, section 4.1, "Visualisation of unified aggregation gate".

    Raises:
        ConfigError: see `find_gate_modules`.
        DataError: an image cannot be decoded.
    """
    seen = look_inside(loaded, samples, modules=find_gate_modules(loaded.network), keep=_gate_values)
    return np.concatenate([call for calls in seen.values() for call in calls], axis=1)


def _gate_values(before_sigmoid: Tensor) -> Tensor:
    return before_sigmoid.sigmoid().flatten(1)  # (N, C)


def find_clusters(vectors: NDArray[np.float32], *, count: int, seed: int) -> list[Cluster]:
    """Cluster vectors (N, D) by k-means, the largest cluster first.

    Raises:
        DataError: there are fewer different vectors than clusters.
    """
    different = len(np.unique(vectors, axis=0))
    if different < count:
        raise DataError(
            f"{different} different gating vectors are too few for {count} clusters; choose fewer with --clusters"
        )
    try:
        centres, assigned = kmeans2(
            vectors.astype(np.float64), count, iter=_ROUNDS, minit="++", missing="raise", seed=seed
        )
    except ClusterError as error:
        raise DataError(f"{count} clusters were not found; choose fewer with --clusters, or another --seed") from error
    clusters = []
    for number, centre in enumerate(centres):
        members = np.flatnonzero(assigned == number)
        distances = np.linalg.norm(vectors[members] - centre, axis=1)
        clusters.append(Cluster(len(members), members[np.argsort(distances, kind="stable")[:_NEAREST]]))
    return sorted(clusters, key=lambda cluster: -cluster.size)


def draw_gates(loaded: LoadedNetwork, samples: Sequence[Sample], *, picture: Path, clusters: int, seed: int) -> None:
    """Draw the images nearest to the centre of each cluster of gating vectors.

    Raises:
        ConfigError: see `find_gate_modules`.
        DataError: an image cannot be decoded, or see `find_clusters`.
    """
    found = find_clusters(gating_vectors(loaded, samples), count=clusters, seed=seed)
    size = loaded.manifest.input
    rows = []
    for number, cluster in enumerate(found, start=1):
        nearest = [samples[position] for position in cluster.nearest]
        images = load_images(nearest, height_px=size.height_px, width_px=size.width_px, rule=size.resize)
        rows.append(
            SheetRow(f"cluster {number}\n{cluster.size} of {len(samples)} images", [Tile(image) for image in images])
        )
    explanation = (
        "Each row: the images nearest to the centre of a cluster, the nearest on the left. Images of one cluster have "
        "similar values in the gates of the last block, so the network mixes small and large patterns alike in them."
    )
    sheet = Sheet(f"Images with similar gates in {loaded.manifest.model_id}", explanation, (), rows)
    draw_sheet(sheet, picture)
