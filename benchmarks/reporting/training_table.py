"""The README's table of whole training runs: what the papers report, what we measured, what Torchreid measured."""

import json
from itertools import groupby
from pathlib import Path
from statistics import mean
from typing import Any

from edge_runtime.contract.manifest import Manifest
from train.recipes.catalog import find_recipe
from train.recipes.recipe import Expected

# The row of a paper that a run of ours has the form of, on other images and at another size.
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


def training_table(records: Path) -> str:
    """One row per recorded recipe, in the order of their names. A peer may have other seeds than ours."""
    rows = [
        "| recipe, seeds | network | input, epochs | a paper's row of this form | ours | Torchreid, same images |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    runs = [settings.parent for settings in sorted(records.glob("*-seed*/settings.json"))]
    rows += [_row(list(seeds), records) for _, seeds in groupby(runs, key=_without_seed)]
    return "\n".join(rows)


def _without_seed(run: Path) -> str:
    return run.name.rpartition("-seed")[0]


def _row(runs: list[Path], records: Path) -> str:
    """runs: of one recipe, a seed each."""
    settings = [json.loads((run / "settings.json").read_text()) for run in runs]
    recipe = settings[0]["recipe"]
    peers = sorted(records.glob(f"peer_{_without_seed(runs[0])}-seed*.json"))
    cells = (
        f"`{recipe['name']}`, {', '.join(str(one['seed']) for one in settings)}",
        recipe["architecture"],
        f"{recipe['height_px']}x{recipe['width_px']}, {recipe['schedule']['epochs']}",
        _published(recipe["name"]),
        _ours(runs),
        _retrieval([json.loads(peer.read_text())["evidence"] for peer in peers]) if peers else "not measured",
    )
    return f"| {' | '.join(cells)} |"


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
