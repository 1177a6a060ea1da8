"""The CUDA device: what it is (from the driver), its context, streams and buffers (by pycuda, or the driver itself)."""

import ctypes
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from edge_runtime.contract.errors import DeviceError, EngineError
from edge_runtime.engine.tensorrt import cuda_driver
from edge_runtime.engine.tensorrt.cuda_driver import LIBRARY

logger = logging.getLogger(__name__)

L4T_RELEASE, BOARD_MODEL = Path("/etc/nv_tegra_release"), Path("/proc/device-tree/model")
POWER_MODE = Path("/var/lib/nvpmodel/status")
# Numbers of the CUDA driver API: CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, _COMPUTE_CAPABILITY_MAJOR and _MINOR.
_MULTIPROCESSORS, _CAPABILITY_MAJOR, _CAPABILITY_MINOR = 16, 75, 76
# CU_CTX_SCHED_BLOCKING_SYNC: a thread that waits for the GPU sleeps; by default it spins, and takes a core.
_BLOCKING_SYNC = 4
# CU_STREAM_NON_BLOCKING: the stream does not wait for the legacy default stream, which other libraries may use.
_NON_BLOCKING = 1


@dataclass(frozen=True)
class Device:
    """The device that a TensorRT plan works on; the fields are those of the manifest's `build`.

    Every Jetson of a generation has a GPU of the same name (`Orin`), so the other fields tell an Orin Nano from an AGX.
    cuda: the newest version this driver runs. l4t, board, power_mode: None where it is no Jetson. power_mode: the
    number of nvpmodel's mode, which sets cores and clocks. memory_gib: rounded, since systems keep back a little of it.
    """

    gpu: str
    compute_capability: str
    cuda: str
    l4t: str | None
    multiprocessors: int | None = None
    memory_gib: int | None = None
    board: str | None = None
    power_mode: str | None = None


def driver_unavailable() -> str | None:
    """The reason why there is no NVIDIA driver; None where there is one.

    Call it before anything of TensorRT is constructed: without a driver TensorRT 8's Runtime ends the process.
    """
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return f"TensorRT needs an NVIDIA GPU and its driver, and {LIBRARY} was not found on this machine"
    return None


def read_device() -> Device:
    """Read what the first GPU is from the driver, without a context. CUDA_VISIBLE_DEVICES says which one is first.

    Raises:
        DeviceError: the driver finds no usable GPU.
        EngineError: no driver.
    """
    if reason := driver_unavailable():
        raise EngineError(f"{reason}; run an ONNX file with ONNX Runtime instead")
    driver = ctypes.CDLL(LIBRARY)
    device, number, name = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(256)

    def ask(function: str, *arguments: object) -> int:
        if status := getattr(driver, function)(*arguments):
            raise DeviceError(f"the NVIDIA driver answers CUDA error {status} to {function}; check it with nvidia-smi")
        return number.value

    ask("cuInit", 0)
    ask("cuDeviceGet", ctypes.byref(device), 0)
    ask("cuDeviceGetName", name, len(name), device)
    major, minor, multiprocessors = (
        ask("cuDeviceGetAttribute", ctypes.byref(number), attribute, device)
        for attribute in (_CAPABILITY_MAJOR, _CAPABILITY_MINOR, _MULTIPROCESSORS)
    )
    memory = ctypes.c_size_t()
    ask("cuDeviceTotalMem_v2", ctypes.byref(memory), device)
    version = ask("cuDriverGetVersion", ctypes.byref(number))
    return Device(
        gpu=name.value.decode(),
        compute_capability=f"{major}.{minor}",
        cuda=f"{version // 1000}.{version % 1000 // 10}",
        l4t=read_l4t_release(L4T_RELEASE),
        multiprocessors=multiprocessors,
        memory_gib=round(memory.value / 2**30),
        board=_first_words(BOARD_MODEL),
        power_mode=_first_words(POWER_MODE),
    )


def read_l4t_release(path: Path) -> str | None:
    """The L4T release of a Jetson, as `36.4.3`; None on any other machine."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"R(\d+) \(release\), REVISION: ([\d.]+)", text)
    return f"{found[1]}.{found[2]}" if found else None


def _first_words(path: Path) -> str | None:
    """The text of a file of the system; None where there is none."""
    try:
        return path.read_text(encoding="utf-8").strip("\0\n ") or None
    except OSError:
        return None


class Cuda:
    """The primary context of the first GPU, which TensorRT also uses. It is current only inside `with cuda.current():`.

    driver: pycuda's, where pycuda is installed, else `cuda_driver`, which needs nothing installed. A thread that waits
    for the GPU sleeps.

    Threads: `current` makes it current on the calling thread; two threads must not be inside at the same time.

    Raises:
        DeviceError: CUDA cannot start.
        EngineError: no driver.
    """

    def __init__(self) -> None:
        if reason := driver_unavailable():
            raise EngineError(f"{reason}; run an ONNX file with ONNX Runtime instead")
        self.driver = _choose_driver()
        try:
            self.driver.init()
            _let_waiting_threads_sleep()
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

    def make_stream(self) -> Any:
        """A stream that waits for no other; call it inside `with cuda.current():`."""
        return self.driver.Stream(_NON_BLOCKING)

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


def _choose_driver() -> Any:
    try:
        import pycuda.driver
    except ImportError:
        return cuda_driver
    return pycuda.driver


def _let_waiting_threads_sleep() -> None:
    """Set the primary context's flags. pycuda cannot; a driver that refuses lets threads spin, which only costs CPU."""
    device = ctypes.c_int()
    try:
        cuda_driver.call_driver("cuDeviceGet", ctypes.byref(device), 0)
        cuda_driver.call_driver("cuDevicePrimaryCtxSetFlags_v2", device, _BLOCKING_SYNC)
    except (cuda_driver.Error, AttributeError) as error:
        logger.info("threads that wait for the GPU will spin: %s", error)
