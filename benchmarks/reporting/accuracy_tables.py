"""Tables of accuracy: the models that come with the project, and engines across precisions."""

from collections.abc import Sequence
from pathlib import Path

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


ACCURACY_TABLES = (
    Table(
        "accuracy",
        (f"{MODELS}/osnet_x0_25_cuhk03.onnx.json", f"{MODELS}/osnet_x0_25_cuhk03_int8.onnx.json"),
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
)
