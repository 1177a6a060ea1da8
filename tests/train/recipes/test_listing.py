"""Every row of every table of the four papers is a recipe, with the paper's figures; ours stand beside them."""

import json
from pathlib import Path

import pytest

from edge_runtime.contract.errors import ConfigError
from train.recipes import listing
from train.recipes.catalog import find_recipe
from train.recipes.listing import list_recipes, table_rows
from train.recipes.recipe import Expected

BOXES = ("cuhk03_np_labelled", "cuhk03_np_detected")
LARGE = ("market1501", "cuhk03_np_detected", "dukemtmcreid", "msmt17_train")
TWO = ("market1501", "dukemtmcreid")
FOUR = ("market1501", "dukemtmcreid", *BOXES)
CIFAR = ("cifar10", "cifar100")

# The papers' tables: (paper, table), the rows that report the paper's own network, the data sets of each row.
TABLES: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("OSNet", "3", ("OSNet", "OSNet from scratch", "ShuffleNet", "MobileNetV2"), LARGE),
    ("OSNet", "4", ("VIPeR",), ("viper",)),
    ("OSNet", "4", ("GRID",), ("grid",)),
    ("OSNet", "5", tuple(f"model {number}" for number in range(1, 12)), ("market1501",)),
    (
        "OSNet",
        "6",
        tuple(
            f"width {width} resolution {resolution}"
            for width in (1.0, 0.75, 0.5, 0.25)
            for resolution in (1.0, 0.75, 0.5, 0.25)
        ),
        ("market1501",),
    ),
    ("OSNet", "7", ("OSNet",), ("pa100k",)),
    ("OSNet", "8", ("depth 78", "depth 210"), CIFAR),
    ("OSNet", "9", ("T=1", "T=4 addition", "T=4 unified AG"), CIFAR),
    ("OSNet", "10", ("width 0.5", "width 0.75", "width 1.0"), ("imagenet",)),
    ("OSNet", "11", ("Market1501 to Duke", "MSMT17 to Duke"), ("dukemtmcreid",)),
    ("OSNet", "11", ("Duke to Market1501", "MSMT17 to Market1501"), ("market1501",)),
    ("OSNet", "12a", ("ImageNet", "re-ID data set"), TWO),
    ("OSNet", "12b", ("256x128", "320x160"), TWO),
    ("OSNet", "12c", ("weight 0", "weight 0.01", "weight 0.05", "weight 0.1", "weight 0.5"), TWO),
    ("OSNet", "12d", ("w/o DML", "w/ DML model-1", "w/ DML model-2", "w/ DML model-1+2"), TWO),
    ("OSNet", "12e", ("weight 0", "weight 0.1", "weight 0.5", "weight 1.0"), TWO),
    ("OSNet", "12f", ("w/o DML", "+ DML model-1", "+ DML model-2", "+ DML model-1+2"), TWO),
    ("PLR-OSNet", "I", ("PLR-OSNet",), ("market1501",)),
    ("PLR-OSNet", "II", ("PLR-OSNet",), ("dukemtmcreid",)),
    ("PLR-OSNet", "III", ("PLR-OSNet",), BOXES),
    ("PLR-OSNet", "IV", ("without global features", "global features"), FOUR),
    ("PLR-OSNet", "V", ("multiple ID loss", "single ID loss"), FOUR),
    ("PLR-OSNet", "VI", ("without attention modules", "attention modules"), FOUR),
    ("PLR-OSNet", "VII", ("hard margin", "soft margin"), BOXES),
    ("MGN", "2", ("single query", "multiple query", "single query RK", "multiple query RK"), ("market1501",)),
    ("MGN", "3", ("MGN",), ("dukemtmcreid",)),
    ("MGN", "4", ("labelled",), ("cuhk03_np_labelled",)),
    ("MGN", "4", ("detected",), ("cuhk03_np_detected",)),
    (
        "MGN",
        "5",
        (
            *("ResNet-50", "ResNet-101", "ResNet-50+TP", "Global (Branch)"),
            *("Part-2 (Single)", "Part-2 (Branch)", "Part-3 (Single)", "Part-3 (Branch)", "G+P2+P3 (Single)"),
            *("MGN w/o Part-3", "MGN w/ Part-4", "MGN (Part2+4)", "MGN (Part3+4)", "MGN w/o TP", "MGN"),
        ),
        ("market1501",),
    ),
    ("Pyramid", "1", ("Pyramid-ours",), ("market1501",)),
    ("Pyramid", "2", ("Pyramid-ours",), ("dukemtmcreid",)),
    ("Pyramid", "3", ("labelled",), ("cuhk03_np_labelled",)),
    ("Pyramid", "3", ("detected",), ("cuhk03_np_detected",)),
    (
        "Pyramid",
        "4",
        (
            *(f"Pyramid-{levels}" for levels in ("000001", "100000", "001111", "110011", "111100")),
            *("Feature-64", "Feature-256", "No triplet loss", "Pyramid-ours"),
        ),
        ("market1501",),
    ),
)

