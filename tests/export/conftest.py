"""What the tests of export share: a TensorRT that builds without a GPU."""

from pathlib import Path

import pytest

from tests.support.tensorrt_site import SiteUnavailableError, builder_site


@pytest.fixture(scope="session")
def tensorrt_site() -> Path:
    """A folder to put on a subprocess's PYTHONPATH: its `tensorrt` parses and builds, but cannot run."""
    try:
        return builder_site()
    except SiteUnavailableError as reason:
        pytest.skip(str(reason))
