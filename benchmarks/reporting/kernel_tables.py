"""The table of kernels that TensorRT's builder makes of networks."""

from benchmarks.reporting.document_table import CPU_RECORDS, Table, of_record
from benchmarks.reporting.text import Record, markdown_table


def kernel_table(record: Record) -> str:
    """One row per network and graph; kernels in half precision and in INT8."""
    counts = record["counts"]
    rows = list(dict.fromkeys((one["network"], one["graph"]) for one in counts))
    found = {(one["network"], one["graph"], one["precision"]): str(one["kernels"]) for one in counts}
    cells = [[*row, *(found.get((*row, precision), "") for precision in ("fp16", "int8"))] for row in rows]
    return markdown_table(["network", "graph", "kernels, fp16", "kernels, int8"], cells)


KERNEL_TABLES = (
    Table(
        "kernels",
        (f"{CPU_RECORDS}/kernels_tensorrt.json",),
        "python benchmarks/kernels.py networks/*/*.onnx",
        of_record(kernel_table),
        "Batches of {batch}, in the list that TensorRT-RTX 1.7 under the bindings {tensorrt} makes of an engine.",
    ),
)
