"""Take training steps with Torchreid's own, unchanged code in float64; needs nothing of this project but this folder.

example: python benchmarks/peers/torchreid_lockstep.py job.pt result.pt
"""

import argparse
import sys
import types
from pathlib import Path
from typing import Any

import torch

from benchmarks.peers.training_loops import declare_operators


def main(argv: list[str] | None = None) -> int:
    """Take the steps of a job of `equality.py` and write what they gave. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", type=Path, help="file of equality.py")
    parser.add_argument("result", type=Path, help="the file to write")
    arguments = parser.parse_args(argv)
    declare_operators()
    torch.set_default_dtype(torch.float64)
    torch.save(take_steps(torch.load(arguments.job, weights_only=True)), arguments.result)
    return 0


def take_steps(job: dict[str, Any]) -> dict[str, Any]:
    """One epoch of Torchreid's engine per batch of the job, with its optimiser, schedule and frozen layers."""
    import torchreid  # type: ignore[import-not-found]
    from torchreid.reid.models import build_model  # type: ignore[import-not-found]
    from torchreid.reid.optim import build_lr_scheduler, build_optimizer  # type: ignore[import-not-found]

    network = build_model(job["network"], num_classes=job["classes"], loss="softmax", pretrained=False)
    network.load_state_dict(job["weights"])
    optimiser = build_optimizer(
        network, optim="amsgrad", lr=job["learning_rate"], weight_decay=job["weight_decay"], adam_beta2=0.999
    )
    scheduler = build_lr_scheduler(optimiser, lr_scheduler="multi_step", stepsize=job["steps"])
    losses, gradients = [], []
    engine, loader = _open_engine(network, optimiser, scheduler=scheduler, classes=job["classes"])
    engine.max_epoch = len(job["batches"])
    original = engine.forward_backward

    def forward_backward(batch: dict[str, torch.Tensor]) -> dict[str, float]:
        summary: dict[str, float] = original(batch)
        losses.append(summary["loss"])
        return summary

    engine.forward_backward = forward_backward
    for number, (images, labels) in enumerate(job["batches"]):
        loader[:] = [{"img": images, "pid": labels}]
        engine.epoch = number
        engine.train(print_freq=1000, fixbase_epoch=job["frozen_epochs"], open_layers="classifier")
        gradients.append({name: value.grad.clone() for name, value in network.named_parameters() if _learns(value)})
    return {
        "version": torchreid.__version__,
        "losses": losses,
        "gradients": gradients,
        "weights": network.state_dict(),
    }


def _learns(value: torch.nn.Parameter) -> bool:
    return value.requires_grad and value.grad is not None


def _open_engine(network: Any, optimiser: Any, *, scheduler: Any, classes: int) -> tuple[Any, list[Any]]:
    """Torchreid's engine, and the list from which it takes the batches of an epoch."""
    from torchreid.reid.engine import ImageSoftmaxEngine  # type: ignore[import-not-found]

    loader: list[Any] = []
    manager = types.SimpleNamespace(train_loader=loader, test_loader=None, num_train_pids=classes)
    engine = ImageSoftmaxEngine(manager, network, optimiser, scheduler=scheduler, use_gpu=False, label_smooth=True)
    return engine, loader


if __name__ == "__main__":
    sys.exit(main())
