"""NVIDIA's driver called directly: the part of pycuda's interface that engines need, where pycuda is not installed.

pycuda comes as source and is built with CUDA's headers and a compiler, which a device beside a camera need not have.
The names, and what they return, are pycuda's (`pycuda.driver`). Source: CUDA driver API reference.
"""

import ctypes
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

LIBRARY = "libcuda.so.1"
_POINTER = ctypes.c_void_p


class Error(Exception):
    """The driver answered with an error."""


def call_driver(function: str, *arguments: object) -> None:
    """Call a function of the driver.

    Raises:
        Error: it answers with an error; the message has its number and the function's name.
    """
    if status := getattr(ctypes.CDLL(LIBRARY), function)(*arguments):
        raise Error(f"the NVIDIA driver answers CUDA error {status} to {function}")


def init() -> None:
    """Start the driver."""
    call_driver("cuInit", 0)


class NumberedDevice:
    """One GPU, by its number."""

    def __init__(self, ordinal: int) -> None:
        self._device = ctypes.c_int()
        call_driver("cuDeviceGet", ctypes.byref(self._device), ordinal)

    def retain_primary_context(self) -> "PrimaryContext":
        """The context that all libraries of a process share."""
        return PrimaryContext(self._device)


Device = NumberedDevice


class PrimaryContext:
    """A device's primary context, held until `detach`."""

    def __init__(self, device: ctypes.c_int) -> None:
        self._device, self._context = device, _POINTER()
        call_driver("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), device)

    def push(self) -> None:
        """Make it current on the calling thread."""
        call_driver("cuCtxPushCurrent_v2", self._context)

    def pop(self) -> None:
        """Make the one before it current again."""
        call_driver("cuCtxPopCurrent_v2", ctypes.byref(_POINTER()))

    def detach(self) -> None:
        """Give it back."""
        call_driver("cuDevicePrimaryCtxRelease_v2", self._device)


class Stream:
    """A queue of work, released with this object. flags: CU_STREAM_NON_BLOCKING is 1."""

    def __init__(self, flags: int = 0) -> None:
        stream = _POINTER()
        call_driver("cuStreamCreate", ctypes.byref(stream), flags)
        self.handle = stream.value or 0
        _release_with(self, "cuStreamDestroy_v2", _POINTER(self.handle))

    def synchronize(self) -> None:
        """Wait until its work is done."""
        call_driver("cuStreamSynchronize", _POINTER(self.handle))


class DeviceMemory:
    """A block of the GPU's memory; `int` gives its address."""

    def __init__(self, size_bytes: int) -> None:
        address = ctypes.c_uint64()
        call_driver("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size_bytes))
        self._address = address.value

    def __int__(self) -> int:
        return self._address

    def free(self) -> None:
        """Release it."""
        call_driver("cuMemFree_v2", ctypes.c_uint64(self._address))


mem_alloc = DeviceMemory


def mem_get_info() -> tuple[int, int]:
    """Bytes of the device's memory: free, and in all."""
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    call_driver("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
    return free.value, total.value


def pagelocked_empty(shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
    """An array in host memory that the GPU copies from and to by itself; released with the last view of it."""
    count, address = int(np.prod(shape)), _POINTER()
    size_bytes = max(count * np.dtype(dtype).itemsize, 1)
    call_driver("cuMemHostAlloc", ctypes.byref(address), ctypes.c_size_t(size_bytes), 0)
    assert address.value, "a block of at least one byte has an address"
    memory = (ctypes.c_ubyte * size_bytes).from_address(address.value)
    _release_with(memory, "cuMemFreeHost", _POINTER(address.value))
    array: NDArray[Any] = np.ctypeslib.as_array(memory)[: count * np.dtype(dtype).itemsize].view(dtype)
    return array.reshape(tuple(shape))


def memcpy_htod_async(device: DeviceMemory, host: NDArray[Any], stream: Stream) -> None:  # noqa: PLR0917 - pycuda's
    """Start to copy an array to the device."""
    source, size = _POINTER(host.ctypes.data), ctypes.c_size_t(host.nbytes)
    call_driver("cuMemcpyHtoDAsync_v2", ctypes.c_uint64(int(device)), source, size, _POINTER(stream.handle))


def memcpy_dtoh_async(host: NDArray[Any], device: DeviceMemory, stream: Stream) -> None:  # noqa: PLR0917 - pycuda's
    """Start to copy from the device into an array."""
    target, size = _POINTER(host.ctypes.data), ctypes.c_size_t(host.nbytes)
    call_driver("cuMemcpyDtoHAsync_v2", target, ctypes.c_uint64(int(device)), size, _POINTER(stream.handle))


def module_from_buffer(code: bytes) -> "Module":
    """Kernels as PTX, which the driver translates for its GPU."""
    return Module(code)


class Module:
    """Loaded kernels, released with this object."""

    def __init__(self, code: bytes) -> None:
        self._module = _POINTER()
        call_driver("cuModuleLoadData", ctypes.byref(self._module), code + b"\0")
        _release_with(self, "cuModuleUnload", self._module)

    def get_function(self, name: str) -> "Kernel":
        """The kernel of that name."""
        return Kernel(self, name)


class Kernel:
    """One kernel. Calling it starts it; the arguments are numpy numbers of the kernel's types."""

    def __init__(self, module: Module, name: str) -> None:
        self._keep, self._function = module, _POINTER()
        call_driver("cuModuleGetFunction", ctypes.byref(self._function), module._module, name.encode())

    def __call__(self, *arguments: np.generic, block: tuple[int, ...], grid: tuple[int, ...], stream: Stream) -> None:
        """Start it on a stream."""
        values = [np.array(argument) for argument in arguments]
        addresses = (_POINTER * len(values))(*(value.ctypes.data for value in values))
        call_driver("cuLaunchKernel", self._function, *grid, *block, 0, _POINTER(stream.handle), addresses, None)


def _release_with(owner: object, function: str, handle: ctypes.c_void_p) -> None:  # noqa: PLR0917 - one call each
    """Release something when its owner goes; at the end of the process the driver does it by itself."""
    weakref.finalize(owner, _release, LIBRARY, function, handle).atexit = False


def _release(library: str, function: str, handle: ctypes.c_void_p) -> None:  # noqa: PLR0917 - a callback
    """Release what an object held. An error can no longer be told to anyone: the context may be gone already."""
    getattr(ctypes.CDLL(library), function)(handle)
