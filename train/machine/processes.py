"""Several processes that train one network together, each on its own GPU, started by torchrun.

The recipe's batch is divided equally among all processes, so the result does not depend on their number, except for
rounding and for the random numbers with which each process augments its share.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn

from edge_runtime.contract.descriptor import Describe
from edge_runtime.contract.errors import ConfigError


@dataclass(frozen=True)
class Processes:
    """This process among those that train together; a single process has rank 0 of 1."""

    device: torch.device
    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and prints; the others are silent."""
        return self.rank == 0

    def share(self, batch: NDArray[np.int64]) -> NDArray[np.int64]:
        """This process' part of a batch; a batch grouped by identity is cut between identities.

        batch: (..., N), N a multiple of `count`. Returns (..., N / count).
        """
        size = batch.shape[-1] // self.count
        return batch[..., self.rank * size : (self.rank + 1) * size]

    def gather(self, rows: Tensor) -> Tensor:
        """The rows of all processes, in order. rows: (N, ...), as many in each. Returns (count * N, ...).

        Differentiable: its gradient is right after `average_gradients`.
        """
        if self.count == 1:
            return rows
        return cast(Tensor, _Gather.apply(rows, self.rank, self.count))  # type: ignore[no-untyped-call]

    def mean(self, values: Tensor) -> Tensor:
        """The mean over processes."""
        if self.count > 1:
            values = values.clone()
            distributed.all_reduce(values)
        return values / self.count

    def average_gradients(self, module: nn.Module) -> None:
        """Make the gradients of all processes their mean, in one exchange.

        PyTorch's DistributedDataParallel would overlap it with the backward pass, but requires every step to use all
        weights: recipes freeze layers, switch losses, and have networks with outputs that no loss uses.
        """
        gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
        if self.count == 1 or not gradients:
            return
        sizes = [gradient.numel() for gradient in gradients]
        mean = self.mean(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, part in zip(gradients, torch.split(mean, sizes), strict=True):
            gradient.copy_(part.view_as(gradient))

    def average_statistics(self, module: nn.Module) -> None:
        """Average the running statistics of batch norms, of which each process saw only its share."""
        if self.count > 1:
            for buffer in module.buffers():
                if buffer.is_floating_point():
                    buffer.copy_(self.mean(buffer))

    def divide_among_all(self, describe: Describe) -> Describe:
        """A function like `describe` for which each process computes a share of the images."""
        if self.count == 1:
            return describe

        def describe_together(images: NDArray[np.uint8]) -> NDArray[np.float32]:
            missing = -len(images) % self.count
            filled = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
            size = len(filled) // self.count
            rows = torch.from_numpy(describe(filled[self.rank * size : (self.rank + 1) * size]))
            return self.gather(rows.to(self.device)).cpu().numpy()[: len(images)]

        return describe_together

    def wait(self) -> None:
        """Wait for all processes; exit silently if another one failed, because it has printed the reason."""
        if self.count == 1:
            return
        try:
            distributed.barrier()
        except RuntimeError:
            if self.is_first:
                raise
            leave(1)


class _Gather(torch.autograd.Function):
    """All-gather whose gradient is right after it was averaged over the processes."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, rank: int, count: int) -> Tensor:  # noqa: PLR0917 - PyTorch's form
        ctx.part, ctx.count = slice(rank * len(rows), (rank + 1) * len(rows)), count
        gathered = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(count)]
        distributed.all_gather(gathered, rows.contiguous())
        return torch.cat(gathered)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        # Every process has the same loss over all rows and the gradient of its own rows. These must be added up, and
        # `average_gradients` will divide by the count, so multiply by it.
        return gradient[ctx.part] * ctx.count, None, None


def synchronize_norms(network: nn.Module, processes: Processes) -> nn.Module:
    """The network with batch norms over the batch of all processes; on CPUs unchanged, as PyTorch has none there."""
    if processes.count == 1 or processes.device.type == "cpu":
        return network
    return cast(nn.Module, nn.SyncBatchNorm.convert_sync_batchnorm(network))  # type: ignore[no-untyped-call]


@contextmanager
def join_processes(choice: str) -> Iterator[Processes]:
    """Find this process' device and the others that torchrun started with it. choice: auto, cpu or cuda.

    Raises:
        ConfigError: a GPU was asked for and there is none, or there are fewer GPUs than processes.
    """
    rank, count = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    device = _device(choice, local_rank=int(os.environ.get("LOCAL_RANK", "0")))
    if count == 1:
        yield Processes(device)
        return
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(device, rank, count)
        distributed.barrier()  # a process that exits early would close the connections of the others
    finally:
        distributed.destroy_process_group()


def leave(code: int) -> NoReturn:
    """End the program with this exit code; use it instead of `sys.exit` where several processes may train.

    With several processes it skips PyTorch's clean-up: on a busy machine, processes that had communicated by gloo
    aborted in it after all their work was done, and torchrun then reported a failed run.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _device(choice: str, *, local_rank: int) -> torch.device:
    if choice == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda was asked for, but PyTorch finds no CUDA device; use --device cpu")
    if choice == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    if local_rank >= torch.cuda.device_count():
        raise ConfigError(
            f"there are {torch.cuda.device_count()} GPUs for {local_rank + 1} processes or more; "
            f"use --nproc-per-node {torch.cuda.device_count()}"
        )
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)
