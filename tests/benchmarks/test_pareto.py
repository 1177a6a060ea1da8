"""The Pareto page: one file that needs nothing else, and says no more than the records do."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import pytest

from benchmarks.pareto import main
from edge_runtime.contract.errors import ConfigError


def write_records(folder: Path) -> tuple[Path, Path]:
    """A latency record of two sizes, an accuracy record of one engine. Invented figures."""
    networks = [
        {"name": name, "backend": f"{name.split()[0]} 1.0 CPU", "precision": name.split()[1], "weights": "random",
         "sha256": None, "rank1": None, "mean_ap": None}
        for name in ("onnxruntime fp32", "openvino int8")
    ]  # fmt: skip
    timings = [
        {"name": network["name"], "batch": batch, "median_ms": 2.0 * batch, "p95_ms": 2.5 * batch, "times_eager": 5.0}
        for network in networks
        for batch in (1, 8)
    ]
    cases = [
        {"architecture": "osnet_x0_25", "input": size, "networks": networks, "timings": timings}
        for size in ([256, 128], [128, 64])
    ]
    score = {"value": 0.412, "low": 0.394, "high": 0.432}
    engine = {"architecture": "osnet_x0_25", "input": [256, 128], "backend": "onnxruntime", "precision": "fp32",
              "rank1": score, "mean_ap": score, "mean_inp": score, "trained_on": "a <made-up> set"}  # fmt: skip
    head: dict[str, Any] = {"created": "2026-01-01T00:00:00Z", "device": "some CPU"}
    latency, accuracy = folder / "latency_grid.json", folder / "accuracy.json"
    latency.write_text(json.dumps(head | {"cases": cases}))
    scored = {"data_set": "patterns", "protocol": "cosine", "queries": 8, "gallery": 9, "engines": [engine]}
    accuracy.write_text(json.dumps(head | scored))
    return latency, accuracy


class _Table(HTMLParser):
    """Rows of the page's table as texts, and every address that the page asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.addresses: list[str] = []
        self._is_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._is_cell = tag == "td"
        if tag == "tr":
            self.rows.append([])
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action")]

    def handle_data(self, data: str) -> None:
        if self._is_cell:
            self.rows[-1].append(data)
            self._is_cell = False


def test_the_page_needs_no_other_file_and_shows_what_was_measured(tmp_path: Path) -> None:
    """Everything is in it; a cell without a trained model says so; the paper's figures have their own columns."""
    latency, accuracy = write_records(tmp_path)
    options = ["--budget-ms", "5", "--latency", str(latency), "--accuracy", str(accuracy)]
    assert main([*options, "--output", str(tmp_path / "page")]) == 0
    text = (tmp_path / "page" / "pareto.html").read_text()
    table = _Table()
    table.feed(text)
    assert all(address.startswith("data:image/png;base64,") for address in table.addresses)
    assert not re.search(r"https?://|@import|url\(", text)
    rows = {(row[1], row[3]): row for row in table.rows if row}
    assert rows["256x128", "onnxruntime"][-4:] == ["41.2 (39.4 to 43.2)"] * 2 + ["77.8", "92.2"]
    assert rows["256x128", "openvino"][-4:-2] == ["not measured"] * 2
    assert rows["128x64", "onnxruntime"][-4:-2] == ["not trained"] * 2
    assert rows["128x64", "onnxruntime"][4:7] == ["2.00", "2.50", "2.00"]
    assert "Recommended for at most 5 ms" in text
    assert "a &lt;made-up&gt; set" in text
    assert cv2.imread(str(tmp_path / "page" / "pareto.png")).shape[1] > 800


def test_without_an_accuracy_nothing_is_recommended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The page is made all the same."""
    latency, accuracy = write_records(tmp_path)
    scores = json.loads(accuracy.read_text()) | {"engines": []}
    accuracy.write_text(json.dumps(scores))
    options = ["--latency", str(latency), "--accuracy", str(accuracy), "--output", str(tmp_path)]
    assert main([*options, "--people", "20", "--fps", "10"]) == 0
    assert "none can be recommended" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--people", "20"], "--people and --fps belong together"),
        (["--budget-ms", "0"], "must be above 0"),
        (["--budget-ms", "nan"], "must be above 0"),
        (["--latency", "missing.json"], "expected a record at missing.json, found none"),
    ],
)
def test_bad_input_ends_in_a_sentence(options: list[str], sentence: str, tmp_path: Path) -> None:
    """Before anything is written."""
    with pytest.raises(ConfigError, match=sentence):
        main([*options, "--output", str(tmp_path / "page")])
    assert not (tmp_path / "page").exists()


def test_a_record_of_something_else_is_refused(tmp_path: Path) -> None:
    """As the accuracy, and as the latency."""
    latency, accuracy = write_records(tmp_path)
    other = tmp_path / "choice.json"
    other.write_text('{"schema_version": 1}')
    with pytest.raises(ConfigError, match=r"choice\.json is no record of benchmarks/latency\.py"):
        main(["--latency", str(other), "--accuracy", str(accuracy), "--output", str(tmp_path)])
    with pytest.raises(ConfigError, match=r"is no record of benchmarks/accuracy\.py: 'engines'"):
        main(["--latency", str(latency), "--accuracy", str(latency), "--output", str(tmp_path)])
