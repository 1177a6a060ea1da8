"""Which variant of the graph is used for a backend, network and batch, and the record that decided it."""

from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Literal

Graph = Literal["plain", "stack", "end", "dense", "end_dense"]
GraphBackend = Literal["onnxruntime", "tensorrt"]
"""What graphs were measured for; OpenVINO uses the graph of ONNX Runtime."""

_KERNELS = "benchmarks/records/cpu-epyc/kernels_tensorrt.json"
"""Small batches are bound by launches, and end_dense needs half as many kernels; no GPU has timed it."""
_NOT_MEASURED = "not measured: no GPU was there; large batches may prefer less arithmetic to fewer kernels"


@dataclass(frozen=True)
class GraphVariant:
    """One row: the graph for these networks up to this batch. networks: a pattern such as `osnet_x*`."""

    backend: GraphBackend
    networks: str
    largest_batch: int
    graph: Graph
    decided_by: str


# The first row that fits is taken.
VARIANTS = (
    GraphVariant("onnxruntime", "*", 32, "stack", "benchmarks/records/cpu-epyc/graphs_osnet_x0_25.json"),
    GraphVariant("tensorrt", "*", 8, "end_dense", _KERNELS),
    GraphVariant("tensorrt", "*", 32, "stack", _NOT_MEASURED),
)


def choose_graph(backend: GraphBackend, *, network: str, batch: int) -> GraphVariant:
    """The first row for a network of this name that covers this batch; the last row if the batch is larger than all."""
    rows = [row for row in VARIANTS if row.backend == backend and fnmatch(network, row.networks)]
    return next((row for row in rows if batch <= row.largest_batch), rows[-1])
