"""Tables of training: whole runs beside the papers and Torchreid, and the speed of training loops."""

import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from statistics import mean, variance
from typing import Any

from scipy import stats

from benchmarks.reporting.document_table import CPU_RECORDS, Table, of_record
from benchmarks.reporting.text import Record, markdown_table, network_title
from edge_runtime.contract.manifest import Manifest
from train.recipes.catalog import find_recipe
from train.recipes.recipe import Expected

# The row of a paper whose form a run of ours has, on other images and at another size.
_LIKE = {
    "reduced_cuhk03": "osnet_cuhk03:scratch",
    "reduced_cuhk03:t1": "osnet_market1501:t1",
    "reduced_cuhk03:t2": "osnet_market1501:t2",
    "reduced_cuhk03:fixed_gates": "osnet_market1501:fixed_gates",
    "reduced_cuhk03:addition": "osnet_market1501:addition",
    "reduced_cuhk03:concatenation": "osnet_market1501:concatenation",
    "reduced_cuhk03:same_depth": "osnet_market1501:same_depth",
    "reduced_cuhk03:fine_tuned": "osnet_cuhk03",
    "reduced_cuhk03:plr_osnet_all_losses": "plr_osnet_cuhk03_detected",
    "reduced_cuhk03:plr_osnet_fine_tuned": "plr_osnet_cuhk03_detected",
    "reduced_cuhk03:plr_osnet_fine_tuned_without_global": "plr_osnet_cuhk03_detected:without_global",
    "reduced_cuhk03:plr_osnet_fine_tuned_without_attention": "plr_osnet_cuhk03_detected:without_attention",
    "reduced_cuhk03:plr_osnet_fine_tuned_multiple_id": "plr_osnet_cuhk03_detected:multiple_id",
    "osnet_cuhk03:demo_small_x1_0": "osnet_cuhk03:scratch",
    "reduced_cifar10": "osnet_cifar10",
    "reduced_cifar10:t1": "osnet_cifar10:t1",
    "reduced_cifar10:addition": "osnet_cifar10:addition",
}


def training_table(paths: Sequence[Path]) -> str:
    """One row per recipe, by name. paths: settings.json in the folder of each run. A peer may have other seeds."""
    head = ["recipe, seeds", "network", "input, epochs", "a paper's row of this form", "ours", "Torchreid, same images"]
    runs = sorted((path.parent for path in paths), key=lambda run: run.name)
    return markdown_table(head, [_row(list(seeds)) for _, seeds in groupby(runs, key=_without_seed)])


def _without_seed(run: Path) -> str:
    return run.name.rpartition("-seed")[0]


def _row(runs: list[Path]) -> list[str]:
    """runs: of one recipe, a seed each."""
    settings = [json.loads((run / "settings.json").read_text()) for run in runs]
    recipe = settings[0]["recipe"]
    records = runs[0].parent.parent
    peers = sorted(records.glob(f"*/peer_{_without_seed(runs[0])}-seed*.json"))
    return [
        f"`{recipe['name']}`, {', '.join(str(one['seed']) for one in settings)}",
        recipe["architecture"],
        f"{recipe['height_px']}x{recipe['width_px']}, {recipe['schedule']['epochs']}",
        _published(recipe["name"]),
        _ours(runs),
        _retrieval([json.loads(peer.read_text())["evidence"] for peer in peers]) if peers else "not measured",
    ]


def _published(name: str) -> str:
    if name not in _LIKE:
        return "-"
    expected: Expected = find_recipe(_LIKE[name]).expected
    figures = (
        f"error {100 * expected.top1_error:.2f}"
        if expected.top1_error is not None
        else f"{100 * (expected.rank1 or 0):.1f} / {100 * (expected.mean_ap or 0):.1f}"
    )
    return f"{figures} ({expected.source.partition('; ')[0]}, {find_recipe(_LIKE[name]).data_set})"


def _ours(runs: list[Path]) -> str:
    """Scores where the manifests hold them, else the errors of `scores.json`."""
    manifests = [Manifest.model_validate_json((run / "model.pth.json").read_bytes()) for run in runs]
    evidence = [manifest.evidence.model_dump() for manifest in manifests if manifest.evidence is not None]
    if evidence:
        return _retrieval(evidence)
    scores = [json.loads((run / "scores.json").read_text()) for run in runs]
    return f"error {', '.join(format(100 * one['scores'][one['reported']]['top1_error'], '.2f') for one in scores)}"


