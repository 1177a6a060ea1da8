"""Tables of time: engines, chains, preprocessing, and the peer NNCF."""

from pathlib import Path

from benchmarks.measuring.latency_record import parse_results
from benchmarks.reporting.document_table import CPU_RECORDS, Table, of_record
from benchmarks.reporting.pareto_front import EngineOption, list_options
from benchmarks.reporting.text import Record, markdown_table, network_title, score_text


def latency_table(record: Record) -> str:
    """Engines beside the usual ways to run the same network, with the distance to the limit if all of them have it."""
    networks = {network["name"]: network for network in record["networks"]}
    timings = record["timings"]
    has_limits = all(timing.get("times_arithmetic") for timing in timings)
    head = ["network", "precision", "batch", "median ms", "p95 ms", "times as fast as eager"]
    rows = []
    for timing in timings:
        network = networks[timing["name"]]
        cells = [
            network["name"] if network.get("is_peer") else network["backend"],
            network["precision"],
            str(timing["batch"]),
            f"{timing['median_ms']:.2f}",
            f"{timing['p95_ms']:.2f}",
            f"{timing['times_eager']:.2f}",
        ]
        rows.append([*cells, f"{timing['times_arithmetic']:.1f}"] if has_limits else cells)
    return markdown_table([*head, "times the arithmetic's limit"] if has_limits else head, rows)


def isolated_table(record: Record) -> str:
    """Each network in a process of its own, counted as MLPerf counts."""
    head = ["network", "one at a time: p90 ms", "eight at a time: p99 ms", "memory MiB", "mJ per descriptor"]
    networks = {network["name"]: network for network in record["networks"]}
    rows = []
    for one in record["alone"]:
        network = networks[one["name"]]
        energy = one.get("mj_per_descriptor")
        rows.append(
            [
                network["name"] if network.get("is_peer") else f"{network['backend']} {network['precision']}",
                f"{one['single_stream_p90_ms']:.2f}",
                f"{one['multi_stream_p99_ms']:.2f}",
                f"{one['resident_mib']:.0f}",
                "not measured" if energy is None else f"{energy:.2f}",
            ]
        )
    return markdown_table(head, rows)


def grid_table(record: Record) -> str:
    """Milliseconds for one image by network and size: ONNX Runtime in float32, and the fastest engine."""
    options = list_options(parse_results(record, source=Path("latency_grid.json")), None)
    sizes = sorted({option.input for option in options}, reverse=True)
    rows = [
        [network_title(name)] + [_grid_cell([one for one in options if one.is_of(name, size)]) for size in sizes]
        for name in dict.fromkeys(case["architecture"] for case in record["cases"])
    ]
    return markdown_table(["network", *(f"{height}x{width}" for height, width in sizes)], rows)


def _grid_cell(options: list[EngineOption]) -> str:
    if not options:
        return "-"
    plain = [one for one in options if (one.backend, one.precision) == ("onnxruntime", "fp32")]
    fastest = min(options, key=lambda one: one.median_ms)
    first = f"{plain[0].median_ms:.2f}" if plain else "-"
    return f"{first} / {fastest.median_ms:.2f} ({fastest.backend} {fastest.precision})"


def chain_table(record: Record) -> str:
    """From boxes on a frame to descriptors: our engines beside each peer."""
    peers = list(record["timings"][0]["faster_than"])
    ways = {way["name"] for way in record["ways"]}
    head = ["way", "people", "ms per person", *(f"times as fast as {peer.replace('_', ' ')}" for peer in peers)]
    rows = [
        [
            timing["way"].replace("_", " "),
            str(timing["batch"]),
            f"{timing['median_ms']:.2f}",
            *(f"{timing['faster_than'][peer]:.2f}" for peer in peers),
        ]
        for timing in record["timings"]
        if timing["way"] in ways
    ]
    return markdown_table(head, rows)


def preprocessing_table(record: Record) -> str:
    """CPU time from boxes on a frame to the network's input."""
    rows = [
        [one["way"], str(one["batch"]), f"{one['cpu_ms']:.3f}", f"{one['times_ours']:.1f}"] for one in record["timings"]
    ]
    return markdown_table(["way", "people", "CPU ms per crop", "times ours"], rows)


