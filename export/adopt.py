"""Take in a network of another toolkit: an ONNX file becomes one of ours, proved equal to the original."""

import argparse
import sys
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import ExportError
from edge_runtime.contract.manifest import Input, ResizeRule
from edge_runtime.contract.model_list import PUBLIC_MODELS, PublicModel, find_public_model
from edge_runtime.contract.script import ScriptParser, run
from export.acceptance.acceptance_images import crops_of_folder, crops_of_samples, images_of_data
from export.acceptance.proof_images import proof_images
from export.building.adoption import Adoption, adopt_network, as_word
from export.building.foreign_network import read_foreign
from export.building.pixel_form import PIXEL_FORMS, ColoursOf, PixelForm, change_form
from train.datasets.catalog import ReidData, open_folder

_EXAMPLES = """\
examples:
  a network that BoxMOT or Torchreid exported:
  python export/adopt.py osnet_x0_25_msmt17.onnx --input imagenet --licence MIT --trained-on "MSMT17, research only" \\
    --source https://kaiyangzhou.github.io/deep-person-reid/MODEL_ZOO --data DATA --output models
  one of Open Model Zoo, fetched with `reid-edge fetch` and converted as this script says when it is given the .xml:
  python export/adopt.py 0288.onnx --public person-reidentification-retail-0288 --original \\
    person-reidentification-retail-0288.xml --data DATA --output models
"""
_CONVERTER = ("openvino2onnx==1.1.0", "onnx==1.17.*", "openvino")
_MOST_CROPS = 32


def command() -> int:
    """The installed command `reid-adopt`; see `main`."""
    return run(main)


