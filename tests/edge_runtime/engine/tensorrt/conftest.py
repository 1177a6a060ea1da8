"""The driver whose device is the CPU."""

import ctypes
from collections.abc import Iterator

import pytest

from edge_runtime.engine.tensorrt.cuda import Cuda
from tests.support.cuda_on_cpu import build_driver, use_driver


@pytest.fixture(scope="package")
def cpu_driver(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """A driver of ours whose device is the CPU, compiled once for all tests of this folder."""
    return build_driver(tmp_path_factory.mktemp("cuda"))


@pytest.fixture
def driver(cpu_driver: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> Iterator[ctypes.CDLL]:
    """That driver in the place of NVIDIA's; a test fails if it leaves anything allocated."""
    use_driver(cpu_driver, monkeypatch)
    before = cpu_driver.held()
    yield cpu_driver
    assert cpu_driver.held() == before, "something was not released"


@pytest.fixture
def cuda(driver: ctypes.CDLL) -> Iterator[Cuda]:
    """The driver's context, current on this thread."""
    made = Cuda()
    with made.current():
        yield made
    made.release()
