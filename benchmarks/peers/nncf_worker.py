"""Quantize an ONNX file with NNCF's defaults. Runs in an environment with NNCF and OpenVINO, without this project.

example: python benchmarks/peers/nncf_worker.py plain.onnx images.npy quantised.xml
"""

import argparse
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np


def main(argv: list[str] | None = None) -> int:
    """Write the quantised network and print NNCF's version. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path, help="ONNX file that takes normalised float planes")
    parser.add_argument("images", type=Path, help="(N, 3, H, W) float32 planes to calibrate with, a NumPy file")
    parser.add_argument("output", type=Path, help="OpenVINO's .xml to write; its weights lie beside it")
    arguments = parser.parse_args(argv)
    import nncf  # type: ignore[import-not-found]
    import openvino

    images = np.load(arguments.images)
    quantized = nncf.quantize(openvino.Core().read_model(arguments.network), nncf.Dataset(list(images[:, None])))
    openvino.save_model(quantized, arguments.output, compress_to_fp16=False)
    print(version("nncf"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
