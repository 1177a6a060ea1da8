"""What an engine is built from and judged on where the command names less: shipped network, sample clip, site set."""

import argparse
import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from calibration.image_list import write_image_list
from calibration.select_images import select_images
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import read_manifest
from edge_runtime.contract.script import sample_clip, shipped_model
from edge_runtime.contract.site_set import is_site_set
from edge_runtime.streams.site_keeper import CollectSettings
from export.building.backends import BACKENDS

_SECONDS = 600.0  # at most; the sample clip is shorter
_QUANTIZED = ("int8", "best")


@contextlib.contextmanager
def complete_inputs(arguments: argparse.Namespace) -> Iterator[argparse.Namespace]:
    """The arguments with everything named, inside the `with` block; each choice is printed.

    Without a model it is the shipped network, and the engine goes into the current folder. Without images to judge on
    it is a site set, collected from the sample clip and deleted afterwards. `calibration_data` is added: the folder
    that the image list belongs to. A folder for --calibration, or a site set for --data, becomes an image list.

    Raises:
        ConfigError: there is no sample clip.
        DataError: a folder cannot be used.
    """
    given = argparse.Namespace(**vars(arguments), calibration_data=arguments.data)
    with tempfile.TemporaryDirectory(prefix="reid-edge-build-") as name:
        if given.model is None:
            _take_shipped_network(given)
        if given.data is None and given.acceptance is None:
            given.data = given.calibration_data = _collect_sample(Path(name) / "sample_clip")
        if given.calibration is None and _wants_calibration(given):
            given.calibration = given.data
        if given.calibration is not None and given.calibration.is_dir():
            given.calibration_data = given.calibration
            given.calibration = _write_list(given.calibration, Path(name) / "calibration.json")
        yield given


def _wants_calibration(given: argparse.Namespace) -> bool:
    """Whether a float32 network is quantized here, and a site set, which has a half for calibration, judges it."""
    if given.precision not in _QUANTIZED or not given.data or not is_site_set(given.data):
        return False
    return read_manifest(given.model).build.precision == "fp32"


def _take_shipped_network(given: argparse.Namespace) -> None:
    given.model = Path(shipped_model())
    print(f"no model is named: taking the one that comes with it, {given.model}")
    if given.precision == "best" or given.output is not None:
        return
    if given.backend == "auto" and given.precision == "int8":
        # ONNX Runtime computes this small network slower in INT8 than in float32.
        able = (name for name in BACKENDS if BACKENDS[name].why_unavailable() is None)
        given.backend = next(able)
        print(f"building for {given.backend}, the first of {', '.join(BACKENDS)} that this machine has")
    if given.backend != "auto":
        suffix = BACKENDS[given.backend].suffix
        given.output = Path(f"{given.model.stem}_{given.precision}_{given.backend}{suffix}")


def _collect_sample(folder: Path) -> Path:
    clip = sample_clip()
    if clip is None:
        raise ConfigError(
            "an engine is accepted by comparing it with float32 on images: add --data FOLDER, a data set or a site set "
            "of calibration/collect_site.py, or --acceptance FILE of export/acceptance/pack_images.py; without them "
            "people of the sample clip are taken, which is not here: `make demo` fetches it"
        )
    from calibration.collect_site import collect_site  # needs GStreamer, which a machine that builds may lack

    print(f"no images are named: collecting people of the sample clip, {clip}; your own site's say more")
    collect_site([str(clip)], settings=CollectSettings(path=folder), seconds=_SECONDS, model=Path(shipped_model()))
    return folder


def _write_list(folder: Path, path: Path) -> Path:
    images = select_images(folder, seed=0)
    write_image_list(images, path)
    print(f"calibrating with {images.count} images of {len(images.identities)} people of {folder} ({images.split})")
    return path
