"""What the driver says of the device, from a driver of ours in C, since most machines that run this have none."""

import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime.contract.errors import EngineError
from edge_runtime.engine.tensorrt.cuda import Cuda, driver_unavailable, read_device, read_l4t_release
from tests.support.tensorrt_site import ROOT

DRIVER = r"""
#include <string.h>
int cuInit(unsigned flags) { return STATUS; }
int cuDeviceGet(int *device, int ordinal) { *device = 7; return ordinal; }
int cuDeviceGetName(char *name, int size, int device) { strncpy(name, "Orin", size); return device != 7; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == 75 ? 8 : attribute == 76 ? 7 : attribute == 16 ? 8 : -1;
    return device != 7;
}
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = 7990000000ul; return device != 7; }
int cuDriverGetVersion(int *version) { *version = 12060; return 0; }
"""
ASK = """
from edge_runtime.contract.errors import EngineError
from edge_runtime.engine.tensorrt.cuda import read_device
try:
    print(read_device())
except EngineError as error:
    print(type(error).__name__, "refused:", error)
"""


def ask_driver(folder: Path, *, status: int) -> str:
    """What `read_device` makes of a driver whose start ends in `status`."""
    library = folder / "libcuda.so.1"
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-", f"-DSTATUS={status}", "-o", str(library)]
    subprocess.run(command, input=DRIVER, text=True, check=True, timeout=60)
    return subprocess.run(
        [sys.executable, "-c", ASK],
        env={"LD_LIBRARY_PATH": str(folder)}, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip


def test_the_device_is_read_from_the_driver(tmp_path: Path) -> None:
    """Name, compute capability, processors, memory and CUDA version are the driver's own, of the first device."""
    said = ask_driver(tmp_path, status=0)
    assert "gpu='Orin', compute_capability='8.7', cuda='12.6'" in said
    assert "multiprocessors=8, memory_gib=7" in said


def test_a_driver_without_a_gpu_is_reported(tmp_path: Path) -> None:
    """A driver that does not start is an error with its number, not a device without a name."""
    assert "DeviceError refused: the NVIDIA driver answers CUDA error 100 to cuInit" in ask_driver(tmp_path, status=100)


@pytest.mark.gpu
@pytest.mark.skipif(driver_unavailable() is None, reason="is about machines without an NVIDIA driver, this has one")
def test_without_a_driver_nothing_starts() -> None:
    """No driver is one sentence that names what was looked for and what to do."""
    with pytest.raises(EngineError, match=r"libcuda\.so\.1 was not found .*; run an ONNX file with ONNX Runtime"):
        read_device()
    with pytest.raises(EngineError, match=r"libcuda\.so\.1 was not found"):
        Cuda()


@pytest.mark.parametrize(
    ("text", "release"),
    [
        ("# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8", "36.4.3"),
        ("# R35 (release), REVISION: 3.1, GCID: 32827747, BOARD: t186ref, EABI: aarch64", "35.3.1"),
        ("something else", None),
    ],
)
def test_the_l4t_release_is_read_as_one_number(tmp_path: Path, text: str, release: str | None) -> None:
    """`R36 (release), REVISION: 4.3` is known as 36.4.3; a file that says neither gives nothing."""
    path = tmp_path / "nv_tegra_release"
    path.write_text(text)
    assert read_l4t_release(path) == release
    assert read_l4t_release(tmp_path / "missing") is None