# Typed anew from the papers, in per cent as printed there: rank-1 and mAP.
RETRIEVAL = {
    ("OSNet", "3", "OSNet", "msmt17_train"): (78.7, 52.9),
    ("OSNet", "3", "OSNet from scratch", "cuhk03_np_detected"): (57.1, 54.2),
    ("OSNet", "5", "model 2", "market1501"): (94.0, 82.7),
    ("OSNet", "5", "model 9", "market1501"): (86.5, 67.7),
    ("OSNet", "6", "width 0.75 resolution 0.5", "market1501"): (92.9, 79.5),
    ("OSNet", "6", "width 0.25 resolution 0.25", "market1501"): (79.1, 56.0),
    ("OSNet", "12c", "weight 0.05", "dukemtmcreid"): (88.7, 76.6),
    ("OSNet", "12d", "w/ DML model-2", "market1501"): (94.8, 87.3),
    ("OSNet", "12e", "weight 0.5", "market1501"): (95.5, 87.2),
    ("OSNet", "12f", "+ DML model-1+2", "dukemtmcreid"): (89.0, 79.5),
    ("PLR-OSNet", "III", "PLR-OSNet", "cuhk03_np_labelled"): (84.6, 80.5),
    ("PLR-OSNet", "IV", "without global features", "cuhk03_np_detected"): (77.6, 73.4),
    ("PLR-OSNet", "V", "multiple ID loss", "dukemtmcreid"): (89.4, 77.0),
    ("PLR-OSNet", "VII", "hard margin", "cuhk03_np_labelled"): (78.6, 75.9),
    ("MGN", "2", "multiple query RK", "market1501"): (97.1, 95.9),
    ("MGN", "4", "detected", "cuhk03_np_detected"): (66.8, 66.0),
    ("MGN", "5", "Part-2 (Branch)", "market1501"): (94.4, 83.9),
    ("MGN", "5", "G+P2+P3 (Single)", "market1501"): (94.4, 85.2),
    ("Pyramid", "2", "Pyramid-ours", "dukemtmcreid"): (89.0, 79.0),
    ("Pyramid", "4", "Pyramid-110011", "market1501"): (95.0, 87.2),
    ("Pyramid", "4", "No triplet loss", "market1501"): (93.8, 86.5),
}


def expected() -> dict[tuple[str, str, str, str], Expected]:
    return {(row.paper, row.table, row.row, row.data_set): row.recipe.expected for row in table_rows()}


def test_every_row_of_every_table_is_one_recipe_and_there_are_no_others() -> None:
    """Those that report the paper's own network."""
    printed = [
        (paper, table, row, data_set)
        for paper, table, names, data_sets in TABLES
        for row in names
        for data_set in data_sets
    ]
    listed = [(row.paper, row.table, row.row, row.data_set) for row in table_rows() if row.table]
    assert sorted(listed) == sorted(printed)


@pytest.mark.parametrize("row", RETRIEVAL, ids=" ".join)
def test_figures_are_those_of_the_paper(row: tuple[str, str, str, str]) -> None:
    """Shares of 1 in a recipe, per cent in a paper."""
    found = expected()[row]
    assert (found.rank1, found.mean_ap) == pytest.approx([value / 100 for value in RETRIEVAL[row]])


def test_figures_of_other_kinds_are_those_of_the_paper() -> None:
    """Further ranks, errors, accuracies, attributes."""
    found = expected()
    across = found["OSNet", "11", "MSMT17 to Market1501", "market1501"]
    assert (across.rank1, across.rank5, across.rank10, across.mean_ap) == (0.665, 0.815, 0.868, 0.372)
    branch = found["MGN", "5", "Part-3 (Branch)", "market1501"]
    assert (branch.rank5, branch.rank10) == (0.982, 0.988)
    labelled = found["Pyramid", "3", "labelled", "cuhk03_np_labelled"]
    assert (labelled.rank5, labelled.rank10) == (0.910, 0.944)
    assert found["OSNet", "4", "GRID", "grid"].rank1 == 0.382
    assert found["OSNet", "8", "depth 210", "cifar100"].top1_error == 0.1888
    assert found["OSNet", "9", "T=1", "cifar10"].top1_error == 0.0549
    assert found["OSNet", "10", "width 0.75", "imagenet"].top1_error == 0.265  # 73.5 % right
    people = found["OSNet", "7", "OSNet", "pa100k"]
    figures = (people.mean_accuracy, people.accuracy, people.precision, people.recall, people.f1)
    assert figures == (0.746, 0.760, 0.883, 0.825, 0.853)


