"""Write an INT8 network: activation ranges from calibration images, as Q/DQ nodes in a new ONNX file."""

import argparse
import sys
from pathlib import Path
from typing import get_args

from calibration.layer_groups import LAYER_GROUPS
from calibration.precision_plan import (
    PERCENTILE,
    Method,
    PrecisionPlan,
    TargetBackend,
    default_precision_plan,
    read_precision_plan,
)
from calibration.quantization import quantize_file
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.script import ScriptParser, run, shipped_model

_EXAMPLES = """\
examples:
  python calibration/quantize.py osnet.onnx --calibration calibration.json --data /data/market1501 \\
    --output osnet_int8.onnx --backend tensorrt
  with the layers in float that export/building/sensitivity.py has measured:
  python calibration/quantize.py osnet.onnx --calibration calibration.json --data /data/market1501 \\
    --output osnet_int8.onnx --precision-plan precision_plan.json
"""


def main(argv: list[str] | None = None) -> int:
    """Write the ONNX file and its manifest. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    plan = _read_plan(arguments)
    manifest = quantize_file(
        arguments.model, arguments.output, image_list=arguments.calibration, data=arguments.data, plan=plan
    )
    size = arguments.output.stat().st_size / 1e6
    print(
        f"{arguments.output}: int8, {size:.2f} MB, {plan.activations} activations for {plan.backend}, ranges by "
        f"{manifest.calibration.method if manifest.calibration else plan.method}, in float: "
        f"{', '.join(plan.kept_in_float) or 'nothing'}; not scored yet, see export/compare.py"
    )
    return 0


def _read_plan(arguments: argparse.Namespace) -> PrecisionPlan:
    """The plan of the file, or the backend's default plan with the changes that the options ask for."""
    if arguments.precision_plan is None:
        changes = {"method": arguments.method, "kept_in_float": arguments.keep_in_float}
        given = {name: value for name, value in changes.items() if value is not None}
        row = default_precision_plan(arguments.backend or "onnxruntime")
        return row.model_copy(update={**given, "decided_by": "options"}) if given else row
    options = {"--backend": arguments.backend, "--method": arguments.method, "--keep-in-float": arguments.keep_in_float}
    clashing = [option for option, value in options.items() if value is not None]
    if clashing:
        raise ConfigError(
            f"{arguments.precision_plan} states what {', '.join(clashing)} would; leave one or the other out"
        )
    return read_precision_plan(arguments.precision_plan)


def _parser() -> argparse.ArgumentParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest=f"{shipped_model()} --calibration calibration.json --data DATA --output int8.onnx",
        next_step="export/compare.py shows what it costs in retrieval, export/build_engine.py makes an engine of it",
        examples=_EXAMPLES,
    )
    parser.add_argument("model", type=Path, help="float32 ONNX file of export/to_onnx.py, its manifest beside it")
    parser.add_argument("--calibration", type=Path, required=True, help="image list of calibration/select_images.py")
    parser.add_argument("--data", type=Path, required=True, help="the folder that the image list was made from")
    parser.add_argument("--output", type=Path, required=True, help="the INT8 ONNX file to write")
    parser.add_argument(
        "--precision-plan",
        metavar="FILE",
        type=Path,
        help="what stays in float, as export/building/sensitivity.py measured it",
    )
    parser.add_argument(
        "--backend",
        choices=get_args(TargetBackend),
        help="what will run the file (default: onnxruntime); decides the type of activations and what stays in float",
    )
    parser.add_argument(
        "--method",
        choices=get_args(Method),
        help=f"how ranges are chosen (default: that of the backend); percentile keeps {PERCENTILE} %% of the values",
    )
    parser.add_argument(
        "--keep-in-float",
        nargs="*",
        choices=LAYER_GROUPS,
        metavar="GROUP",
        help=f"of {', '.join(LAYER_GROUPS)} (default: those of the backend)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
