"""Turn a checkpoint into an ONNX file with a manifest, and check that both give the same descriptors."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from edge_runtime.contract.errors import ExportError, ManifestError
from edge_runtime.contract.manifest import Manifest, Precision, manifest_path, read_manifest
from edge_runtime.contract.script import ScriptParser, run
from export.graph.variants import Graph, choose_graph
from train.datasets.catalog import open_folder

if TYPE_CHECKING:
    from train.models.checkpoint import LoadedNetwork

_EXAMPLES = """\
examples:
  python export/to_onnx.py runs/osnet_cuhk03-scratch-seed0/model.pth --output models --half
  a public checkpoint:
  python export/to_onnx.py osnet_x0_25_msmt17.pth --output models --architecture osnet_x0_25 \\
    --data-set msmt17 --licence "MIT, trained on MSMT17, research only" --height 256 --width 128
"""


def command() -> int:
    """The installed command `reid-export`; see `main`."""
    return run(main)


def main(argv: list[str] | None = None) -> int:
    """Write the ONNX file or files. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    # Imported here, because reading on in --help neither needs PyTorch nor should wait for it.
    from export.graph.onnx_file import export_network
    from train.models.stripes import check_stripes

    source = _set_pixels(_open_checkpoint(arguments), arguments.pixels)
    check_stripes(source)
    targets = _choose_targets(arguments, source.manifest)
    data = open_folder(arguments.data) if arguments.data else None
    _make_folder(arguments.output)
    graph = _choose_graph(arguments, source.manifest)
    for path, precision in targets.items():
        export_network(source, path, graph=graph, precision=precision, data=data)
    return 0


def _set_pixels(source: "LoadedNetwork", pixels: str) -> "LoadedNetwork":
    """The network with `rgb` or `rgba` pixels in its manifest's input."""
    input_ = source.manifest.input.model_copy(update={"colour_order": pixels.upper()})
    return replace(source, manifest=source.manifest.model_copy(update={"input": input_}))


def _choose_targets(arguments: argparse.Namespace, manifest: Manifest) -> dict[Path, Precision]:
    """The files to write and their precisions.

    Raises:
        ExportError: one of them exists and holds another network.
    """
    stem = arguments.output / (arguments.checkpoint.stem + {"rgb": "", "rgba": "_rgba"}[arguments.pixels])
    targets: dict[Path, Precision] = {stem.with_name(f"{stem.name}.onnx"): "fp32"}
    if arguments.half:
        targets[stem.with_name(f"{stem.name}_fp16.onnx")] = "fp16"
    for path in targets:
        try:
            found = read_manifest(path)
        except ManifestError:  # no file yet, or one that cannot be used
            continue
        if found.space_id != manifest.space_id:
            raise ExportError(f"{path} holds another network, {found.model_id}; choose another --output")
    return targets


def _choose_graph(arguments: argparse.Namespace, manifest: Manifest) -> Graph:
    if arguments.graph != "auto":
        graph: Graph = arguments.graph
        return graph
    variant = choose_graph(arguments.backend, network=manifest.architecture, batch=manifest.artefact.batch_opt)
    print(f"graph for {arguments.backend}: {variant.graph} ({variant.decided_by})")
    return variant.graph


def _open_checkpoint(arguments: argparse.Namespace) -> "LoadedNetwork":
    from export.graph.public_checkpoint import Facts, load_public_checkpoint
    from train.models.checkpoint import load_network

    facts = {
        "--architecture": arguments.architecture,
        "--data-set": arguments.data_set,
        "--licence": arguments.licence,
        "--height": arguments.height,
        "--width": arguments.width,
    }
    given = [option for option, value in facts.items() if value is not None]
    missing = [option for option, value in facts.items() if value is None]
    if manifest_path(arguments.checkpoint).exists():
        if given:
            raise ExportError(
                f"{arguments.checkpoint} has a manifest, which states what {', '.join(given)} would; leave them out"
            )
        return load_network(arguments.checkpoint)
    if arguments.checkpoint.name == "resume.pth":  # not a model; reading its manifest gives that message
        return load_network(arguments.checkpoint)
    if not arguments.checkpoint.is_file():
        raise ExportError(f"there is no checkpoint at {arguments.checkpoint}; give the model.pth of a run folder")
    if missing:
        raise ExportError(
            f"{arguments.checkpoint} has no manifest ({manifest_path(arguments.checkpoint).name}); "
            f"copy that with it, or if it is a public checkpoint, state its facts: add {', '.join(missing)}"
        )
    return load_public_checkpoint(
        arguments.checkpoint,
        Facts(
            architecture=arguments.architecture,
            data_set=arguments.data_set,
            licence=arguments.licence,
            height_px=arguments.height,
            width_px=arguments.width,
        ),
    )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(f"cannot make the folder {folder}: {error.strerror}; give another --output") from error


def _parser() -> argparse.ArgumentParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="runs/RECIPE-seed0/model.pth --output models",
        next_step="python export/build_engine.py models/model.onnx --best --data DATA",
        examples=_EXAMPLES,
    )
    parser.add_argument("checkpoint", type=Path, help="a checkpoint of train/run.py, or a public one with its facts")
    parser.add_argument("--output", type=Path, required=True, help="folder for NAME.onnx and its manifest")
    parser.add_argument("--half", action="store_true", help="write NAME_fp16.onnx too, with weights in float16")
    parser.add_argument(
        "--pixels",
        choices=("rgb", "rgba"),
        default="rgb",
        help="rgba: write NAME_rgba.onnx, whose pixels have a fourth channel, 255 everywhere; the first convolution "
        "normalises them then, and no other step is needed (default: %(default)s)",
    )
    parser.add_argument(
        "--data", type=Path, help="folder of a data set or of people of your own; scores go into the manifest"
    )
    parser.add_argument(
        "--graph",
        choices=("auto", *get_args(Graph)),
        default="auto",
        help="how the network is rewritten: the same function in fewer steps (default: the one that "
        "export/graph/variants.py names for --backend)",
    )
    parser.add_argument(
        "--backend", choices=("onnxruntime", "tensorrt"), default="onnxruntime", help="for --graph auto"
    )
    public = parser.add_argument_group("facts of a checkpoint that has no manifest")
    public.add_argument("--architecture", help="such as osnet_x0_25")
    public.add_argument("--data-set", help="what it was trained on, such as msmt17")
    public.add_argument("--licence", help="terms of its weights and training data")
    public.add_argument("--height", type=int, help="input height in pixels")
    public.add_argument("--width", type=int, help="input width in pixels")
    return parser


if __name__ == "__main__":
    sys.exit(command())
