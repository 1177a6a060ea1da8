"""Every table that is generated into a document: one row of TABLES each. To add one, add a row and its function."""

from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.measuring.records import read_record
from benchmarks.reporting import (
    accuracy_tables,
    data_set_tables,
    kernel_table,
    latency_tables,
    system_tables,
    tracking_table,
    training_tables,
)
from benchmarks.reporting.document_table import Table
from benchmarks.reporting.text import Record

_CPU = "benchmarks/records/cpu-epyc"
_MODELS = "edge_runtime/models"


def _of_record(render: Callable[[Record], str]) -> Callable[[Sequence[Path]], str]:
    """For a table that is made of one record."""
    return lambda paths: render(read_record(paths[0]))


_LATENCY_CAPTION = "{network} {size}, one thread on {device}, {rounds} interleaved rounds."
_CHAIN_CAPTION = "{network}, {threads} threads on {device}; {rounds} rounds, each way in its own process, in turns."

TABLES = (
    Table(
        "summary",
        (f"{_MODELS}/osnet_x0_25_cuhk03.onnx.json", f"{_CPU}/latency_osnet_x0_25.json", f"{_CPU}/demo_fp32.json"),
        "make bench",
        system_tables.summary_table,
        "OSNet x0.25 in float32 on two cores of {device}; in brackets the 95 % interval.",
    ),
    Table(
        "accuracy",
        (f"{_MODELS}/osnet_x0_25_cuhk03.onnx.json", f"{_MODELS}/osnet_x0_25_cuhk03_int8.onnx.json"),
        "python export/build_engine.py",
        accuracy_tables.model_table,
        "From the manifests in `edge_runtime/models/`; in brackets 95 % intervals, by bootstrap over the queries.",
    ),
    Table(
        "training",
        ("benchmarks/records/*/*-seed*/settings.json",),
        "python train/run.py RECIPE --data DATA",
        training_tables.training_table,
        "Rank-1 / mAP in per cent: of one seed with its 95 % interval, of several seeds their mean and range.",
    ),
    Table(
        "kernels",
        (f"{_CPU}/kernels_tensorrt.json",),
        "python benchmarks/kernels.py networks/*/*.onnx",
        _of_record(kernel_table.kernel_table),
        "Batches of {batch}, in the list that TensorRT-RTX 1.7 under the bindings {tensorrt} makes of an engine.",
    ),
    Table(
        "torchreid",
        (f"{_CPU}/reduced_cuhk03-seed*/model.pth.json", f"{_CPU}/peer_reduced_cuhk03-seed*.json"),
        "python benchmarks/peer_training.py reduced_cuhk03 --data DATA --peer-python PYTHON",
        training_tables.difference_table,
        "Means over seeds, in points of per cent; the interval by Welch's t-test.",
    ),
    Table(
        "train_speed",
        (f"{_CPU}/train_speed.json",),
        "python benchmarks/train_speed.py",
        _of_record(training_tables.speed_table),
        "{threads} threads on {device}, batches of {batch}; ours in {precision[ours]}, the peer in {precision[peer]}.",
    ),
    Table(
        "data_sets",
        ("train/datasets/catalog.py",),
        "python train/run.py --list",
        data_set_tables.data_set_table,
        "Counts as published; a copy that differs is refused.",
    ),
    Table(
        "retrieval",
        (f"{_CPU}/retrieval.json",),
        "python benchmarks/retrieval.py",
        _of_record(system_tables.retrieval_table),
        "{cores} cores of {device}.",
    ),
    Table(
        "association",
        (f"{_CPU}/association.json", f"{_CPU}/association_drawn.json"),
        "python benchmarks/gallery_association.py --data DATA",
        system_tables.association_table,
        "{tracks} tracks of {floor[people]} simulated people past {floor[cameras]} cameras; "
        "each peer at the threshold that suits it best.",
    ),
    Table(
        "latency",
        (f"{_CPU}/latency_osnet_x0_25.json",),
        "python benchmarks/latency.py",
        _of_record(latency_tables.latency_table),
        _LATENCY_CAPTION,
    ),
    Table(
        "latency_x1_0",
        (f"{_CPU}/latency_osnet_x1_0.json",),
        "python benchmarks/latency.py ENGINE ...",
        _of_record(latency_tables.latency_table),
        _LATENCY_CAPTION,
    ),
    Table(
        "alone",
        (f"{_CPU}/latency_osnet_x0_25.json",),
        "python benchmarks/latency.py",
        _of_record(latency_tables.isolated_table),
        "{network} {size}, one thread on {device}, {alone_s:g} s each; MLPerf's own runs are longer.",
    ),
    Table(
        "grid",
        (f"{_CPU}/latency_grid.json",),
        "python benchmarks/latency.py --grid",
        _of_record(latency_tables.grid_table),
        "Median ms for one image, one thread on {device}: ONNX Runtime in float32 / the fastest engine. "
        "Random weights: speed does not depend on them.",
    ),
    Table(
        "chain_x0_25",
        (f"{_CPU}/chain_osnet_x0_25.json",),
        "python benchmarks/chain.py ENGINE ...",
        _of_record(latency_tables.chain_table),
        _CHAIN_CAPTION,
    ),
    Table(
        "chain_x1_0",
        (f"{_CPU}/chain_osnet_x1_0.json",),
        "python benchmarks/chain.py ENGINE ...",
        _of_record(latency_tables.chain_table),
        _CHAIN_CAPTION,
    ),
    Table(
        "preprocessing",
        (f"{_CPU}/preprocessing.json",),
        "python benchmarks/preprocessing.py",
        _of_record(latency_tables.preprocessing_table),
        "Crops of {size}, one thread on {device}; {job}.",
    ),
    Table(
        "detectors",
        (f"{_CPU}/detectors.json",),
        "python benchmarks/detectors.py MODEL ... --video CLIP",
        _of_record(latency_tables.detector_table),
        "{frames} frames of {video}, one thread on {device} under a load of {load_average}; {job}.",
    ),
    Table(
        "nncf",
        (f"{_CPU}/nncf_osnet_x0_25.json",),
        "python benchmarks/nncf.py ENGINE ...",
        _of_record(latency_tables.nncf_table),
        "{network} on {data_set}; NNCF {nncf} by its defaults, one thread of OpenVINO on {device}. {job}.",
    ),
    Table(
        "engines",
        (f"{_CPU}/accuracy_cuhk03_np_detected.json",),
        "python benchmarks/accuracy.py ENGINE ... --data DATA",
        _of_record(accuracy_tables.engine_table),
        "{data_set}, {queries} queries, {gallery} gallery images.",
    ),
    Table(
        "demo",
        (f"{_CPU}/demo_fp32.json", f"{_CPU}/demo_int8.json"),
        "python edge_runtime/demo.py --source CLIP --record RECORD",
        system_tables.demo_table,
        "{seconds:g} s of {source} on {device}, {cores} cores.",
    ),
    Table(
        "tracking",
        (f"{_CPU}/tracking.json",),
        "python benchmarks/tracking.py --clips CLIPS --detector DETECTOR --peer-python PYTHON",
        _of_record(tracking_table.tracking_table),
        "HOTA / IDF1 in per cent by looks per second, all on the boxes of {detector}; ours with descriptors of "
        "{descriptors} where it says so; CPU time per update on {device}.",
    ),
    Table(
        "gpu",
        ("benchmarks/records/*/gpu_*.json",),
        "python benchmarks/gpu_evidence.py",
        system_tables.gpu_table,
        "Figures: the records of these steps.",
    ),
)
"""All tables, by the order in which the documents show them."""