def _retrieval(evidence: list[dict[str, Any]]) -> str:
    """rank-1 / mAP: of one seed with its interval, of several their mean and range."""
    cells = []
    for score in ("rank1", "mean_ap"):
        values = [one[score]["value"] for one in evidence]
        low, high = (
            (evidence[0][score][end] for end in ("low", "high")) if len(values) == 1 else (min(values), max(values))
        )
        cells.append(f"{100 * mean(values):.1f} ({100 * low:.1f} to {100 * high:.1f})")
    return " / ".join(cells) + (f", {len(evidence)} seeds" if len(evidence) > 1 else "")


def difference_table(paths: Sequence[Path]) -> str:
    """Our seeds' mean minus Torchreid's, with the interval in which the difference of the loops lies.

    paths: manifests of our runs, and records of benchmarks/peer_training.py; at least two seeds of each.
    """
    ours = [json.loads(path.read_text())["evidence"] for path in paths if not path.name.startswith("peer_")]
    peers = [json.loads(path.read_text())["evidence"] for path in paths if path.name.startswith("peer_")]
    rows = []
    for title, score in (("rank-1", "rank1"), ("mAP", "mean_ap")):
        mine, theirs = ([100 * one[score]["value"] for one in evidence] for evidence in (ours, peers))
        margin = _welch_margin(mine, theirs)
        difference = mean(mine) - mean(theirs)
        rows.append(
            [
                title,
                f"{mean(mine):.1f}, {len(mine)} seeds",
                f"{mean(theirs):.1f}, {len(theirs)} seeds",
                f"{difference:+.1f}",
                f"{difference - margin:+.1f} to {difference + margin:+.1f}",
            ]
        )
    return markdown_table(["score", "ours", "Torchreid", "difference", "95 % interval of the difference"], rows)


def _welch_margin(ours: list[float], theirs: list[float]) -> float:
    """Half the 95 % interval of the difference of two means, without assuming equal variances.

    Source: Welch, Biometrika 1947; degrees of freedom by Welch and Satterthwaite.
    """
    first, second = variance(ours) / len(ours), variance(theirs) / len(theirs)
    freedom = (first + second) ** 2 / (first**2 / (len(ours) - 1) + second**2 / (len(theirs) - 1))
    return float(stats.t.ppf(0.975, freedom) * (first + second) ** 0.5)


def speed_table(record: Record) -> str:
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
    return markdown_table(head, rows)


def equality_table(record: Record) -> str:
    """How far our training steps are from the public code's, both in float64."""
    head = ["network", "public code", "first loss", "first gradient", "loss, ten steps", "weights, ten steps"]
    keys = ("first_loss", "first_gradient", "loss", "weight")
    rows = [
        [network_title(one["network"]), one["peer"], *(f"{one[key]:.0e}" for key in keys)] for one in record["networks"]
    ]
    return markdown_table(head, rows)


TRAINING_TABLES = (
    Table(
        "equality",
        (f"{CPU_RECORDS}/equality.json",),
        "python benchmarks/equality.py --peer-python PYTHON",
        of_record(equality_table),
        "Largest relative differences, in float64; the bar is {bar:.0e} for gradients and weights.",
    ),
    Table(
        "training",
        ("benchmarks/records/*/*-seed*/settings.json",),
        "python train/run.py RECIPE --data DATA",
        training_table,
        "Rank-1 / mAP in per cent: of one seed with its 95 % interval, of several seeds their mean and range.",
    ),
    Table(
        "torchreid",
        (f"{CPU_RECORDS}/reduced_cuhk03-seed*/model.pth.json", f"{CPU_RECORDS}/peer_reduced_cuhk03-seed*.json"),
        "python benchmarks/peer_training.py reduced_cuhk03 --data DATA --peer-python PYTHON",
        difference_table,
        "Means over seeds, in points of per cent; the interval by Welch's t-test.",
    ),
    Table(
        "train_speed",
        (f"{CPU_RECORDS}/train_speed.json",),
        "python benchmarks/train_speed.py",
        of_record(speed_table),
        "{threads} threads on {device}, batches of {batch}; ours in {precision[ours]} unless said, the peer in "
        "{precision[peer]}.",
    ),
)
