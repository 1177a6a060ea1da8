"""What the tests of export share: patterns, small networks, and a TensorRT that builds without a GPU."""

from pathlib import Path

import pytest

from calibration import select_images
from tests.support.market_folder import write_market_folder
from tests.support.small_osnet import export_small_osnet
from tests.support.tensorrt_site import SiteUnavailableError, builder_site
from tests.support.tiny_network import write_tiny_network


@pytest.fixture(scope="session")
def tensorrt_site() -> Path:
    """A folder to put on a subprocess's PYTHONPATH: its `tensorrt` parses and builds, but cannot run."""
    try:
        return builder_site()
    except SiteUnavailableError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Colour patterns in Market-1501's layout."""
    return write_market_folder(tmp_path_factory.mktemp("data") / "patterns")


@pytest.fixture(scope="session")
def images(data: Path) -> Path:
    """A calibration list of the patterns."""
    path = data.parent / "list.json"
    assert select_images.main([str(data), "--output", str(path), "--count", "20"]) == 0
    return path


@pytest.fixture(scope="session")
def small_osnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an OSNet in float32 and in half precision."""
    folder = tmp_path_factory.mktemp("osnet")
    export_small_osnet(folder, "--half")
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A tiny float32 network."""
    return write_tiny_network(tmp_path)
