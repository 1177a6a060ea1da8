"""The tables of training runs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks.reporting.training_tables import difference_table, training_table

RECORDS = Path(__file__).resolve().parents[3] / "benchmarks" / "records" / "cpu-epyc"
RUN = RECORDS / "osnet_cuhk03-demo-seed0"


def _add_seed(folder: Path, seed: int, *, rank1: float) -> None:
    run = folder / f"osnet_cuhk03-demo-seed{seed}"
    shutil.copytree(RUN, run)
    settings = json.loads((run / "settings.json").read_text()) | {"seed": seed}
    (run / "settings.json").write_text(json.dumps(settings))
    manifest = json.loads((run / "model.pth.json").read_text())
    manifest["evidence"]["rank1"] = {"value": rank1, "low": 0.2, "high": 0.6}
    (run / "model.pth.json").write_text(json.dumps(manifest))


def table_of(records: Path) -> str:
    """The table of all runs in a folder of records."""
    return training_table(sorted(records.glob("*/*-seed*/settings.json")))


def test_a_difference_stands_with_its_interval(tmp_path: Path) -> None:
    """Welch's interval of three and two seeds, worked out by hand; it is wider than the difference of the means."""
    paths = []
    for name, values in (("model", (0.50, 0.52, 0.54)), ("peer_x", (0.50, 0.53))):
        for seed, value in enumerate(values):
            paths.append(tmp_path / f"{name}-seed{seed}.json")
            score = {"value": value, "low": 0, "high": 1}
            paths[-1].write_text(json.dumps({"evidence": {"rank1": score, "mean_ap": score}}))
    row = difference_table(paths).splitlines()[2]
    assert row.startswith("| rank-1 | 52.0, 3 seeds | 51.5, 2 seeds | +0.5 |")
    low, high = (float(number) for number in row.split("|")[5].split(" to "))
    ours, peers = 2.0**2 / 3, 4.5 / 2  # variances of the means, in points
    freedom = (ours + peers) ** 2 / (ours**2 / 2 + peers**2 / 1)
    assert (low + high) / 2 == pytest.approx(0.5, abs=0.06)
    # Student's t at 97.5 % by drawing, which needs no table.
    draws = np.random.default_rng(0).standard_t(freedom, 400_000)
    margin = np.quantile(np.abs(draws), 0.95) * np.sqrt(ours + peers)
    assert (high - low) / 2 == pytest.approx(margin, rel=0.03)


def test_seeds_of_a_recipe_share_a_row_and_the_peer_has_its_own_column(tmp_path: Path) -> None:
    """One seed has its interval; several have their mean and range; the peer's seeds are counted by themselves."""
    machine = tmp_path / "some-machine"
    _add_seed(machine, 0, rank1=0.4)
    one = table_of(tmp_path).splitlines()[-1]
    assert "| `osnet_cuhk03:demo`, 0 |" in one
    assert "| 40.0 (20.0 to 60.0) / " in one
    assert one.endswith("| not measured |")
    _add_seed(machine, 3, rank1=0.5)
    peer = {"rank1": {"value": 0.3, "low": 0.1, "high": 0.4}, "mean_ap": {"value": 0.2, "low": 0.1, "high": 0.4}}
    (machine / "peer_osnet_cuhk03-demo-seed1.json").write_text(json.dumps({"evidence": peer}))
    heading, _, *rows = table_of(tmp_path).splitlines()
    assert heading.count("|") == rows[0].count("|")
    assert len(rows) == 1
    assert "| `osnet_cuhk03:demo`, 0, 3 |" in rows[0]
    assert "| 45.0 (40.0 to 50.0) / " in rows[0]
    assert rows[0].endswith("2 seeds | 30.0 (10.0 to 40.0) / 20.0 (10.0 to 40.0) |")
