"""The README's table of whole training runs: what the papers report, what we measured, what Torchreid measured."""

import json
from pathlib import Path
from typing import Any

from edge_runtime.contract.manifest import Manifest
from train.recipe import Expected
from train.recipes.catalog import find_recipe

# The row of a paper that a run of ours has the form of, on other images and at another size.
_LIKE = {
    "reduced_cuhk03": "osnet_cuhk03:scratch",
    "reduced_cuhk03:t1": "osnet_market1501:t1",
    "reduced_cuhk03:addition": "osnet_market1501:addition",
    "reduced_cuhk03:concatenation": "osnet_market1501:concatenation",
    "reduced_cuhk03:same_depth": "osnet_market1501:same_depth",
    "reduced_cuhk03:plr_osnet_all_losses": "plr_osnet_cuhk03_detected",
    "osnet_cuhk03:demo_small_x1_0": "osnet_cuhk03:scratch",
    "reduced_cifar10": "osnet_cifar10",
}


def training_table(records: Path) -> str:
    """One row per recorded run, in the order of the recipes' names."""
    rows = [
        "| recipe, seed | network | input, epochs | a paper's row of this form | ours | Torchreid, same images |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    rows += [_row(settings.parent, records) for settings in sorted(records.glob("*-seed*/settings.json"))]
    return "\n".join(rows)


def _row(run: Path, records: Path) -> str:
    settings = json.loads((run / "settings.json").read_text())
    recipe = settings["recipe"]
    size = f"{recipe['height_px']}x{recipe['width_px']}, {recipe['schedule']['epochs']}"
    peer = records / f"peer_{run.name}.json"
    cells = (
        f"`{recipe['name']}`, {settings['seed']}",
        recipe["architecture"],
        size,
        _published(recipe["name"]),
        _ours(run),
        _retrieval(json.loads(peer.read_text())["evidence"]) if peer.exists() else "not measured",
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


def _ours(run: Path) -> str:
    """Scores with their intervals where the manifest holds them, else the error of `scores.json`."""
    manifest = Manifest.model_validate_json((run / "model.pth.json").read_bytes())
    if manifest.evidence is not None:
        return _retrieval(manifest.evidence.model_dump())
    scores = json.loads((run / "scores.json").read_text())
    return f"error {100 * scores['scores'][scores['reported']]['top1_error']:.2f}"


def _retrieval(evidence: dict[str, Any]) -> str:
    rank1, mean_ap = evidence["rank1"], evidence["mean_ap"]
    return " / ".join(
        f"{100 * score['value']:.1f} ({100 * score['low']:.1f} to {100 * score['high']:.1f})"
        for score in (rank1, mean_ap)
    )
