"""Which graph a backend, network and batch uses, and the record that decided it."""

from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Literal

Graph = Literal["plain", "stack", "end", "dense", "end_dense"]
Backend = Literal["onnxruntime", "tensorrt"]

NOT_MEASURED = "not measured: no GPU was there; end and end_dense need the fewest kernels, time them on the device"


@dataclass(frozen=True)
class Choice:
    """One row: the graph for these networks up to this batch. networks: a pattern of names, widths included."""

    backend: Backend
    networks: str
    largest_batch: int
    graph: Graph
    decided_by: str


# Read from the top: the first row that fits is taken.
CHOICES = (
    Choice("onnxruntime", "*", 32, "stack", "benchmarks/records/cpu-epyc/graphs_osnet_x0_25.json"),
    Choice("tensorrt", "*", 32, "stack", NOT_MEASURED),
)


def choose_graph(backend: Backend, *, network: str, batch: int) -> Choice:
    """The row for a network of this name at this batch; beyond the largest one that a row is for, the last row."""
    rows = [row for row in CHOICES if row.backend == backend and fnmatch(network, row.networks)]
    return next((row for row in rows if batch <= row.largest_batch), rows[-1])
