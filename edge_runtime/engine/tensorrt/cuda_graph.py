"""CUDA graphs: GPU work that is recorded once and then launched with one call.

pycuda does not have them, so functions of the driver are called directly.
Source: CUDA driver API, graph management.
"""

import ctypes
from collections.abc import Callable
from typing import Any

from edge_runtime.contract.errors import DeviceError
from edge_runtime.engine.tensorrt.cuda_driver import LIBRARY

# CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may use CUDA during the recording.
_THREAD_LOCAL = 1


class CudaGraph:
    """Work recorded from a stream. One thread makes, launches and closes it, inside `with cuda.current():`."""

    def __init__(self, stream: Any, record: Callable[[], None]) -> None:
        """Record the work that `record` puts on the stream; nothing runs yet.

        Raises:
            DeviceError: the work cannot be recorded; an allocation, for example, cannot.
        """
        self._driver = ctypes.CDLL(LIBRARY)
        self._stream = ctypes.c_void_p(stream.handle)
        self._graph, self._launchable = ctypes.c_void_p(), ctypes.c_void_p()
        self._call("cuStreamBeginCapture_v2", self._stream, _THREAD_LOCAL)
        end = (self._stream, ctypes.byref(self._graph))
        try:
            record()
        except BaseException:  # a stream that stays in recording cannot be used again
            self._driver.cuStreamEndCapture(*end)
            self.close()
            raise
        self._call("cuStreamEndCapture", *end)
        try:
            self._call(
                "cuGraphInstantiateWithFlags", ctypes.byref(self._launchable), self._graph, ctypes.c_ulonglong(0)
            )
            self._call("cuGraphUpload", self._launchable, self._stream)  # otherwise the first launch would do it
        except DeviceError:
            self.close()
            raise

    def launch(self) -> None:
        """Put the recorded work on its stream."""
        self._call("cuGraphLaunch", self._launchable, self._stream)

    def close(self) -> None:
        """Release the recording, as far as there is one."""
        for function, handle in (("cuGraphExecDestroy", self._launchable), ("cuGraphDestroy", self._graph)):
            if handle.value:
                self._call(function, handle)
                handle.value = None

    def _call(self, function: str, *arguments: object) -> None:
        if status := getattr(self._driver, function)(*arguments):
            raise DeviceError(f"the NVIDIA driver answers CUDA error {status} to {function}; restart the program")