def main(argv: list[str] | None = None) -> int:
    """Write the deployed network and its manifest. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    if arguments.network.suffix == ".xml":
        raise ExportError(_how_to_convert(arguments.network))
    adoption = _state(arguments)
    data = open_folder(arguments.data) if arguments.data else None
    try:
        arguments.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(
            f"cannot make the folder {arguments.output}: {error.strerror}; give another --output"
        ) from error
    path = arguments.output / f"{adoption.name}.onnx"
    if path.exists() and path.samefile(arguments.network):
        raise ExportError(f"{path} would replace the network that is adopted; give another --output or --name")
    manifest = adopt_network(
        adoption,
        path,
        crops=_crops(adoption.input, data=data, folder=arguments.crops),
        images=images_of_data(data, adoption.input) if data else None,
    )
    print(
        f"{path}: {manifest.model_id}, {path.stat().st_size / 1e6:.2f} MB, {manifest.descriptor.length} numbers, "
        f"space {manifest.space_id}; weights: {manifest.terms.weights}; images: {manifest.terms.training_data}"
    )
    return 0


def _how_to_convert(ir: Path) -> str:
    packages = " ".join(f"'{package}'" for package in _CONVERTER)
    onnx, ready = f"{ir.stem}.onnx", f"{ir.stem}_ready.xml"
    return (
        f"{ir} is in OpenVINO's own format: convert it to ONNX first, in an environment of its own:\n"
        f"  python3 -m venv ir_to_onnx && ir_to_onnx/bin/pip install {packages}\n"
        f"  ir_to_onnx/bin/openvino2onnx -v 17 {ir} {onnx}\n"
        f"  python export/adopt.py {onnx} --original {ir} ...\n"
        "where it stops in mvn.py at `assert isinstance(reduction_axes, str)`, the file lacks a word that newer ones "
        "have; add it to a copy, and convert that:\n"
        f'  sed \'s/<data across_channels="0"/<data reduction_axes="2,3" across_channels="0"/\' {ir} > {ready}\n'
        f"  cp {ir.with_suffix('.bin')} {Path(ready).with_suffix('.bin')}"
    )


def _state(arguments: argparse.Namespace) -> Adoption:
    """What the options state, and for a public network what its row says."""
    row = find_public_model(arguments.public, arguments.models) if arguments.public else None
    facts: dict[str, str | None] = {
        "--input": arguments.input or (row.pixels if row else None),
        "--licence": arguments.licence or (row.licence.weights if row else None),
        "--trained-on": arguments.trained_on or (row.licence.data if row else None),
        "--source": arguments.source or (row.page if row else None),
    }
    stated = {option: value for option, value in facts.items() if value}
    if len(stated) < len(facts):
        raise ExportError(
            f"{arguments.network} does not say what is needed of it: add "
            f"{', '.join(option for option in facts if option not in stated)}, or --public NAME for a network of "
            "`reid-edge fetch`"
        )
    network = read_foreign(
        arguments.network, output=arguments.descriptor, size=tuple(arguments.size) if arguments.size else None
    )
    return Adoption(
        network=network,
        original=arguments.original or arguments.network,
        form=_form(arguments, stated["--input"]),
        name=_name(arguments, row),
        licence=stated["--licence"],
        trained_on=stated["--trained-on"],
        source=stated["--source"],
        resize=arguments.resize,
    )


def _form(arguments: argparse.Namespace, name: str) -> PixelForm:
    if name not in PIXEL_FORMS:
        raise ExportError(f"there is no --input {name}; known: {', '.join(PIXEL_FORMS)}")
    given = {field: getattr(arguments, field) for field in ("order", "range", "mean", "std")}
    form = change_form(PIXEL_FORMS[name], **{field: _as_tuple(value) for field, value in given.items()})
    if form.range[0] >= form.range[1] or any(value <= 0 for value in form.std):
        raise ExportError(f"expected --range LOW HIGH with LOW below HIGH and --std above 0, found {form}")
    return form


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _name(arguments: argparse.Namespace, row: PublicModel | None) -> str:
    return as_word(arguments.name or (row.name if row else arguments.network.stem))


def _crops(input_: Input, *, data: ReidData | None, folder: Path | None) -> NDArray[np.uint8]:
    """What both networks are compared on: images without people, and the crops that there are.

    None is of one colour: of such an image, what normalises each image gives rounding alone, made large.
    """
    patterns = proof_images(input_)
    crops = [patterns[patterns.std(axis=(1, 2, 3)) > 0]]
    if data is not None:
        crops.append(crops_of_samples(data.query, input_).read(slice(0, _MOST_CROPS)))
    if folder is not None:
        crops.append(crops_of_folder(folder, input_).read(slice(0, _MOST_CROPS)))
    if len(crops) == 1:
        print("compared on noise and patterns alone: give --crops or --data to compare on people too")
    return np.concatenate(crops)


def _parser() -> argparse.ArgumentParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="NETWORK.onnx --input imagenet --licence MIT --trained-on MSMT17 --source URL --output models",
        next_step="python export/build_engine.py models/NETWORK.onnx --best --data DATA",
        examples=_EXAMPLES,
    )
    parser.add_argument("network", type=Path, help="ONNX file; for an OpenVINO IR (.xml) it says how to convert it")
    parser.add_argument("--output", type=Path, required=True, help="folder for NAME.onnx and its manifest")
    parser.add_argument("--public", metavar="NAME", help="take what is stated below from a row of `reid-edge fetch`")
    parser.add_argument("--models", type=Path, default=PUBLIC_MODELS, help="the list of --public (default: ours)")
    parser.add_argument(
        "--original", type=Path, metavar="FILE", help="what NETWORK was converted from (.xml), to prove equal"
    )
    parser.add_argument("--descriptor", metavar="OUTPUT", help="the output to take, where there are several")
    parser.add_argument("--name", help="what it is called in its id (default: the file's name)")
    _add_pixels(parser)
    facts = parser.add_argument_group("facts that the manifest states")
    facts.add_argument("--licence", help="terms of the weights, such as Apache-2.0")
    facts.add_argument(
        "--trained-on", help="the images and their terms, such as 'MSMT17, research only'; or undisclosed"
    )
    facts.add_argument("--source", help="address that it was got from")
    proof = parser.add_argument_group("what it is compared on")
    proof.add_argument("--crops", type=Path, metavar="FOLDER", help="images of people, without labels")
    proof.add_argument(
        "--data", type=Path, help="folder of a data set or of people of your own; scores go into the manifest"
    )
    return parser


def _add_pixels(parser: argparse.ArgumentParser) -> None:
    pixels = parser.add_argument_group("what the network wants of an image")
    pixels.add_argument(
        "--input",
        choices=tuple(PIXEL_FORMS),
        help="imagenet: RGB, 0 to 1, mean and deviation of ImageNet; rgb-1, rgb-255, bgr-255: the range alone, the "
        "normalisation is inside or there is none; half: RGB, -1 to 1. The options below change one thing of it",
    )
    pixels.add_argument("--order", choices=get_args(ColoursOf), help="of the colours")
    pixels.add_argument("--range", nargs=2, type=float, metavar=("LOW", "HIGH"), help="what 0 and 255 become")
    for option, meaning in (
        ("--mean", "taken off after that, in the network's order of colours"),
        ("--std", "divided by after that"),
    ):
        pixels.add_argument(option, nargs=3, type=float, metavar=("C1", "C2", "C3"), help=meaning)
    pixels.add_argument("--size", nargs=2, type=int, metavar=("HEIGHT", "WIDTH"), help="where the file leaves it open")
    pixels.add_argument(
        "--resize", choices=get_args(ResizeRule), default="bilinear-half-pixel", help="default: %(default)s"
    )


if __name__ == "__main__":
    sys.exit(command())