def detector_table(record: Record) -> str:
    """CPU time of one look for people, and which people each detector finds."""
    head = [
        "detector",
        "frame",
        "CPU ms per look",
        "times the first network's",
        "sure people",
        "of the first network's",
    ]
    rows = [
        [
            one["way"],
            f"{one['frame'][1]}x{one['frame'][0]}",
            f"{one['cpu_ms']:.1f}",
            f"{one['times_first']:.2f}",
            f"{one['people']:.2f}",
            f"{100 * one['finds']:.0f} %",
        ]
        for one in record["timings"]
    ]
    return markdown_table(head, rows)


def nncf_table(record: Record) -> str:
    """Our INT8 in OpenVINO beside NNCF's of the plain export: time and scores."""
    scores = {one["way"]: [score_text(one["rank1"]), score_text(one["mean_ap"])] for one in record["scores"]}
    head = ["network", "batch", "ms per image", "times as fast as NNCF's", "rank-1 %", "mAP %"]
    rows = [
        [
            one["way"],
            str(one["batch"]),
            f"{one['median_ms']:.2f}",
            f"{one['times_nncf']:.2f}",
            *scores.get(one["way"], ["-", "-"]),
        ]
        for one in record["timings"]
    ]
    return markdown_table(head, rows)


_LATENCY_CAPTION = "{network} {size}, one thread on {device}, {rounds} interleaved rounds."
_CHAIN_CAPTION = "{network}, {threads} threads on {device}; {rounds} rounds, each way in its own process, in turns."

LATENCY_TABLES = (
    Table(
        "latency",
        (f"{CPU_RECORDS}/latency_osnet_x0_25.json",),
        "python benchmarks/latency.py",
        of_record(latency_table),
        _LATENCY_CAPTION,
    ),
    Table(
        "latency_x1_0",
        (f"{CPU_RECORDS}/latency_osnet_x1_0.json",),
        "python benchmarks/latency.py ENGINE ...",
        of_record(latency_table),
        _LATENCY_CAPTION,
    ),
    Table(
        "alone",
        (f"{CPU_RECORDS}/latency_osnet_x0_25.json",),
        "python benchmarks/latency.py",
        of_record(isolated_table),
        "{network} {size}, one thread on {device}, {alone_s:g} s each; MLPerf's own runs are longer.",
    ),
    Table(
        "grid",
        (f"{CPU_RECORDS}/latency_grid.json",),
        "python benchmarks/latency.py --grid",
        of_record(grid_table),
        "Median ms for one image, one thread on {device}: ONNX Runtime in float32 / the fastest engine. "
        "Random weights: speed does not depend on them.",
    ),
    Table(
        "chain_x0_25",
        (f"{CPU_RECORDS}/chain_osnet_x0_25.json",),
        "python benchmarks/chain.py ENGINE ...",
        of_record(chain_table),
        _CHAIN_CAPTION,
    ),
    Table(
        "chain_x1_0",
        (f"{CPU_RECORDS}/chain_osnet_x1_0.json",),
        "python benchmarks/chain.py ENGINE ...",
        of_record(chain_table),
        _CHAIN_CAPTION,
    ),
    Table(
        "preprocessing",
        (f"{CPU_RECORDS}/preprocessing.json",),
        "python benchmarks/preprocessing.py",
        of_record(preprocessing_table),
        "Crops of {size}, one thread on {device}; {job}.",
    ),
    Table(
        "detectors",
        (f"{CPU_RECORDS}/detectors.json",),
        "python benchmarks/detectors.py MODEL ... --video CLIP",
        of_record(detector_table),
        "{frames} frames of {video}, one thread on {device} under a load of {load_average}; {job}.",
    ),
    Table(
        "nncf",
        (f"{CPU_RECORDS}/nncf_osnet_x0_25.json",),
        "python benchmarks/nncf.py ENGINE ...",
        of_record(nncf_table),
        "{network} on {data_set}; NNCF {nncf} by its defaults, one thread of OpenVINO on {device}. {job}.",
    ),
)
