"""An engine from unlabelled people of the place itself, and from nothing but the command."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration.collect_site import collect_site
from edge_runtime.contract.errors import ConfigError, DataError
from edge_runtime.contract.manifest import read_manifest
from edge_runtime.contract.script import shipped_model
from edge_runtime.contract.site_set import read_site_tracks
from edge_runtime.streams.site_keeper import CollectSettings
from export import compare
from export.acceptance.acceptance_images import crops_of_folder
from export.build_engine import main
from export.building import usual_inputs
from tests.support.engine_options import ANY_LOSS, ANY_SPEED, CPU
from tests.support.site_folder import write_site
from train import evaluate


def test_a_site_set_calibrates_and_accepts(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One folder, no label: an INT8 engine with its evidence; then compared and scored on the same folder."""
    site, engine = write_site(tmp_path / "site", tracks=16), tmp_path / "tiny_int8.onnx"
    assert main([str(model), "--int8", "--data", str(site), "--output", str(engine), *CPU, *ANY_SPEED, *ANY_LOSS]) == 0
    assert "images of 8 people" in capsys.readouterr().out
    manifest = read_manifest(engine)
    assert manifest.calibration is not None
    assert manifest.calibration.split == "site set"
    assert manifest.evidence is not None
    assert manifest.evidence.data_set == "site"
    assert manifest.evidence.rank1_change is not None
    assert compare.main([str(model), str(engine), "--data", str(site), *ANY_LOSS]) == 0
    assert evaluate.main([str(engine), "--data", str(site)]) == 0
    assert "95 % interval" in capsys.readouterr().out


def test_a_site_set_calibrates_and_another_data_set_accepts(model: Path, data: Path, tmp_path: Path) -> None:
    """--calibration may be a folder."""
    site, engine = write_site(tmp_path / "site", tracks=16), tmp_path / "tiny_int8.onnx"
    options = ["--calibration", str(site), "--data", str(data), "--output", str(engine), "--site", str(site)]
    assert main([str(model), "--int8", *options, *CPU, *ANY_SPEED, *ANY_LOSS]) == 0
    evidence = read_manifest(engine).evidence
    assert evidence is not None
    assert evidence.data_set == "patterns"
    assert evidence.site is not None
    assert evidence.site.images == 112


def test_all_crops_of_a_site_set_are_its_crops(model: Path, tmp_path: Path) -> None:
    """Those of the test among them: nothing is learnt from them here."""
    site = write_site(tmp_path / "site", tracks=3)
    assert len(crops_of_folder(site, read_manifest(model).input)) == 21


def test_int8_alone_takes_the_shipped_network_and_the_sample_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model: Path
) -> None:
    """It says which, builds into the current folder, and leaves no crop behind. People are made up for speed."""
    collected: list[Path] = []

    def collect(sources: list[str], *, settings: object, **_: object) -> None:
        folder = settings.path  # type: ignore[attr-defined]
        collected.append(write_site(folder, tracks=16))

    monkeypatch.setattr("calibration.collect_site.collect_site", collect)
    monkeypatch.setattr(usual_inputs, "shipped_model", lambda: str(model))
    monkeypatch.setattr(usual_inputs, "sample_clip", lambda: Path("clip.avi"))
    monkeypatch.chdir(tmp_path)
    assert main(["--int8", *CPU, *ANY_SPEED, *ANY_LOSS]) == 0
    said = capsys.readouterr().out
    assert f"no model is named: taking the one that comes with it, {model}" in said
    assert "no images are named: collecting people of the sample clip, clip.avi" in said
    assert read_manifest(tmp_path / f"{model.stem}_int8_onnxruntime.onnx").build.precision == "int8"
    assert not collected[0].exists()


def test_without_a_sample_clip_it_says_how_to_get_one(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And how to do without."""
    monkeypatch.setattr(usual_inputs, "sample_clip", lambda: None)
    with pytest.raises(ConfigError, match=r"add --data FOLDER.*collect_site\.py.*`make demo` fetches it"):
        main([str(model), "--int8"])


def test_nobody_in_a_clip_is_an_empty_site_set(tmp_path: Path) -> None:
    """The clip is played to its end; whoever reads the set is told so."""
    clip = tmp_path / "empty.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 10, (160, 120))
    for _ in range(12):
        writer.write(np.full((120, 160, 3), 90, np.uint8))
    writer.release()
    settings = CollectSettings(tmp_path / "site", min_free_mib=0)
    collect_site([str(clip)], settings=settings, seconds=1, model=Path(shipped_model()))
    with pytest.raises(DataError, match="is empty: nobody was seen yet"):
        read_site_tracks(tmp_path / "site")
