"""What engines are held against: other ways to run the network, its cost, the machine's peaks. It takes torch."""

from dataclasses import dataclass

import torch

from benchmarks.measuring.peaks import measure_cpu_peaks, measure_gpu_peaks
from benchmarks.measuring.roofline import Cost, Peaks, cost_of
from benchmarks.peers.plain_export import Peer, Source
from benchmarks.peers.pytorch import cpu_peers, cuda_peers, device_name, export_plain, open_network


@dataclass(frozen=True)
class Reference:
    """Peers, PyTorch eager first, and peaks of the device that PyTorch runs on: the GPU if there is one."""

    device: str
    peers: tuple[Peer, ...]
    peaks: Peaks

    def prepare(self, source: Source) -> Cost:
        """Write the plain ONNX file that peers on a CPU read. Returns what one image costs."""
        if not torch.cuda.is_available():
            export_plain(source)
        return cost_of(open_network(source), height_px=source.input_.height_px, width_px=source.input_.width_px)


def open_reference(*, compiled: bool) -> Reference:
    """Measure the peaks and list the peers. compiled: with torch.compile, which takes a minute to start."""
    torch.set_num_threads(1)
    has_gpu = torch.cuda.is_available()
    return Reference(
        device=device_name(),
        peers=tuple((cuda_peers if has_gpu else cpu_peers)(compiled=compiled)),
        peaks=measure_gpu_peaks() if has_gpu else measure_cpu_peaks(),
    )
