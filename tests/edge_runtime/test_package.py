"""The Debian package: built, installed into an empty root and removed again by dpkg."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

SOURCES = ("train", "export", "calibration", "edge_runtime", "benchmarks", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package without the libraries that it brings, which take minutes to fetch."""
    folder = tmp_path_factory.mktemp("deb")
    for name in SOURCES:  # a copy, because setuptools leaves its build folders in what it builds from
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        (folder / "sources").mkdir(exist_ok=True)
        copy(ROOT / name, folder / "sources" / name)
    script = ROOT / "edge_runtime/install/build_deb.sh"
    subprocess.run(
        ["sh", script, sys.executable, folder / "sources", folder / "reid-edge.deb", "--no-deps"], check=True
    )
    return folder / "reid-edge.deb"


def dpkg(root: Path, *arguments: str | Path) -> None:
    """Run dpkg on a root of its own; what the package depends on is not there."""
    (root / "var/lib/dpkg/info").mkdir(parents=True, exist_ok=True)
    (root / "var/lib/dpkg/updates").mkdir(exist_ok=True)
    for name in ("status", "available"):
        (root / "var/lib/dpkg" / name).touch()
    command = ["dpkg", f"--root={root}", "--force-depends,script-chrootless,not-root", *arguments]
    # dpkg asks for programs of administrators.
    environment = os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    found = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert found.returncode == 0, found.stderr


@pytest.mark.machine
def test_it_is_installed_and_removed_without_a_trace(package: Path, tmp_path: Path) -> None:
    """Unit, user, commands and the small network are where the manual says; later nothing but dpkg's own files is."""
    dpkg(tmp_path, "--install", package)
    for name in (
        "lib/systemd/system/reid-edge.service",
        "usr/lib/sysusers.d/reid-edge.conf",
        "opt/reid-edge/lib/edge_runtime/daemon.py",
        "opt/reid-edge/lib/edge_runtime/models/osnet_x0_25.onnx",
    ):
        assert (tmp_path / name).is_file()
    for command in ("reid-edge", "reid-listen"):
        assert os.access(tmp_path / "opt/reid-edge/bin" / command, os.X_OK)
        assert os.readlink(tmp_path / "usr/bin" / command) == f"/opt/reid-edge/bin/{command}"
    unit = (tmp_path / "lib/systemd/system/reid-edge.service").read_text()
    assert "ExecStart=/opt/reid-edge/bin/reid-edge --config /etc/reid-edge/site.yaml" in unit
    dpkg(tmp_path, "--remove", "reid-edge")
    left = [path for path in tmp_path.rglob("*") if path.is_file() and "var/lib/dpkg" not in str(path)]
    assert left == []


def test_the_container_has_what_the_package_depends_on() -> None:
    """And every folder of which a wheel is made."""
    text = (ROOT / "edge_runtime/install/Containerfile").read_text()
    control = (ROOT / "edge_runtime/install/build_deb.sh").read_text()
    depends = re.search(r"^Depends: (.+)$", control, flags=re.MULTILINE)
    assert depends
    wanted = {name.split()[0] for name in depends[1].split(",")}
    final = text.rpartition("\nFROM ")[2]
    assert set(re.findall(r"^    ([a-z][\w.-]+) \\$", final, flags=re.MULTILINE)) == wanted
    copied = {name for line in re.findall(r"^COPY (?!--)(.+) \S+$", text, flags=re.MULTILINE) for name in line.split()}
    assert copied == set(SOURCES)
