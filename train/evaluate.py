"""Score a checkpoint, an ONNX file or an engine on a data set: rank-k, mAP and mINP."""

import argparse
import logging
import sys
from pathlib import Path

from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import read_manifest
from edge_runtime.contract.script import run
from edge_runtime.engine.engine import open_engine
from train.data.datasets import open_folder
from train.scoring import Describe, score_on

_EXAMPLES = """\
examples:
  python train/evaluate.py runs/osnet_cuhk03-scratch-seed0/model.pth --data /data/cuhk03_np_detected
  python train/evaluate.py osnet_int8.onnx --data /data/cuhk03_np_detected
"""


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="checkpoint (.pth), ONNX file or engine, with its manifest beside it")
    parser.add_argument("--data", type=Path, required=True, help="folder of a data set in Market-1501's layout")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    manifest = read_manifest(arguments.model)
    data = open_folder(arguments.data)
    if manifest.artefact.kind == "checkpoint":
        describe, runs_on = _open_checkpoint(arguments.model)
        found = score_on(describe, data, input_=manifest.input)
    else:
        with open_engine(arguments.model) as engine:
            found = score_on(engine.describe, data, input_=manifest.input)
            runs_on = engine.backend
    print(f"{manifest.model_id} in {manifest.build.precision} by {runs_on} on {data.name}:")
    for name, figure in (("rank-1", found.rank1), ("mAP", found.mean_ap), ("mINP", found.mean_inp)):
        print(f"  {name:7} {figure.value:.4f}   95 % interval {figure.low:.4f} to {figure.high:.4f}")
    return 0


def _open_checkpoint(path: Path) -> tuple[Describe, str]:
    """A checkpoint's network as a function, and what runs it. Only this needs PyTorch, which a camera does not have."""
    try:
        import torch
    except ImportError as error:
        raise ConfigError(
            f"{path} is a checkpoint, and scoring one needs PyTorch; install the extra `train`, or give its ONNX file"
        ) from error
    from train.checkpoint import load_network
    from train.models.pixels import describe_with

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loaded = load_network(path)
    return describe_with(loaded.network, loaded.manifest.input, device=device), f"PyTorch, {device}"


if __name__ == "__main__":
    sys.exit(run(main))
