"""Write an INT8 network: activation ranges from calibration images, as Q/DQ nodes in a new ONNX file."""

import argparse
import sys
from pathlib import Path

from calibration.quantization import quantize
from edge_runtime.contract.script import run


def main(argv: list[str] | None = None) -> int:
    """Write the ONNX file and its manifest. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    manifest = quantize(
        arguments.model,
        arguments.output,
        image_list=arguments.calibration,
        data=arguments.data,
        activations=arguments.activations,
    )
    size = arguments.output.stat().st_size / 1e6
    print(
        f"{arguments.output}: int8, {size:.2f} MB, {arguments.activations} activations, in float: "
        f"{', '.join(manifest.build.kept_higher)}; not scored yet, see export/compare.py"
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python calibration/quantize.py osnet.onnx --calibration calibration.json "
        "--data data/market1501 --output osnet_int8.onnx",
    )
    parser.add_argument("model", type=Path, help="float32 ONNX file of export/to_onnx.py, its manifest beside it")
    parser.add_argument("--calibration", type=Path, required=True, help="image list of calibration/select_images.py")
    parser.add_argument("--data", type=Path, required=True, help="the data set's folder the list was made from")
    parser.add_argument("--output", type=Path, required=True, help="the INT8 ONNX file to write")
    parser.add_argument(
        "--activations",
        choices=("uint8", "int8"),
        default="uint8",
        help="uint8 for ONNX Runtime (default), int8 for TensorRT, which takes nothing else",
    )
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
