"""Every kind of graph through a real TensorRT parser and builder, without a GPU."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime.contract.manifest import Precision
from export.graph.deploy import deploy, deploy_in_half_precision
from export.graph.onnx_file import write_onnx
from export.graph.variants import Graph
from tests.export.building.test_tensorrt_builder import build, quantize
from tests.support.every_network import descriptor_of, input_of, network
from tests.support.small_osnet import export_small_osnet
from tests.support.tensorrt_site import ROOT, environment

pytestmark = pytest.mark.timeout(900)  # the first run downloads about 150 MB

BUILD_ALL = """
import sys
from pathlib import Path
from export.building.tensorrt_builder import BatchSizes, build_plan

for path in map(Path, sys.argv[1:]):
    precision = path.stem.rpartition("-")[2]
    build_plan(path, precision=precision, batch=BatchSizes(2, 2, 2), workspace_mib=256)
    print(path.name)
"""
CASES: tuple[tuple[str, Graph, Precision], ...] = (
    ("osnet_x0_25", "end", "fp32"),
    ("osnet_x0_25", "end", "fp16"),
    ("osnet_x0_25", "dense", "fp16"),
    ("osnet_x0_25", "end_dense", "fp32"),
    ("osnet_x0_25", "end_dense", "fp16"),
    ("osnet_ibn_x0_25", "end_dense", "fp16"),
    ("osnet_attributes_x0_25", "stack", "fp16"),
    ("plr_osnet_x0_25", "stack", "fp32"),
    ("plr_osnet_x0_25", "end_dense", "fp16"),
    ("pyramid_r50_001111", "stack", "fp32"),
    ("pyramid_r50_001111", "stack", "fp16"),
    ("mgn_single_part3", "stack", "fp16"),
)


def test_graphs_of_every_family_build(tensorrt_site: Path, tmp_path: Path) -> None:
    """Grouped convolutions, casts around long sums, attention and stacked reductions are what TensorRT accepts."""
    paths = []
    for name, graph, precision in CASES:
        paths.append(tmp_path / f"{name}-{graph}-{precision}.onnx")
        make = deploy if precision == "fp32" else deploy_in_half_precision
        deployed = make(network(name), input_of(name), graph=graph)
        write_onnx(deployed, paths[-1], input_=input_of(name), descriptor=descriptor_of(network(name)))
    done = subprocess.run(
        [sys.executable, "-c", BUILD_ALL, *map(str, paths)],
        env=environment(tensorrt_site), cwd=ROOT, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [path.name for path in paths]


@pytest.mark.parametrize("graph", ["end", "end_dense"])
def test_a_quantized_graph_builds(tensorrt_site: Path, tmp_path: Path, graph: Graph) -> None:
    """Q/DQ around grouped convolutions and 2x2 ones passes too."""
    path = quantize(export_small_osnet(tmp_path, "--graph", graph), activations="int8")
    done = build(tensorrt_site, path, precision="int8")
    assert done.returncode == 0, json.dumps(done.stderr)
