"""The README's table of training runs."""

import json
import shutil
from pathlib import Path

from benchmarks.reporting.training_table import training_table

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


def test_seeds_of_a_recipe_share_a_row_and_the_peer_has_its_own_column(tmp_path: Path) -> None:
    """One seed has its interval; several have their mean and range; the peer's seeds are counted by themselves."""
    _add_seed(tmp_path, 0, rank1=0.4)
    one = training_table(tmp_path).splitlines()[-1]
    assert "| `osnet_cuhk03:demo`, 0 |" in one
    assert "| 40.0 (20.0 to 60.0) / " in one
    assert one.endswith("| not measured |")
    _add_seed(tmp_path, 3, rank1=0.5)
    peer = {"rank1": {"value": 0.3, "low": 0.1, "high": 0.4}, "mean_ap": {"value": 0.2, "low": 0.1, "high": 0.4}}
    (tmp_path / "peer_osnet_cuhk03-demo-seed1.json").write_text(json.dumps({"evidence": peer}))
    heading, _, *rows = training_table(tmp_path).splitlines()
    assert heading.count("|") == rows[0].count("|")
    assert len(rows) == 1
    assert "| `osnet_cuhk03:demo`, 0, 3 |" in rows[0]
    assert "| 45.0 (40.0 to 50.0) / " in rows[0]
    assert rows[0].endswith("2 seeds | 30.0 (10.0 to 40.0) / 20.0 (10.0 to 40.0) |")
