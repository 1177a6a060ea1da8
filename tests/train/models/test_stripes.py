"""Every network that cuts its maps says at which heights the parts are equal."""

from pathlib import Path

import pytest

from edge_runtime.contract.errors import ExportError
from edge_runtime.contract.manifest import Input, Terms, write_manifest
from export.to_onnx import main
from train.models.catalog import build
from train.models.checkpoint import LoadedNetwork, checkpoint_manifest, save
from train.models.stripes import check_stripes, find_stripe_fault


@pytest.mark.parametrize(
    ("architecture", "height_px", "fault"),
    [
        ("plr_osnet_x0_25", 64, None),
        ("plr_osnet_x0_25", 96, "6 rows, which make no 4 equal stripes; use a multiple of 64 pixels"),
        ("mgn_part2_4", 96, "6 rows, which make no 4 equal stripes; use a multiple of 64 pixels"),
        ("pyramid_r50", 96, None),
        ("pyramid_r50", 64, "4 rows, which make no 6 equal stripes; use a multiple of 96 pixels"),
        ("osnet_x0_25", 75, None),
    ],
)
def test_a_height_is_right_where_all_stripes_are_equal(architecture: str, height_px: int, fault: str | None) -> None:
    """MGN's parts need a common multiple; a network without stripes takes any height."""
    found = find_stripe_fault(build(architecture, classes=2).eval(), height_px=height_px, width_px=32)
    assert found == (fault and f"at a height of {height_px} pixels its maps have {fault}")


TERMS = Terms(weights="none", training_data="none")


def loaded(path: Path, *, architecture: str, height_px: int) -> LoadedNetwork:
    """A network with random weights, and the manifest of its checkpoint, both written."""
    network = build(architecture, classes=2).eval()
    save({"state_dict": network.state_dict()}, path)
    facts = {"architecture": architecture, "data_set": "patterns", "recipe": "none", "terms": TERMS}
    manifest = checkpoint_manifest(path, network, input_=Input(height_px=height_px, width_px=32), **facts)
    write_manifest(manifest, path)
    return LoadedNetwork(network, manifest)


@pytest.mark.parametrize(
    ("height_px", "message"),
    [(96, r"6 rows, which make no 4 equal stripes; use a multiple of 64 pixels"), (64, None), (128, None)],
)
def test_rows_must_divide_by_the_stripes(tmp_path: Path, height_px: int, message: str | None) -> None:
    """PLR-OSNet cuts maps of a sixteenth of the image's height into four."""
    source = loaded(tmp_path / "plr.pth", architecture="plr_osnet_x0_25", height_px=height_px)
    if message is None:
        check_stripes(source)
        return
    with pytest.raises(ExportError, match=message):
        check_stripes(source)


def test_networks_without_stripes_take_any_height(tmp_path: Path) -> None:
    """A global average needs no equal parts."""
    check_stripes(loaded(tmp_path / "osnet.pth", architecture="osnet_x0_25", height_px=75))


def test_nothing_is_written_for_an_uneven_height(tmp_path: Path) -> None:
    """One sentence instead of the exporter's pages."""
    loaded(tmp_path / "plr.pth", architecture="plr_osnet_x0_25", height_px=96)
    with pytest.raises(ExportError, match="plr_osnet_x0_25 cannot be exported: at a height of 96 pixels"):
        main([str(tmp_path / "plr.pth"), "--output", str(tmp_path / "models")])
    assert not (tmp_path / "models").exists()
