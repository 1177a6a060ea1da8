"""Full memory, said in a sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from edge_runtime.contract.errors import TrainingError


@contextmanager
def explain_full_memory(device: torch.device, *, batch_size: int) -> Iterator[None]:
    """Turn the errors of a full GPU or host memory into one that says what helps.

    Raises:
        TrainingError: memory is full.
    """
    try:
        yield
    except (torch.cuda.OutOfMemoryError, MemoryError) as error:
        raise _full(device, batch_size) from error
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):  # what PyTorch says of the host's memory
            raise
        raise _full(torch.device("cpu"), batch_size) from error


def _full(device: torch.device, batch_size: int) -> TrainingError:
    return TrainingError(
        f"the memory of {device} is full at batch size {batch_size}; use a smaller batch (--batch N), "
        "a smaller network or a machine with more memory"
    )
