"""Tables of whole programs: the summary, the demo, ranking and re-ranking, and the steps on a GPU."""

from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.measuring.records import read_record
from benchmarks.peers.plain_export import EAGER
from benchmarks.reporting.document_table import CPU_RECORDS, MODELS, Table, of_record
from benchmarks.reporting.text import Record, markdown_table, score_text

_GPU_STEPS = ("tensorrt", "latency", "accuracy", "training", "crop_kernel")
_NEVER = ("reused", "altered", "refused")
_FLEET_PARTS = ("broker", "receiver")
_PLAIN = "plain export, ONNX Runtime"


def summary_table(paths: Sequence[Path]) -> str:
    """Four lines for the first page. paths: the manifest of the model, what it finds on a street, its latency record,
    the demo's record."""
    manifest, street, latency, demo = (read_record(path) for path in paths)
    [on_street] = [one for one in street["rows"] if one["sha256"] == manifest["artefact"]["sha256"]]
    rows = [
        [
            f"people found again on a street that the model which comes with it never saw ({street['data_set']}), %",
            _rank1_and_map(on_street),
        ],
        [f"the same in its own domain ({manifest['evidence']['data_set']}), %", _rank1_and_map(manifest["evidence"])],
        ["crop to descriptor, one thread, median", _latency_beside_peers(latency)],
        [
            "frame to the broker's acknowledgement, in `make demo`",
            f"p50 {demo['daemon']['latency_p50_ms']:.0f} ms, p95 {demo['daemon']['latency_p95_ms']:.0f} ms",
        ],
    ]
    return markdown_table(["what", "measured"], rows)


def _rank1_and_map(scores: Record) -> str:
    return f"rank-1 {score_text(scores['rank1'])}, mAP {score_text(scores['mean_ap'])}"


def _latency_beside_peers(record: Record) -> str:
    """The float32 engine of ONNX Runtime, one image at a time, beside the same runtime and PyTorch."""
    medians = {timing["name"]: timing["median_ms"] for timing in record["timings"] if timing["batch"] == 1}
    [ours] = [
        network["name"]
        for network in record["networks"]
        if not network.get("is_peer")
        and (network["backend"].split()[0], network["precision"]) == ("onnxruntime", "fp32")
    ]
    return (
        f"{medians[ours]:.2f} ms; the plain export in the same ONNX Runtime {medians[_PLAIN]:.2f} ms, "
        f"PyTorch {medians[EAGER]:.2f} ms"
    )


def demo_table(paths: Sequence[Path]) -> str:
    """What `make demo` measured. paths: its record in float32, and the one in INT8."""
    records = [read_record(path) for path in paths]
    figures: dict[str, Callable[[Record], str]] = {
        "frames looked at / replaced by newer ones": lambda r: (
            f"{r['daemon']['frames']} / {r['daemon']['frames_dropped']}"
        ),
        "tracks": lambda r: str(r["daemon"]["tracks"]),
        "descriptors received, of those made": lambda r: (
            f"{r['listener']['descriptors']} of {r['daemon']['descriptors']}"
        ),
        "bytes per descriptor message": lambda r: f"{r['listener']['bytes_per_descriptor']:.0f}",
        "capture to PUBACK, p50 / p95": lambda r: (
            f"{r['daemon']['latency_p50_ms']:.0f} / {r['daemon']['latency_p95_ms']:.0f} ms"
        ),
        "sequence": lambda r: "complete" if r["listener"]["is_complete"] else "not complete",
        "start of the process to first message": lambda r: f"{r['daemon']['start_to_first_message_s']:.1f} s",
        "resident memory": lambda r: f"{r['daemon']['resident_mib']:.0f} MiB",
    }
    rows = [[name, *(figure(record) for record in records)] for name, figure in figures.items()]
    return markdown_table(["", "float32", "INT8"], rows)


def retrieval_table(record: Record) -> str:
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
    return markdown_table(head, rows)


def remains_table(record: Record) -> str:
    """How many deleted vectors are left in the files of each store."""
    return markdown_table(
        ["store", "version", "deleted vectors found", "after its own compaction"],
        [
            [
                one["store"],
                one["version"],
                f"{one['deleted_found']} of {one['searched']}" if one["kept_found"] else "cannot be told",
                "-" if one["compacted"] is None or not one["kept_found"] else str(one["compacted"]),
            ]
            for one in record["stores"]
        ],
    )


def fleet_table(record: Record) -> str:
    """Each load until one was not carried. Cores and CPU time: of one broker and one receiver."""
    head = ["messages/s", "received/s", "lost", "capture to receiver, p50 / p95", "broker", "receiver", "carried"]
    rows = [
        [
            f"{step['wanted_per_s']:,.0f}",
            f"{step['got_per_s']:,.0f}",
            str(step["lost"]),
            "-"
            if step["latency_p95_ms"] is None
            else f"{step['latency_p50_ms']:.0f} / {step['latency_p95_ms']:.0f} ms",
            *(f"{step['cores'][one]:.2f} cores, {step['cpu_us_per_message'][one]:.0f} us each" for one in _FLEET_PARTS),
            f"no: {'; '.join(step['why'])}; busiest: {step['breaks_first']}" if step["why"] else "yes",
        ]
        for step in record["steps"]
    ]
    return markdown_table(head, rows)


