"""PyTorch's ways to run a network, with which engines are compared, and all peers of a device."""

import importlib.util
import warnings
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.peers.plain_export import EAGER, Peer, PeerSource, list_plain_peers
from edge_runtime.contract.descriptor import Describe
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import Input
from edge_runtime.contract.provenance import read_cpu_name
from export.graph.deploy import deploy, deploy_in_half_precision
from export.graph.variants import Graph
from train.models.catalog import build
from train.models.checkpoint import load_network
from train.models.pixels import normalise_pixels

COMPILED, HALF, CUDA_GRAPH = "PyTorch compiled", "PyTorch eager, half precision", "PyTorch CUDA graph"
TORCHREID = "Torchreid, PyTorch eager"
_GRAPHED: tuple[Graph, ...] = ("plain", "stack", "end", "dense", "end_dense")


def list_cpu_peers(*, compiled: bool) -> list[Peer]:
    """Peers that are installed, PyTorch eager first. compiled: with torch.compile, which takes a minute to start."""
    backend = f"torch {torch.__version__} CPU"
    peers = [Peer(EAGER, backend, "fp32", _eager)]
    if compiled:
        peers.append(Peer(COMPILED, backend, "fp32", _compiled))
    peers += list_plain_peers()
    if importlib.util.find_spec("torchreid"):
        peers.append(Peer(TORCHREID, backend, "fp32", _torchreid))
    return peers


def list_cuda_peers(*, compiled: bool) -> list[Peer]:
    """PyTorch's ways on a GPU: eager, compiled, and every graph of the network recorded as a CUDA graph."""
    backend = f"torch {torch.__version__} {torch.cuda.get_device_name()}"
    peers = [Peer(EAGER, backend, "fp32", _eager), Peer(HALF, backend, "fp16", _eager_in_half)]
    if compiled:
        peers.append(Peer(COMPILED, backend, "fp32", _compiled))
    for graph in _GRAPHED:
        for precision, make in (("fp32", deploy), ("fp16", deploy_in_half_precision)):
            name = f"{CUDA_GRAPH}, {graph} {precision}"
            peers.append(Peer(name, backend, precision, _recorder(graph, make)))
    if importlib.util.find_spec("torchreid"):
        peers.append(Peer(TORCHREID, backend, "fp32", _torchreid))
    return peers


def device() -> torch.device:
    """The device of PyTorch's peers: the GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name() -> str:
    """The name of the device of PyTorch's peers."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else read_cpu_name()


def build_eager(source: PeerSource) -> nn.Module:
    """The network as it was trained, nothing folded, in eval mode; random weights have a fixed seed."""
    if source.checkpoint is None:
        torch.manual_seed(0)
        return build(source.architecture, classes=1).eval()
    loaded = load_network(source.checkpoint)
    if loaded.manifest.architecture != source.architecture:
        raise ConfigError(
            f"the engines are {source.architecture}, but {source.checkpoint} is {loaded.manifest.architecture}; "
            "give the checkpoint they were exported from"
        )
    return loaded.network


def export_plain(source: PeerSource) -> None:
    """Write the ONNX file that a user would export: nothing folded, normalised float planes as input."""
    images = torch.randn(1, 3, source.input_.height_px, source.input_.width_px)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            build_eager(source),
            (images,),
            str(source.plain),
            dynamo=False,
            opset_version=17,
            input_names=["images"],
            output_names=["features"],
            dynamic_axes={"images": {0: "batch"}, "features": {0: "batch"}},
        )


def _eager(source: PeerSource) -> Describe:
    return _describer(build_eager(source).to(device()), source.input_)


def _eager_in_half(source: PeerSource) -> Describe:
    return _describer(build_eager(source).to(device()).half(), source.input_, dtype=torch.float16)


def _compiled(source: PeerSource) -> Describe:
    return _describer(torch.compile(build_eager(source).to(device())), source.input_)


def _torchreid(source: PeerSource) -> Describe:
    """Torchreid's own network of the same name, with random weights."""
    import torchreid  # type: ignore[import-not-found]

    network = torchreid.models.build_model(source.architecture, 1, pretrained=False, use_gpu=False).eval()
    return _describer(network.to(device()), source.input_)


def _describer(network: Callable[[Tensor], Tensor], input_: Input, *, dtype: torch.dtype = torch.float32) -> Describe:
    """The usual way in PyTorch: planes, normalisation, network, L2 normalisation."""

    def describe(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            planes = torch.from_numpy(crops).to(device()).permute(0, 3, 1, 2).contiguous()
            features = network(normalise_pixels(planes, input_).to(dtype)).float()
            unit: NDArray[np.float32] = nn.functional.normalize(features).cpu().numpy()
            return unit

    return describe


def _recorder(graph: Graph, make: Callable[..., nn.Module]) -> Callable[[PeerSource], Describe]:
    def open_recorded(source: PeerSource) -> Describe:
        network = make(build_eager(source), source.input_, graph=graph).to(device()).eval()
        return _recorded(network)

    return open_recorded


def _recorded(network: nn.Module) -> Describe:
    """Replay a CUDA graph of network and normalisation, recorded once per batch size."""
    graphs: dict[tuple[int, ...], tuple[torch.cuda.CUDAGraph, Tensor, Tensor]] = {}

    def record(shape: tuple[int, ...]) -> tuple[torch.cuda.CUDAGraph, Tensor, Tensor]:
        pixels = torch.zeros(shape, dtype=torch.uint8, device=device())
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):  # the libraries choose their kernels before they are recorded
                nn.functional.normalize(network(pixels).float())
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            unit = nn.functional.normalize(network(pixels).float())
        return graph, pixels, unit

    def describe(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            if crops.shape not in graphs:
                graphs[crops.shape] = record(crops.shape)
            graph, pixels, unit = graphs[crops.shape]
            pixels.copy_(torch.from_numpy(crops))
            graph.replay()
            descriptors: NDArray[np.float32] = unit.cpu().numpy()
            return descriptors

    return describe
