"""Markdown tables of records, one function per kind of record."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measuring.latency_record import cases_of
from benchmarks.reporting.pareto_front import choices_of, network_title

Record = Mapping[str, Any]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def latency(record: Record) -> str:
    """Engines beside the usual ways to run the same network; distances to the limit where the record has them."""
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
    if has_limits:
        head.append("times the arithmetic's limit")
    return (
        table(head, rows)
        + f"\n\n{_network(record)}, one thread on {record['device']}, {record['rounds']} interleaved rounds."
    )


def alone(record: Record) -> str:
    """Each network in a process of its own, counted as MLPerf counts."""
    head = ["network", "one at a time: p90 ms", "eight at a time: p99 ms", "memory MiB", "mJ per descriptor"]
    names = {network["name"]: network for network in record["networks"]}
    rows = []
    for one in record["alone"]:
        network = names[one["name"]]
        title = network["name"] if network.get("is_peer") else f"{network['backend']} {network['precision']}"
        energy = one.get("mj_per_descriptor")
        rows.append(
            [
                title,
                f"{one['single_stream_p90_ms']:.2f}",
                f"{one['multi_stream_p99_ms']:.2f}",
                f"{one['resident_mib']:.0f}",
                "not measured" if energy is None else f"{energy:.2f}",
            ]
        )
    ending = f"One thread on {record['device']}, {record['alone_s']:g} s each; MLPerf's own runs are longer."
    return f"{table(head, rows)}\n\n{ending}"


def grid(record: Record) -> str:
    """Milliseconds for one image by network and size: ONNX Runtime in float32, and the fastest engine."""
    choices = choices_of(cases_of(record, source=Path("latency_grid.json")), None)
    sizes = sorted({choice.input for choice in choices}, reverse=True)
    rows = []
    for name in dict.fromkeys(case["architecture"] for case in record["cases"]):
        cells = []
        for size in sizes:
            here = [one for one in choices if (one.architecture, one.input) == (name, size)]
            plain = [one for one in here if (one.backend, one.precision) == ("onnxruntime", "fp32")]
            fastest = min(here, key=lambda one: one.median_ms, default=None)
            first = f"{plain[0].median_ms:.2f}" if plain else "-"
            cells.append(
                f"{first} / {fastest.median_ms:.2f} ({fastest.backend} {fastest.precision})" if fastest else "-"
            )
        rows.append([network_title(name), *cells])
    head = ["network", *(f"{height}x{width}" for height, width in sizes)]
    ending = (
        f"Median ms for one image, one thread on {record['device']}: ONNX Runtime in float32 / the fastest engine. "
        "Random weights: speed does not depend on them."
    )
    return f"{table(head, rows)}\n\n{ending}"


def accuracy(record: Record) -> str:
    """Engines on one data set, and queries of one against a gallery of another."""
    head = ["engine", "runs on", "rank-1 %", "mAP %", "mINP %", "cosine to the first, mean / least"]
    rows = []
    for one in record["engines"]:
        near = one["to_first"]
        cosine = "-" if near is None else f"{near['cosine_mean']:.4f} / {near['cosine_min']:.3f}"
        scores = [_score(one[name]) for name in ("rank1", "mean_ap", "mean_inp")]
        rows.append([f"{_network(one)} {one['precision']}", one["runs_on"], *scores, cosine])
    named = {one["file"]: f"{_network(one)} {one['precision']} {one['backend']}" for one in record["engines"]}
    crossed = [
        [named[one["query"]], named[one["gallery"]], _score(one["rank1"]), _score(one["mean_ap"])]
        for one in record["crossings"]
    ]
    ending = f"{record['data_set']}, {record['queries']} queries, {record['gallery']} gallery images."
    if not crossed:
        return f"{table(head, rows)}\n\n{ending}"
    return f"{table(head, rows)}\n\n{table(['queries by', 'gallery by', 'rank-1 %', 'mAP %'], crossed)}\n\n{ending}"


def _network(one: Record) -> str:
    height, width = one["input"]
    return f"{network_title(one['architecture'])} {height}x{width}"


def chain(record: Record) -> str:
    """From boxes on a frame to descriptors: ours beside each peer."""
    peers = list(record["timings"][0]["faster_than"])
    ways = {way["name"]: way for way in record["ways"]}
    head = ["way", "people", "ms per person", *(f"times as fast as {peer.replace('_', ' ')}" for peer in peers)]
    rows = [
        [timing["way"].replace("_", " "), str(timing["batch"]), f"{timing['median_ms']:.2f}",
         *(f"{timing['faster_than'][peer]:.2f}" for peer in peers)]
        for timing in record["timings"]
        if timing["way"] in ways
    ]  # fmt: skip
    ending = f"{network_title(record['architecture'])}, {record['threads']} threads on {record['device']}; "
    return f"{table(head, rows)}\n\n{ending}{record['rounds']} rounds, each way in processes of its own, in turns."


def preprocessing(record: Record) -> str:
    """CPU time from boxes on a frame to the network's input."""
    head = ["way", "people", "CPU ms per crop", "times ours"]
    rows = [
        [one["way"], str(one["batch"]), f"{one['cpu_ms']:.3f}", f"{one['times_ours']:.1f}"] for one in record["timings"]
    ]
    height, width = record["input"]
    return f"{table(head, rows)}\n\nCrops of {height}x{width}, one thread on {record['device']}; {record['job']}."


def nncf(record: Record) -> str:
    """Our INT8 in OpenVINO beside NNCF's of the plain export: time, and what it does to the scores."""
    scores = {one["way"]: [_score(one["rank1"]), _score(one["mean_ap"])] for one in record["scores"]}
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
    ending = f"{network_title(record['architecture'])} on {record['data_set']}; NNCF {record['nncf']} by its defaults, "
    return f"{table(head, rows)}\n\n{ending}one thread of OpenVINO on {record['device']}. {record['job']}."


def train_speed(record: Record) -> str:
    """Images per second of training loops."""
    head = ["network", "input", "loop", "images per second", "times the peer"]
    rows = [
        [
            network_title(one["network"]),
            f"{one['height_px']}x{one['width_px']}",
            one["loop"],
            f"{one['images_per_s']:.0f}",
            f"{one['times_peer']:.2f}",
        ]
        for one in record["speeds"]
    ]
    return f"{table(head, rows)}\n\n{record['threads']} threads on {record['device']}, batches of {record['batch']}."


def retrieval(record: Record) -> str:
    """Time and memory of ranking and re-ranking."""
    head = ["job", "queries", "gallery", "descriptor", "seconds", "peak MiB"]
    rows = [
        [
            one["job"],
            *(str(one["size"][key]) for key in ("queries", "gallery", "length")),
            f"{one['seconds']:.2f}",
            f"{one['peak_mib']:.0f}",
        ]
        for one in record["runs"]
    ]
    return f"{table(head, rows)}\n\n{record['cores']} cores of {record['device']}."


def gpu(records: Mapping[str, Record | None]) -> str:
    """What became of each step of benchmarks/gpu_evidence.py; None where it was never run."""
    rows = []
    for name, record in records.items():
        if record is None or record["gpu"] is None:
            rows.append([name.replace("_", " "), "not measured"])
            continue
        done = [one for one in record["commands"] if one["error"] is None]
        rows.append([name.replace("_", " "), f"{len(done)} of {len(record['commands'])} commands on {record['gpu']}"])
    return table(["step", "state"], rows)


def _score(score: Record) -> str:
    return f"{100 * score['value']:.1f} ({100 * score['low']:.1f} to {100 * score['high']:.1f})"
