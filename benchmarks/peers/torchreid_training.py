"""Train a job of `peer_training.py` by Torchreid's own, unchanged code; needs nothing of this project but this folder.

example: python benchmarks/peers/torchreid_training.py job.json
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.peers.training_loops import declare_operators, open_manager


def main(argv: list[str] | None = None) -> int:
    """Train and write the weights. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", type=Path, help="JSON file of peer_training.py")
    job = json.loads(parser.parse_args(argv).job.read_text())
    declare_operators()
    torch.manual_seed(job["seed"])
    network = train(job)
    torch.save({"state_dict": network.state_dict()}, job["weights"])
    return 0


def train(job: dict[str, Any]) -> torch.nn.Module:
    """Train by Torchreid's engine, without its evaluation at the end, because ours follows."""
    from torchreid.reid.engine import ImageSoftmaxEngine

    uses_gpu = job["device"] == "cuda"
    manager = _open_images(job, uses_gpu=uses_gpu)
    network, optimiser, scheduler = _build(job, classes=manager.num_train_pids, uses_gpu=uses_gpu)
    engine = ImageSoftmaxEngine(
        manager, network, optimiser, scheduler=scheduler, use_gpu=uses_gpu, label_smooth=job["label_smoothing"] > 0
    )
    engine.max_epoch = job["epochs"]
    for number in range(job["epochs"]):
        engine.epoch = number
        engine.train(print_freq=50)
    return network


def _open_images(job: dict[str, Any], *, uses_gpu: bool) -> Any:
    names = {"flip": "random_flip", "crop": "random_crop", "patch": "random_patch", "erase": "random_erase"}
    return open_manager(
        [tuple(sample) for sample in job["train"]],
        height=job["height"],
        width=job["width"],
        batch_size_train=job["batch"],
        transforms=[name for key, name in names.items() if job["augmentation"][key]],
        workers=2,
        use_gpu=uses_gpu,
    )


def _build(job: dict[str, Any], *, classes: int, uses_gpu: bool) -> tuple[torch.nn.Module, Any, Any]:
    """Network, optimiser and scheduler."""
    from torchreid.reid.models import build_model
    from torchreid.reid.optim import build_lr_scheduler, build_optimizer

    network: torch.nn.Module = build_model(job["network"], num_classes=classes, loss="softmax", pretrained=False)
    network = network.cuda() if uses_gpu else network
    settings = job["optimiser"]
    optimiser = build_optimizer(
        network,
        optim="sgd",
        lr=settings["learning_rate"],
        weight_decay=settings["weight_decay"],
        momentum=settings["momentum"],
    )
    scheduler = build_lr_scheduler(
        optimiser,
        lr_scheduler="cosine" if job["schedule"] == "cosine" else "multi_step",
        stepsize=list(job["steps"]),
        max_epoch=job["epochs"],
    )
    return network, optimiser, scheduler


if __name__ == "__main__":
    sys.exit(main())
