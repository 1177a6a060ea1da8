"""Tables of accuracy: the models that come with the project, and engines across precisions."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.measuring.records import read_record
from benchmarks.reporting.document_table import CPU_RECORDS, MODELS, Table, of_record
from benchmarks.reporting.text import Record, markdown_table, network_and_size, network_title, score_text
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import read_manifest


def model_table(manifests: Sequence[Path]) -> str:
    """Models by their own manifests. manifests: JSON files beside the models.

    Raises:
        ConfigError: one holds no scores.
    """
    head = ["model", "input", "size", "rank-1 %", "mAP %", "mINP %", "cosine to float32, mean / least"]
    return markdown_table(head, [_model_row(path.with_suffix("")) for path in manifests])


def _model_row(model: Path) -> list[str]:
    manifest = read_manifest(model)
    evidence = manifest.evidence
    if evidence is None:
        raise ConfigError(f"the manifest of {model} holds no scores; export it with --data")
    near = evidence.to_parent if manifest.build.precision != "fp32" else None
    scores = (evidence.rank1, evidence.mean_ap, evidence.mean_inp)
    return [
        f"{network_title(manifest.architecture)} {manifest.build.precision}",
        f"{manifest.input.height_px}x{manifest.input.width_px}",
        f"{model.stat().st_size / 1e6:.2f} MB",
        *(score_text(score.model_dump()) for score in scores),
        "-" if near is None else f"{near.cosine_mean:.4f} / {near.cosine_min:.3f}",
    ]


def engine_table(record: Record) -> str:
    """Engines on one data set, and queries described by one engine against a gallery described by another."""
    head = ["engine", "runs on", "rank-1 %", "mAP %", "mINP %", "cosine to the first, mean / least"]
    rows = []
    for one in record["engines"]:
        near = one["to_first"]
        cosine = "-" if near is None else f"{near['cosine_mean']:.4f} / {near['cosine_min']:.3f}"
        scores = [score_text(one[name]) for name in ("rank1", "mean_ap", "mean_inp")]
        rows.append([f"{network_and_size(one)} {one['precision']}", one["runs_on"], *scores, cosine])
    if not record["crossings"]:
        return markdown_table(head, rows)
    named = {one["file"]: f"{network_and_size(one)} {one['precision']} {one['backend']}" for one in record["engines"]}
    crossed = [
        [named[one["query"]], named[one["gallery"]], score_text(one["rank1"]), score_text(one["mean_ap"])]
        for one in record["crossings"]
    ]
    return (
        f"{markdown_table(head, rows)}\n\n{markdown_table(['queries by', 'gallery by', 'rank-1 %', 'mAP %'], crossed)}"
    )


def street_table(record: Record) -> str:
    """What each network finds on clips that it was not trained on."""
    head = ["network", "rank-1 %", "mAP %", "right pairs at 1 % wrong ones, %"]
    scores = ("rank1", "mean_ap", "true_pairs")
    return markdown_table(
        head, [[one["network"], *(score_text(one[name]) for name in scores)] for one in record["rows"]]
    )


def int8_elsewhere_table(paths: Sequence[Path]) -> str:
    """What INT8 loses on people that it was not calibrated on, a row for each network, rule and set of people."""
    head = ["network", "ranges by", "people", "float32 rank-1 / mAP", "rank-1, points", "mAP, points", "mean cosine"]
    rows = [
        [
            one["network"],
            one["method"],
            f"{one['people']}, {one['queries']} queries",
            f"{100 * one['float_rank1']:.1f} / {100 * one['float_mean_ap']:.1f}",
            _points(one["rank1_change"]),
            _points(one["mean_ap_change"]),
            f"{one['to_float']['cosine_mean']:.4f}",
        ]
        for path in paths
        for one in read_record(path)["rows"]
    ]
    return markdown_table(head, rows)


def _points(change: dict[str, float]) -> str:
    value, low, high = (100 * change[name] for name in ("value", "low", "high"))
    return f"{value:+.2f} ({low:+.2f} to {high:+.2f})"


ACCURACY_TABLES = (
    Table(
        "accuracy",
        (f"{MODELS}/osnet_x0_25.onnx.json", f"{MODELS}/osnet_x0_25_int8.onnx.json"),
        "python export/build_engine.py",
        model_table,
        "From the manifests in `edge_runtime/models/`; in brackets 95 % intervals, by bootstrap over the queries.",
    ),
    Table(
        "engines",
        (f"{CPU_RECORDS}/accuracy_cuhk03_np_detected.json",),
        "python benchmarks/accuracy.py ENGINE ... --data DATA",
        of_record(engine_table),
        "{data_set}, {queries} queries, {gallery} gallery images.",
    ),
    Table(
        "street",
        (f"{CPU_RECORDS}/street.json",),
        "python benchmarks/street.py MODEL ... --clip VIDEO TRUTH",
        of_record(street_table),
        "{data_set}, {crops} crops; each is looked for among all that are not of its own second. {terms}.",
    ),
    Table(
        "int8 elsewhere",
        (f"{CPU_RECORDS}/int8_elsewhere_*.json",),
        "python benchmarks/int8_elsewhere.py MODEL ... --calibration LIST --data DATA --elsewhere OTHER",
        int8_elsewhere_table,
        "Calibrated on {calibration}, OpenVINO's plan in ONNX Runtime; INT8 minus float32, 95 % intervals in pairs.",
    ),
)