def fleet_plan_table(record: Record) -> str:
    """What fleets need by the measured cost of a message."""
    head = ["nodes", "messages/s", "broker cores", "brokers", "receiver cores", "receivers", "Mbit/s", "GB/day"]
    digits = {"nodes": 0, "messages_per_s": 0, "broker_cores": 2, "brokers": 0, "receiver_cores": 2, "receivers": 0}
    digits |= {"mbit_per_s": 0, "gb_per_day": 0}
    rows = [[f"{plan[key]:,.{places}f}" for key, places in digits.items()] for plan in record["plans"]]
    return markdown_table(head, rows)


def failures_table(record: Record) -> str:
    """Faults, and what became of the messages."""
    account = record["account"]
    given_up = ", ".join(f"{count:,} {why}" for why, count in account["given_up"].items()) or "0"
    rows = [
        ["faults", ", ".join(f"{count} x {name}" for name, count in record["faults"].items() if count)],
        ["numbers that the node used", f"{account['numbers']:,}"],
        ["received", f"{account['received']:,}"],
        ["told by the node as given up", given_up],
        ["**unexplained**", f"**{account['unexplained']:,}**"],
        ["numbers used twice, altered, refused", " / ".join(f"{account[key]}" for key in _NEVER)],
        ["received twice and dropped", f"{account['duplicates']:,}"],
    ]
    return markdown_table(["what", "count"], rows)


def soak_table(record: Record) -> str:
    """What a node held at the beginning and the end, and how its memory grows."""
    first, last, slope = record["first"], record["last"], record["resident_mib_per_day"]
    growth = f"{slope['per_day']:+.1f} a day ({slope['low']:+.1f} to {slope['high']:+.1f})"
    rows = [
        ["memory, MiB", f"{first['resident_mib']:.1f}", f"{last['resident_mib']:.1f}", growth],
        ["threads", f"{first['threads']}", f"{last['threads']}", ""],
        ["open files", f"{first['open_files']}", f"{last['open_files']}", ""],
    ]
    return markdown_table(["what", "after the warm-up", "at the end", "growth"], rows)


def gpu_table(paths: Sequence[Path]) -> str:
    """What became of each step of benchmarks/gpu_evidence.py. paths: records of steps, of one machine or of several."""
    rows = []
    for path in paths:
        record = read_record(path)
        done = [one for one in record["commands"] if one["error"] is None]
        state = f"{len(done)} of {len(record['commands'])} commands ran" if record["gpu"] else "not measured"
        rows.append([path.stem.removeprefix("gpu_").replace("_", " "), record["gpu"] or "no GPU", state])
    steps = {path.stem.removeprefix("gpu_") for path in paths}
    rows += [[step.replace("_", " "), "-", "not measured"] for step in _GPU_STEPS if step not in steps]
    return markdown_table(["step", "GPU", "state"], rows)


SYSTEM_TABLES = (
    Table(
        "summary",
        (
            f"{MODELS}/osnet_x0_25.onnx.json",
            f"{CPU_RECORDS}/street.json",
            f"{CPU_RECORDS}/latency_osnet_x0_25.json",
            f"{CPU_RECORDS}/demo_fp32.json",
        ),
        "make bench",
        summary_table,
        "OSNet x0.25 in float32 on two cores of {device}; in brackets the 95 % interval.",
    ),
    Table(
        "retrieval",
        (f"{CPU_RECORDS}/retrieval.json",),
        "python benchmarks/retrieval.py",
        of_record(retrieval_table),
        "{cores} cores of {device}.",
    ),
    Table(
        "demo",
        (f"{CPU_RECORDS}/demo_fp32.json", f"{CPU_RECORDS}/demo_int8.json"),
        "python edge_runtime/demo/run_demo.py --source CLIP --record RECORD",
        demo_table,
        "{seconds:g} s of {source} on {device}, {cores} cores.",
    ),
    Table(
        "remains",
        (f"{CPU_RECORDS}/remains.json",),
        "python benchmarks/remains.py --stores-python PYTHON",
        of_record(remains_table),
        "{rows} vectors were stored, 20 of them deleted by the store's own means; then all files were searched, also "
        "for vectors that stayed. SQLite overwrites where `secure_delete` is on, which some distributions build in.",
    ),
    Table(
        "fleet",
        (f"{CPU_RECORDS}/fleet.json",),
        "python benchmarks/fleet.py",
        of_record(fleet_table),
        "{nodes} simulated nodes, {seconds:g} s each load, TLS on loopback; broker, receiver and nodes share {cores} "
        "cores of {device}. All connections stood after {connect_s:g} s; the broker had {broker_mib_idle:g} MiB then.",
    ),
    Table(
        "fleet-plan",
        (f"{CPU_RECORDS}/fleet.json",),
        "python benchmarks/fleet.py",
        of_record(fleet_plan_table),
        "{rate:g} messages per second of each node, all day long, at the cost of the largest load that was carried.",
    ),
    Table(
        "failures",
        (f"{CPU_RECORDS}/failures.json",),
        "python benchmarks/failures.py --messages 1000000 --faults 1000",
        of_record(failures_table),
        "{kills} kills and {flipped_bits} flipped bits in {seconds:,} s, seed {seed}; one node, one broker.",
    ),
    Table(
        "soak",
        (f"{CPU_RECORDS}/soak.json",),
        "python benchmarks/soak.py --minutes 60",
        of_record(soak_table),
        "{job}, detector {detector}, {minutes:g} minutes; in brackets the 95 % interval of {method}.",
    ),
    Table(
        "gpu",
        ("benchmarks/records/*/gpu_*.json",),
        "python benchmarks/gpu_evidence.py",
        gpu_table,
        "Figures: the records of these steps.",
    ),
)
