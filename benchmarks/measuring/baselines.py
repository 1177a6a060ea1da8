"""What engines are compared with: other ways to run the network, its cost, the machine's peaks. Needs torch."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.measuring.peaks import measure_cpu_peaks, measure_gpu_peaks
from benchmarks.measuring.roofline import LayerLoad, NetworkCost, Peaks
from benchmarks.peers.plain_export import Peer, PeerSource
from benchmarks.peers.pytorch import build_eager, device_name, export_plain, list_cpu_peers, list_cuda_peers
from train.models import complexity


@dataclass(frozen=True)
class Baselines:
    """Peers, PyTorch eager first, and peaks of the device that PyTorch runs on: the GPU if there is one."""

    device: str
    peers: tuple[Peer, ...]
    peaks: Peaks

    def prepare(self, source: PeerSource) -> NetworkCost:
        """Write the plain ONNX file that peers on a CPU read. Returns the cost of one image."""
        if not torch.cuda.is_available():
            export_plain(source)
        return count_cost(build_eager(source), height_px=source.input_.height_px, width_px=source.input_.width_px)


def open_baselines(*, compiled: bool) -> Baselines:
    """Measure the peaks and list the peers. compiled: with torch.compile, which takes a minute to start."""
    torch.set_num_threads(1)
    has_gpu = torch.cuda.is_available()
    return Baselines(
        device=device_name(),
        peers=tuple((list_cuda_peers if has_gpu else list_cpu_peers)(compiled=compiled)),
        peaks=measure_gpu_peaks() if has_gpu else measure_cpu_peaks(),
    )


def count_cost(network: nn.Module, *, height_px: int, width_px: int) -> NetworkCost:
    """Count the operations and the traffic of one image. network: in eval mode."""
    layers: list[LayerLoad] = []

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:  # noqa: PLR0917 - PyTorch's form of a hook
        if isinstance(module, nn.Conv2d | nn.Linear):
            weights = module.weight.numel()
            each = output.numel() * module.weight[0].numel()
            layers.append(LayerLoad(each, weights, inputs[0].numel() + output.numel()))

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    try:
        total = complexity.measure_complexity(network, height_px=height_px, width_px=width_px).mult_adds
    finally:
        for hook in hooks:
            hook.remove()
    return NetworkCost(total, tuple(layers))
