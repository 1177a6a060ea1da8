"""A detection network in OpenVINO on the CPU, in bfloat16 where the CPU computes in it."""

from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.manifest import Precision
from edge_runtime.people.detector_file import DetectorFile, describe_refusal
from edge_runtime.people.network_kind import FREE_SIZE_PX, Floats, NetworkForm, Shape


class OpenVinoNetwork:
    """Runs one image at a time; see `OnnxRuntimeNetwork`. Its file is the same ONNX file.

    precision: that of the build. bfloat16 moves boxes by parts of a pixel; where the CPU has instructions for it, a
    file that was not built runs in it, and so do the layers of an INT8 file that are not quantised.

    Raises:
        EngineError: OpenVINO is not installed or refuses the file, the file takes no images, or was built for bfloat16
            and the CPU does not compute in it.
    """

    def __init__(self, file: DetectorFile, *, precision: Precision | None = None, threads: int = 1) -> None:
        try:
            import openvino
        except ImportError as error:
            raise EngineError(
                f"OpenVINO cannot be imported ({error}); install it with: pip install 'reid-edge[openvino]', "
                "or leave the detector's backend out"
            ) from error
        core = openvino.Core()
        has_bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision == "bf16" and not has_bf16:
            raise EngineError(
                f"this CPU does not compute in bfloat16, for which {file.path} was built; build it again here"
            )
        hint = "bf16" if has_bf16 and precision != "fp32" else "f32"
        held = "int8" if precision == "int8" else hint
        self.backend = f"openvino {openvino.__version__.partition('-')[0]} CPU {held}"
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            # Pinned streams of every process would start at core 0 and wait for each other there.
            "ENABLE_CPU_PINNING": False,
            "INFERENCE_PRECISION_HINT": hint,
        }
        try:
            network = core.read_model(file.content, b"")
            height_px, width_px = _fix_size(network, file.path)
            self._request: Any = core.compile_model(network, "CPU", settings).create_infer_request()
        except (RuntimeError, UnicodeDecodeError) as error:
            raise EngineError(describe_refusal(file, library="OpenVINO", reason=_reason(error))) from error
        self._dtype = network.inputs[0].element_type.to_dtype()
        self._sizes = {number: np.full((1, 2), width_px, np.int64) for number in range(1, len(network.inputs))}
        outputs = self.run(np.full((3, height_px, width_px), 0.5, np.float32))
        shapes: tuple[Shape, ...] = tuple((1, *output.shape) for output in outputs)
        self.form = NetworkForm(height_px, width_px, len(network.inputs), shapes)

    def run(self, planes: Floats) -> list[Floats]:
        """planes: (3, height, width) float32. Returns the outputs of this image, float32, in the file's order.

        Raises:
            EngineError: OpenVINO failed.
        """
        try:
            feed = {0: planes[None].astype(self._dtype, copy=False), **self._sizes}
            outputs = self._request.infer(feed, share_inputs=True, share_outputs=True)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO could not run the person detector: {_reason(error)}") from error
        return [np.asarray(outputs[number][0], np.float32) for number in range(len(outputs))]


def _fix_size(network: Any, path: Path) -> tuple[int, int]:
    """Give the network one image of a fixed size. Returns its height and width."""
    image = network.inputs[0]
    shape = image.partial_shape
    if len(shape) != 4 or shape[1].is_dynamic or shape[1].get_length() != 3:
        raise EngineError(
            f"{path} is no person detector: expected images (1, 3, height, width) as its first input, found {shape}; "
            "export it for one image, planes first"
        )
    if not shape[0].is_dynamic and shape[0].get_length() != 1:
        raise EngineError(f"{path} takes {shape[0]} images at a time; export it for one image")
    height_px, width_px = (FREE_SIZE_PX if size.is_dynamic else size.get_length() for size in (shape[2], shape[3]))
    if any(size.is_dynamic for size in shape):
        network.reshape({image.any_name: [1, 3, height_px, width_px]})
    return height_px, width_px


def _reason(error: Exception) -> str:
    """The line that says why: an operation without a rule where one is named, else the last line."""
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()] or ["it gives no reason"]
    return next((line for line in lines if "No conversion rule" in line), lines[-1])
