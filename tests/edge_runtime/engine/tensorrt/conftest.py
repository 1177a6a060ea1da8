"""The driver whose device is the CPU."""

import ctypes
from collections.abc import Iterator

import pytest

from edge_runtime.engine.tensorrt.cuda import Cuda
from tests.support.cuda_on_cpu import build_driver, use_driver


@pytest.fixture(scope="package")
def cpu_driver(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """Compiled once."""
    return build_driver(tmp_path_factory.mktemp("cuda"))


@pytest.fixture
def driver(cpu_driver: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> Iterator[ctypes.CDLL]:
    """In the place of NVIDIA's; whatever a test takes from it, it gives back."""
    use_driver(cpu_driver, monkeypatch)
    before = cpu_driver.held()
    yield cpu_driver
    assert cpu_driver.held() == before, "something was not released"


@pytest.fixture
def cuda(driver: ctypes.CDLL) -> Iterator[Cuda]:
    """Its context, current."""
    made = Cuda()
    with made.current():
        yield made
    made.release()