def test_the_listing_fits_a_terminal_and_shows_every_row(tmp_path: Path) -> None:
    """At most 120 columns; nothing measured is shown as nothing."""
    lines = list_recipes(records=tmp_path).splitlines()
    assert max(map(len, lines)) <= 120
    shown = [line for line in lines if "94.8 / 84.9 -" in line]
    assert [line.split()[0] for line in shown] == ["3", "6"]
    assert sum(line.endswith(" -") for line in lines) == len(table_rows())


def test_a_pattern_chooses_rows_by_any_of_their_words() -> None:
    """Paper, table, row, recipe or data set, in any letter case and order, however the words are joined."""
    assert "osnet_market1501:t2 " in list_recipes("osnet, TABLE 5, ")
    assert "osnet_cuhk03" not in list_recipes("osnet, table 5, ")
    assert "mgn_market1501:singles" in list_recipes("g+p2+p3")
    assert "osnet_ibn_msmt17_to_market1501" in list_recipes("market1501")
    assert "osnet_market1501:separate_gates " in list_recipes("market1501 MODEL 6 table_5 osnet")
    assert "mgn_market1501:without_part3 " in list_recipes("without part-3")
    assert "osnet_ibn_msmt17_to_market1501" in list_recipes("Cross-Domain")
    assert "osnet_cuhk03" not in list_recipes("cross_domain")
    with pytest.raises(ConfigError, match="no recipe contains 'osnet table 1'"):  # there is 10
        list_recipes("osnet table 1")
    with pytest.raises(ConfigError, match="no recipe contains 'nothing like it'"):
        list_recipes("nothing like it")


def record(folder: Path, scores: dict[str, float], *, reported: str = "first") -> None:
    folder.mkdir(parents=True)
    content = {"recipe": "any", "reported": reported, "scores": {reported: scores, "other": {"rank1": 0.1}}}
    (folder / "scores.json").write_text(json.dumps(content))


def test_ours_is_the_mean_over_the_records_of_all_seeds(tmp_path: Path) -> None:
    """The figures of the network that the recipe scores, and of this recipe alone."""
    record(tmp_path / "best_osnet_market1501-seed0", {"rank1": 0.5, "mean_ap": 0.3}, reported="ensemble")
    record(tmp_path / "best_osnet_market1501-seed1", {"rank1": 0.6, "mean_ap": 0.4}, reported="ensemble")
    record(tmp_path / "osnet_cifar10-t1-seed0", {"top1_error": 0.0612})
    for split in range(2):
        record(tmp_path / f"osnet_viper-seed0/split{split}", {"rank1": 0.6 + 0.1 * split, "mean_ap": 0.7})
    lines = list_recipes(records=tmp_path).splitlines()
    assert next(line for line in lines if " best_osnet_market1501 " in line).endswith("95.7 / 88.7 55.0 / 35.0")
    assert next(line for line in lines if " osnet_cifar10:t1 " in line).endswith("error 5.49  error 6.12")
    assert next(line for line in lines if " osnet_viper " in line).endswith("68.0 / -    65.0 / 70.0")
    assert next(line for line in lines if " best_osnet_market1501:first " in line).endswith(" -")


def test_a_record_without_scores_is_read_from_its_manifest(tmp_path: Path) -> None:
    """Those of the first networks hold no more."""
    folder = tmp_path / "osnet_cuhk03-demo-seed0"
    folder.mkdir()
    evidence = {"rank1": {"value": 0.426}, "mean_ap": {"value": 0.412}, "data_set": "any"}
    (folder / "model.pth.json").write_text(json.dumps({"evidence": evidence}))
    assert "42.6 / 41.2" in list_recipes("osnet_cuhk03:demo", records=tmp_path)


def test_our_own_recipes_report_nothing_published() -> None:
    """A figure of ours never stands in the published column."""
    for name in ("reduced_cuhk03", "reduced_cuhk03:plr_osnet", "reduced_cifar10", "osnet_cuhk03:demo"):
        assert find_recipe(name).expected == Expected("ours")


def test_without_our_records_the_column_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package may come without the measurements; the papers' figures are there all the same."""

    def missing(package: str) -> None:
        raise ModuleNotFoundError(package)

    monkeypatch.setattr(listing, "files", missing)
    assert list_recipes("osnet_cuhk03:demo").splitlines()[-1].endswith(" -")


def test_records_are_found_in_the_folder_of_a_machine(tmp_path: Path) -> None:
    """And each of them once."""
    write = tmp_path / "cpu" / "osnet_cuhk03-scratch-seed0"
    write.mkdir(parents=True)
    scores = {"reported": "first", "scores": {"first": {"rank1": 0.5, "mean_ap": 0.25}}}
    (write / "scores.json").write_text(json.dumps(scores))
    assert "50.0 / 25.0" in list_recipes("osnet_cuhk03:scratch", records=tmp_path)
