"""Write an INT8 network: activation ranges from calibration images, as Q/DQ nodes in a new ONNX file."""

import argparse
import sys
from pathlib import Path
from typing import get_args

from calibration.layer_groups import GROUPS
from calibration.precision_plan import PERCENTILE, Backend, Choice, Method, default_choice, read_choice
from calibration.quantization import quantize
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.script import run


def main(argv: list[str] | None = None) -> int:
    """Write the ONNX file and its manifest. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    choice = _choice(arguments)
    manifest = quantize(
        arguments.model,
        arguments.output,
        image_list=arguments.calibration,
        data=arguments.data,
        choice=choice,
    )
    size = arguments.output.stat().st_size / 1e6
    print(
        f"{arguments.output}: int8, {size:.2f} MB, {choice.activations} activations for {choice.backend}, ranges by "
        f"{manifest.calibration.method if manifest.calibration else choice.method}, in float: "
        f"{', '.join(choice.kept_in_float) or 'nothing'}; not scored yet, see export/compare.py"
    )
    return 0


def _choice(arguments: argparse.Namespace) -> Choice:
    """The file's choice, or the table's row with what the options change in it."""
    if arguments.choice is None:
        changes = {"method": arguments.method, "kept_in_float": arguments.keep_in_float}
        given = {name: value for name, value in changes.items() if value is not None}
        row = default_choice(arguments.backend or "onnxruntime")
        return row.model_copy(update={**given, "decided_by": "options"}) if given else row
    options = {"--backend": arguments.backend, "--method": arguments.method, "--keep-in-float": arguments.keep_in_float}
    clashing = [option for option, value in options.items() if value is not None]
    if clashing:
        raise ConfigError(f"{arguments.choice} states what {', '.join(clashing)} would; leave one or the other out")
    return read_choice(arguments.choice)


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
    parser.add_argument("--choice", type=Path, help="what to leave in float, as export/sensitivity.py measured it")
    parser.add_argument(
        "--backend",
        choices=get_args(Backend),
        help="what will run the file (default: onnxruntime); decides the type of activations and what stays in float",
    )
    parser.add_argument(
        "--method",
        choices=get_args(Method),
        help=f"how ranges are chosen (default: that of the backend); percentile keeps {PERCENTILE} %%",
    )
    parser.add_argument(
        "--keep-in-float",
        nargs="*",
        choices=GROUPS,
        metavar="GROUP",
        help=f"of {', '.join(GROUPS)} (default: by backend)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
