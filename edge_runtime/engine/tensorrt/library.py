"""The TensorRT library: importing it, its version, and its log. The only file that imports it."""

import functools
import logging
import re
from typing import Any

from edge_runtime.contract.errors import EngineError

logger = logging.getLogger(__name__)


def load_tensorrt() -> Any:
    """Import the `tensorrt` module.

    Raises:
        EngineError: it is not installed, or its libraries cannot be loaded.
    """
    try:
        import tensorrt
    except (ImportError, OSError) as error:
        raise EngineError(
            f"TensorRT cannot be imported ({error}); on a Jetson install python3-libnvinfer with apt and let the "
            "environment see system packages, or run an ONNX file with ONNX Runtime instead"
        ) from error
    return tensorrt


def version_numbers(version: str) -> tuple[int, ...]:
    """A version as numbers, so that 10 comes after 9: `10.16.1` -> (10, 16, 1)."""
    return tuple(map(int, re.findall(r"\d+", version)))


def is_strongly_typed(trt: Any) -> bool:
    """Whether a network can keep exactly the types of its ONNX file: TensorRT 10 and later."""
    return hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED")


def profile_sharing(trt: Any) -> Any | None:
    """The feature of 8.6 that an engine must be built with if several contexts use its only profile; None elsewhere."""
    if hasattr(trt, "PreviewFeature") and hasattr(trt.PreviewFeature, "PROFILE_SHARING_0806"):
        return trt.PreviewFeature.PROFILE_SHARING_0806
    return None


def shares_profiles(trt: Any) -> bool:
    """Whether several contexts of an engine can run: from 10 on always, in 8.6 by a feature, in 8.5 not."""
    return is_strongly_typed(trt) or profile_sharing(trt) is not None


@functools.cache
def tensorrt_log() -> Any:
    """TensorRT's log, passed on to `logging`. One object per process, since TensorRT keeps the first one it is given.

    `take_errors()` returns the errors since its last call, in one line. TensorRT may log from threads of its own.
    """
    trt = load_tensorrt()
    base: Any = trt.ILogger
    severity_type = trt.ILogger.Severity
    levels = {severity_type.WARNING: logging.INFO}  # errors reach the user through the exception that quotes them

    class Log(base):  # type: ignore[misc]
        def __init__(self) -> None:
            base.__init__(self)
            self._errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity == severity_type.VERBOSE:  # thousands of lines per build
                return
            if severity in (severity_type.INTERNAL_ERROR, severity_type.ERROR):
                self._errors.append(message.strip())
            logger.log(levels.get(severity, logging.DEBUG), "TensorRT: %s", message)

        def take_errors(self) -> str:
            errors, self._errors = self._errors, []
            return "; ".join(dict.fromkeys(errors)).replace("\n", " ") or "it gives no reason"

    return Log()
