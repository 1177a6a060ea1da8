"""The daemon before it runs: what a configuration says, what --check says, and what cannot work."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.conftest import ROOT
from tests.support.daemon_site import MakeSite, ends
from tests.support.detector_forms import FORMS, write_constant_network


def test_all_faults_of_a_configuration_are_reported_at_once(make_site: MakeSite, tmp_path: Path) -> None:
    """Unknown key, wrong type and bad name, each with its place; exit code 2."""
    site = make_site(tmp_path / "clip.avi")
    site.settings |= {"sitee": "lab", "node": "a/b"}
    site.settings["cameras"][0]["max_fps"] = "fast"
    sentence = ends(site.daemon(), code=2)
    for place in ("sitee: unknown key", "node: ", "cameras.0.max_fps: "):
        assert place in sentence


@pytest.mark.parametrize(
    ("fault", "code", "expected"),
    [
        ("truncated model", 2, "is not the file its manifest describes"),
        ("other digest", 2, "is not the file its manifest describes"),
        ("no manifest", 2, "has no manifest"),
        ("other TensorRT", 2, "TensorRT"),
        ("summary without folder", 2, "cannot write nowhere/daemon.json"),
        ("no GStreamer", 1, "GStreamer 1.x and its Python bindings are needed"),
        ("missing video", 1, "expected a video file"),
        ("corrupt video", 1, "clip.avi"),
    ],
)
def test_what_cannot_work_ends_in_one_sentence(
    make_site: MakeSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, code: int, expected: str
) -> None:
    """Exit code 2 where a restart cannot help, 1 where it might; never a traceback."""
    clip = tmp_path / "clip.avi"
    clip.write_bytes(np.random.default_rng(0).bytes(100_000))
    site = make_site(clip)
    model, manifest = site.folder / "tiny.onnx", site.folder / "tiny.onnx.json"
    match fault:
        case "truncated model":
            model.write_bytes(model.read_bytes()[:-100])
        case "other digest":
            content = json.loads(manifest.read_text())
            content["artefact"]["sha256"] = "0" * 64
            manifest.write_text(json.dumps(content))
        case "no manifest":
            manifest.unlink()
        case "other TensorRT":
            content = json.loads(manifest.read_text())
            content["artefact"]["kind"] = "engine"
            content["build"] |= {"backend": "tensorrt", "tensorrt": "8.2.1", "gpu": "Orin", "compute_capability": "8.7"}
            manifest.write_text(json.dumps(content))
        case "missing video":
            clip.unlink()
        case "summary without folder":
            site.summary = "nowhere/daemon.json"
        case "no GStreamer":
            (site.folder / "gi.py").write_text("raise ImportError('no gi here')")
            monkeypatch.setenv("PYTHONPATH", str(site.folder), prepend=os.pathsep)
    assert expected in ends(site.daemon(), code=code)


def test_typed_bare_it_names_a_command_that_works_here(make_site: MakeSite, tmp_path: Path) -> None:
    """In a folder with a configuration that is checking it, elsewhere printing the schema."""
    site = make_site(tmp_path / "clip.avi")
    command = [sys.executable, str(ROOT / "edge_runtime/daemon.py")]
    for expected in ("--schema", "--config site.yaml --check"):
        bare = subprocess.run(command, cwd=site.folder, capture_output=True, text=True, timeout=30)
        purpose, shortest, next_step = bare.stderr.splitlines()
        assert (bare.returncode, bare.stdout) == (2, "")
        assert "MQTT broker" in purpose
        assert shortest == f"try:  python edge_runtime/daemon.py {expected}"
        assert "--help" in next_step
        tried = subprocess.run([*command, *expected.split()], cwd=site.folder, capture_output=True, timeout=30)
        assert tried.returncode == 0
        (site.folder / "compose.yaml").write_text("services: []\n")
        (site.folder / "site.yaml").write_text(yaml.safe_dump(site.settings))


def test_check_says_what_would_run(make_site: MakeSite, tmp_path: Path) -> None:
    """Configuration and model are checked, and nothing is started."""
    site = make_site(tmp_path / "clip.avi")
    (site.folder / "site.yaml").write_text(yaml.safe_dump(site.settings))
    command = [sys.executable, str(ROOT / "edge_runtime/daemon.py"), "--config", "site.yaml", "--check"]
    found = subprocess.run(command, cwd=site.folder, capture_output=True, text=True, timeout=30)
    assert found.returncode == 0
    assert "no faults" in found.stdout
    assert "onnxruntime" in found.stdout
    site.settings["broker"] |= {"user_file": "user", "password_file": "password"}
    (site.folder / "site.yaml").write_text(yaml.safe_dump(site.settings))
    found = subprocess.run(command, cwd=site.folder, capture_output=True, text=True, timeout=30)
    assert found.returncode == 2
    assert "it holds the broker's user or password" in found.stderr


def test_check_refuses_a_risk_where_the_configuration_is_strict(make_site: MakeSite, tmp_path: Path) -> None:
    """Otherwise it is a warning."""
    site = make_site(tmp_path / "clip.avi")
    site.settings["broker"]["host"] = "broker.example"
    command = [sys.executable, str(ROOT / "edge_runtime/daemon.py"), "--config", "site.yaml", "--check"]
    for is_strict, code in ((False, 0), (True, 2)):
        (site.folder / "site.yaml").write_text(yaml.safe_dump(site.settings | {"strict": is_strict}))
        found = subprocess.run(command, cwd=site.folder, capture_output=True, text=True, timeout=30)
        assert found.returncode == code
        assert "descriptors go to the broker broker.example:1 without encryption" in found.stderr


def test_check_fixes_the_detector_and_refuses_another_one_under_its_name(make_site: MakeSite, tmp_path: Path) -> None:
    """The manifest of the detector is written by --check; a file that has changed since then is final."""
    site = make_site(tmp_path / "clip.avi")
    model = write_constant_network(site.folder / "found.onnx", FORMS["yolox"].outputs())
    site.settings["detector"] = {"model": "found.onnx"}
    (site.folder / "site.yaml").write_text(yaml.safe_dump(site.settings))
    command = [sys.executable, str(ROOT / "edge_runtime/daemon.py"), "--config", "site.yaml", "--check"]
    assert subprocess.run(command, cwd=site.folder, capture_output=True, timeout=30).returncode == 0
    assert json.loads((site.folder / "found.onnx.json").read_text())["kind"] == "yolox"
    write_constant_network(model, FORMS["yolox-decoded"].outputs())
    found = subprocess.run(command, cwd=site.folder, capture_output=True, text=True, timeout=30)
    assert found.returncode == 2
    assert "found.onnx is not the file that was checked" in found.stderr
    assert "Traceback" not in found.stderr
