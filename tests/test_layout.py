"""The frame of the project: where packages come from, what importing them costs, and names that would hide others."""

import ast
import subprocess
import sys
from importlib import import_module, util
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.script_help import help_of

PACKAGES = ("edge_runtime", "train", "export", "calibration")
THIRD_PARTY = (
    "torch",
    "onnx",
    "onnxruntime",
    "tensorrt",
    "pycuda",
    "numpy",
    "gi",
    "paho",
    "cv2",
    "yaml",
    "cbor2",
    "tqdm",
)
WITHOUT_TORCH = (
    "edge_runtime.daemon",
    "edge_runtime.listen",
    "export.adopt",
    "export.build_engine",
    "calibration.quantize",
)
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("name", PACKAGES)
def test_packages_come_from_this_checkout(name: str) -> None:
    """The names are general; another distribution's `train` must not win."""
    found = import_module(name).__file__
    assert found is not None
    assert Path(found).resolve() == ROOT / name / "__init__.py"


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if p.name == "__init__.py"], ids=lambda p: str(p.relative_to(ROOT))
)
def test_package_files_hold_a_docstring_and_nothing_else(path: Path) -> None:
    """So importing a package loads no heavy library."""
    body = ast.parse(path.read_text()).body
    assert len(body) == 1
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_no_file_beside_a_script_hides_a_library() -> None:
    """`python train/run.py` puts train/ first on the path: an `onnx.py` there would be imported for onnx."""
    taken = set(sys.stdlib_module_names) | set(THIRD_PARTY)
    folders = {path.parent for path in SOURCES if '\nif __name__ == "__main__":' in path.read_text()}
    hiding = [path for folder in folders for path in folder.glob("*.py") if path.stem in taken]
    assert hiding == []


def test_the_root_of_export_stays_small() -> None:
    """What every user runs stands in it; a script that serves one room alone stands in that room."""
    listed = subprocess.run(["git", "ls-files", "export"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    entries = {line.split("/")[1] for line in listed.splitlines()} - {"__init__.py", "README.md"}
    assert len(entries) <= 8, sorted(entries)


def test_source_files_tell_one_story_each() -> None:
    """At most about 400 lines."""
    assert [path.name for path in SOURCES if len(path.read_text().splitlines()) > 400] == []


def test_the_device_side_never_loads_torch() -> None:
    """An engine is built, scored and run where torch is not installed. One process imports all, and names the first."""
    if util.find_spec("torch") is None:
        pytest.fail("torch is not installed, so this test would prove nothing; use `make test`")
    code = (
        "import sys\n"
        "from importlib import import_module\n"
        "for name in sys.argv[1:]:\n"
        "    import_module(name)\n"
        "    if 'torch' in sys.modules: sys.exit(f'{name} loads torch')\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *WITHOUT_TORCH], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "script",
    sorted(
        path.relative_to(ROOT)
        for path in (*SOURCES, *(ROOT / "benchmarks").glob("*.py"))
        if '\nif __name__ == "__main__":' in path.read_text()
    ),
    ids=str,
)
def test_every_script_teaches_itself(script: Path) -> None:
    """--help works from any folder and shows an example."""
    assert "example" in help_of(str(script)).lower()
