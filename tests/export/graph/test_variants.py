"""The table of graphs."""

import pytest

from export.graph.variants import VARIANTS, GraphBackend, choose_graph
from tests.conftest import ROOT


@pytest.mark.parametrize("backend", ["onnxruntime", "tensorrt"])
def test_every_network_and_batch_has_a_graph(backend: GraphBackend) -> None:
    """Batches beyond the largest row take the last row of the network."""
    for network in ("osnet_x0_25", "mgn", "anything"):
        for batch in (1, 8, 32, 1000):
            assert choose_graph(backend, network=network, batch=batch).graph


def test_every_variant_names_what_decided_it() -> None:
    """A record of the project, or plain words that nothing was measured."""
    for variant in VARIANTS:
        assert variant.decided_by.startswith("not measured") or (ROOT / variant.decided_by).is_file()
