"""Score a checkpoint, an ONNX file or an engine on a data set: rank-k, mAP and mINP."""

import argparse
import logging
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edge_runtime.contract.descriptor import normalise
from edge_runtime.contract.manifest import Evidence, Input, read_manifest
from edge_runtime.contract.script import run
from edge_runtime.engine.engine import open_engine
from train.checkpoint import load_network
from train.data.datasets import ReidData, open_data
from train.models.pixels import PixelsToDescriptor
from train.scoring import Describe, describe_test_split, evidence, score

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
    parser.add_argument("--data", type=Path, required=True, help="folder of the data set, in its published layout")
    parser.add_argument("--data-set", default="cuhk03_np_detected", help="which data set it is (default: %(default)s)")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    manifest = read_manifest(arguments.model)
    data = open_data(arguments.data_set, arguments.data)
    if manifest.artefact.kind == "checkpoint":
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        found, _ = score_network(load_network(arguments.model).network, data, manifest.input, device=device)
        runs_on = f"PyTorch, {device}"
    else:
        with open_engine(arguments.model) as engine:
            found = _score(engine.describe, data, manifest.input)
            runs_on = engine.backend
    print(f"{manifest.model_id} in {manifest.build.precision} by {runs_on} on {data.name}:")
    for name, figure in (("rank-1", found.rank1), ("mAP", found.mean_ap), ("mINP", found.mean_inp)):
        print(f"  {name:7} {figure.value:.4f}   95 % interval {figure.low:.4f} to {figure.high:.4f}")
    return 0


def score_network(
    network: torch.nn.Module, data: ReidData, input_: Input, *, device: torch.device
) -> tuple[Evidence, int]:
    """Score a network in float32. Returns the evidence and the descriptor's length."""
    network.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    pixels_to_descriptor = PixelsToDescriptor(network, input_)
    length = 0

    def describe(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        nonlocal length
        with torch.inference_mode():
            raw = pixels_to_descriptor(torch.from_numpy(images).to(device)).cpu().numpy()
        length = raw.shape[1]
        return normalise(raw)

    return _score(describe, data, input_), length


def _score(describe: Describe, data: ReidData, input_: Input) -> Evidence:
    query, gallery = describe_test_split(describe, data, height_px=input_.height_px, width_px=input_.width_px)
    return evidence(score(query, gallery), data)


if __name__ == "__main__":
    sys.exit(run(main))
