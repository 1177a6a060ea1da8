"""CUDA graphs: a sequence of GPU work recorded once and launched with one call.

pycuda has none, so the five functions are called in the driver itself. Source: CUDA driver API, graph management.
"""

import ctypes
from collections.abc import Callable
from typing import Any

from edge_runtime.contract.errors import DeviceError
from edge_runtime.engine.tensorrt.cuda import DRIVER

# CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: what other threads do with CUDA meanwhile does not spoil the recording.
_THREAD_LOCAL = 1


class CudaGraph:
    """Work recorded from a stream. Make, launch and close it inside `with cuda.current():`, on one thread."""

    def __init__(self, stream: Any, record: Callable[[], None]) -> None:
        """Record what `record` puts on the stream; nothing runs yet.

        Raises:
            DeviceError: something that cannot be recorded, such as an allocation, was put on the stream.
        """
        self._driver = ctypes.CDLL(DRIVER)
        self._stream = ctypes.c_void_p(stream.handle)
        self._graph, self._launchable = ctypes.c_void_p(), ctypes.c_void_p()
        self._call("cuStreamBeginCapture_v2", self._stream, _THREAD_LOCAL)
        end = (self._stream, ctypes.byref(self._graph))
        try:
            record()
        except BaseException:  # a stream left recording could be used for nothing else; the reason is the work's own
            self._driver.cuStreamEndCapture(*end)
            raise
        self._call("cuStreamEndCapture", *end)
        self._call("cuGraphInstantiateWithFlags", ctypes.byref(self._launchable), self._graph, ctypes.c_ulonglong(0))

    def launch(self) -> None:
        """Put the recorded work on its stream."""
        self._call("cuGraphLaunch", self._launchable, self._stream)

    def close(self) -> None:
        """Give the recording back."""
        self._call("cuGraphExecDestroy", self._launchable)
        self._call("cuGraphDestroy", self._graph)

    def _call(self, function: str, *arguments: object) -> None:
        if status := getattr(self._driver, function)(*arguments):
            raise DeviceError(f"the NVIDIA driver answers CUDA error {status} to {function}; restart the program")
