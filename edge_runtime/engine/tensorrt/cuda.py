"""The CUDA device: its name and versions (from the driver), its context and buffers (through pycuda)."""

import ctypes
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from edge_runtime.contract.errors import DeviceError, EngineError

DRIVER = "libcuda.so.1"
L4T_RELEASE = Path("/etc/nv_tegra_release")
# Numbers of the CUDA driver API, cuda.h: CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR.
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76


@dataclass(frozen=True)
class Device:
    """The device that a TensorRT plan works on; the fields are those of the manifest's `build`."""

    gpu: str
    compute_capability: str
    cuda: str
    """The newest CUDA version this driver runs."""
    l4t: str | None
    """The Jetson's L4T release; None on any other machine."""


def driver_unavailable() -> str | None:
    """The reason why there is no NVIDIA driver; None where there is one.

    Call it before anything of TensorRT is constructed: without a driver TensorRT 8's Runtime ends the process.
    """
    try:
        ctypes.CDLL(DRIVER)
    except OSError:
        return f"TensorRT needs an NVIDIA GPU and its driver, and {DRIVER} was not found on this machine"
    return None


def read_device() -> Device:
    """Read name and versions of the first GPU from the driver, without pycuda and without a context.

    Raises:
        DeviceError: the driver finds no usable GPU.
        EngineError: no driver.
    """
    if reason := driver_unavailable():
        raise EngineError(f"{reason}; run an ONNX file with ONNX Runtime instead")
    driver = ctypes.CDLL(DRIVER)
    device, number, name = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(256)

    def ask(function: str, *arguments: object) -> int:
        if status := getattr(driver, function)(*arguments):
            raise DeviceError(f"the NVIDIA driver answers CUDA error {status} to {function}; check it with nvidia-smi")
        return number.value

    ask("cuInit", 0)
    ask("cuDeviceGet", ctypes.byref(device), 0)
    ask("cuDeviceGetName", name, len(name), device)
    major, minor = (
        ask("cuDeviceGetAttribute", ctypes.byref(number), attribute, device)
        for attribute in (_CAPABILITY_MAJOR, _CAPABILITY_MINOR)
    )
    version = ask("cuDriverGetVersion", ctypes.byref(number))
    return Device(
        gpu=name.value.decode(),
        compute_capability=f"{major}.{minor}",
        cuda=f"{version // 1000}.{version % 1000 // 10}",
        l4t=read_l4t_release(L4T_RELEASE),
    )


def read_l4t_release(path: Path) -> str | None:
    """The L4T release of a Jetson, as `36.4.3`; None on any other machine."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"R(\d+) \(release\), REVISION: ([\d.]+)", text)
    return f"{found[1]}.{found[2]}" if found else None


class Cuda:
    """The primary context of the first GPU, which TensorRT also uses. It is current only inside `with cuda.current():`.

    Threads: `current` makes it current on the calling thread; two threads must not be inside at the same time.

    Raises:
        DeviceError: CUDA cannot start.
        EngineError: pycuda is missing.
    """

    def __init__(self) -> None:
        self.driver = _import_pycuda()
        try:
            self.driver.init()
            self._context = self.driver.Device(0).retain_primary_context()
        except self.driver.Error as error:
            raise DeviceError(f"CUDA cannot start: {error}; check the GPU with nvidia-smi") from error

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the context current on the calling thread, and turn a CUDA error into a DeviceError."""
        try:
            self._context.push()
            try:
                yield
            finally:
                self._context.pop()
        except self.driver.Error as error:
            raise DeviceError(f"CUDA failed: {error}; restart the program, since such an error may last") from error

    def free_memory_bytes(self) -> int:
        """Memory that is free on the device now; call it inside `with cuda.current():`."""
        return int(self.driver.mem_get_info()[0])

    def release(self) -> None:
        """Release the context, on the thread that made this object, after everything made in it was released."""
        self._context.detach()


class Buffer:
    """One array in pinned host memory and on the device, so that copies run while the CPU does other work.

    One thread at a time makes, uses and frees it, inside `with cuda.current():`.
    """

    def __init__(self, cuda: Cuda, shape: Sequence[int], *, dtype: DTypeLike) -> None:
        self._driver = cuda.driver
        self.host: NDArray[Any] = self._driver.pagelocked_empty(tuple(shape), np.dtype(dtype))
        self._device = self._driver.mem_alloc(self.host.nbytes)

    @property
    def address(self) -> int:
        """Address of the array on the device."""
        return int(self._device)

    def upload(self, rows: int, *, stream: Any) -> None:
        """Start to copy the first rows to the device."""
        self._driver.memcpy_htod_async(self._device, self.host[:rows], stream)

    def download(self, rows: int, *, stream: Any) -> None:
        """Start to copy the first rows to the host."""
        self._driver.memcpy_dtoh_async(self.host[:rows], self._device, stream)

    def free(self) -> None:
        """Release both."""
        self._device.free()
        del self.host


def _import_pycuda() -> Any:
    try:
        import pycuda.driver
    except ImportError as error:
        raise EngineError(
            f"running a TensorRT engine needs pycuda, which cannot be imported ({error}); "
            "install it with: pip install 'reid-edge[cuda]'"
        ) from error
    return pycuda.driver
