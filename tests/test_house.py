"""The house rules that no linter holds: lengths, names that stand once, and words that are gone."""

import ast
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.conftest import ROOT

PACKAGES = ("benchmarks", "calibration", "edge_runtime", "export", "train")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
_FUNCTION_LINES = 40
_FILE_LINES = 400
_SHARED_FILE_NAMES = {
    "__init__.py": "a package's docstring",
    "catalog.py": "each family's table",
}
_OF_EVERY_SCRIPT = ("main", "command")
_OLD_WORDS = {
    r"--gate\b": "--acceptance",
    r"--choice\b": "--precision-plan",
    r"\bpack_gate\b": "pack_images",
    r"\bgate_file\b": "packed images",
    r"\bgate\.npz\b": "acceptance.npz",
    r"\bjudg(ed|ing)_": "acceptance",
    r"\bLane\b": "CameraStream",
    r"\b[Ll]edger\b": "SequenceTracker",
    r"\bReception\b": "Receiver",
    r"\bOutbox\b": "RetainedMessages",
    r"\b[Tt]ally\b": "LinkCounters, EpochMeans",
    r"\bVitals\b": "HealthChecks",
    r"\bWorth\b": "Priority",
    r"\b(engine|precision)_trial\b": "candidate, layer_costs",
    r"\b(engine_plan|make_plan|graph_choice|default_choice|read_choice)\b": "see export/building",
    r"\bsuccessor\(": "derive_manifest",
    r"\bfree_centres\b": "unscale_centre_gradients",
    r"\bwhole_float32\b": "without_tf32",
    r"\bshare_right\b": "accuracy",
    r"\bspool_clock\b": "spool_file",
    r"\bedge_runtime/lane\b": "edge_runtime/streams",
    r"\bedge_runtime[./]demo(\.py|_cameras|_gallery|_picture)\b": "edge_runtime/demo/run_demo.py, edge_runtime/demo/",
    r"\b\w+\.(opened|inside|choices?|tally|adaptation)\b(?= import)": "see ARCHITECTURE.md",
    r"\bquantis\w+ = |\bquantis\w+=|_quantis|\bquantis\w*_": "quantize in identifiers",
}
"""What a word is called now, by a pattern of the old one. The changelog may name them."""


@cache
def parsed(path: Path) -> ast.Module:
    """A source file as a tree; parsed once for all tests."""
    return ast.parse(path.read_text())


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions and methods of a file."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    first = function.body[0]
    has_docstring = ast.get_docstring(function) is not None
    assert function.end_lineno is not None
    assert first.end_lineno is not None
    docstring = first.end_lineno - first.lineno + 1 if has_docstring else 0
    return function.end_lineno - function.lineno + 1 - docstring


def test_functions_are_short() -> None:
    """At most 40 lines without the docstring; a longer one has `# long: REASON` on the line of its name."""
    long = []
    for path in SOURCES:
        lines = path.read_text().splitlines()
        for function in functions(parsed(path)):
            if length(function) > _FUNCTION_LINES and "# long: " not in lines[function.lineno - 1]:
                long.append(f"{path.relative_to(ROOT)}:{function.lineno} {function.name}: {length(function)}")
    assert long == []


def test_files_tell_one_story_each() -> None:
    """At most 400 lines."""
    long = [str(path.relative_to(ROOT)) for path in SOURCES if len(path.read_text().splitlines()) > _FILE_LINES]
    assert long == []


def test_no_two_files_share_a_name() -> None:
    """A newcomer who searches for a file finds one; the exceptions mean the same thing in each folder."""
    places = defaultdict(list)
    for path in SOURCES:
        places[path.name].append(str(path.relative_to(ROOT)))
    twice = {name: found for name, found in places.items() if len(found) > 1 and name not in _SHARED_FILE_NAMES}
    assert twice == {}


def test_no_two_public_classes_share_a_name() -> None:
    """One word has one meaning over the whole project."""
    places = defaultdict(list)
    for path in SOURCES:
        for node in parsed(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path.relative_to(ROOT)))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_no_two_public_functions_share_a_name() -> None:
    """A newcomer who follows a name finds one function; every script has the same two."""
    places = defaultdict(list)
    for path in SOURCES:
        for node in parsed(path).body:
            if (
                isinstance(node, ast.FunctionDef)
                and not node.name.startswith("_")
                and node.name not in _OF_EVERY_SCRIPT
            ):
                places[node.name].append(str(path.relative_to(ROOT)))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_old_words_are_gone() -> None:
    """No code, document, message or option uses a name that was given up."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    kinds = (".py", ".md", ".toml", ".cu", "Makefile")
    exempt = ("CHANGELOG.md", "tests/test_house.py")
    paths = [ROOT / name for name in listed if name.endswith(kinds) and name not in exempt]
    texts = [(path.name, path.read_text()) for path in paths if path.exists()]
    everything = "\n".join(text for _, text in texts)
    # Without a word's border in front it is found ten times as fast, and hardly ever.
    suspects = [word for word in _OLD_WORDS if re.search(word.removeprefix(r"\b"), everything)]
    found = [
        f"{name}: {old[0]} is now {_OLD_WORDS[word]}"
        for word in suspects
        for name, text in texts
        for old in re.finditer(word, text)
    ]
    assert found == []
