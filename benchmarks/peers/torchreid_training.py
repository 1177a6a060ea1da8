"""Train a job of `peer_training.py` by Torchreid's own, unchanged code; needs nothing of this project but this folder.

example: python benchmarks/peers/torchreid_training.py job.json
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.peers.training_loops import declare_operators


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
    from torchreid.reid.data import ImageDataManager, ImageDataset, register_image_dataset
    from torchreid.reid.engine import ImageSoftmaxEngine
    from torchreid.reid.models import build_model
    from torchreid.reid.optim import build_lr_scheduler, build_optimizer

    class Given(ImageDataset):  # type: ignore[misc]
        dataset_dir = "given"

        def __init__(self, root: str = "", **settings: Any) -> None:
            samples = [tuple(sample) for sample in job["train"]]
            super().__init__(samples, samples[:1], [(samples[0][0], samples[0][1], samples[0][2] + 1)], **settings)

    register_image_dataset("given", Given)
    uses_gpu = job["device"] == "cuda"
    names = {"flip": "random_flip", "crop": "random_crop", "patch": "random_patch", "erase": "random_erase"}
    manager = ImageDataManager(
        root="",
        sources="given",
        height=job["height"],
        width=job["width"],
        batch_size_train=job["batch"],
        transforms=[name for key, name in names.items() if job["augmentation"][key]],
        workers=2,
        use_gpu=uses_gpu,
    )
    network: torch.nn.Module = build_model(
        job["network"], num_classes=manager.num_train_pids, loss="softmax", pretrained=False
    )
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
    engine = ImageSoftmaxEngine(
        manager, network, optimiser, scheduler=scheduler, use_gpu=uses_gpu, label_smooth=job["label_smoothing"] > 0
    )
    engine.max_epoch = job["epochs"]
    for number in range(job["epochs"]):
        engine.epoch = number
        engine.train(print_freq=50)
    return network


if __name__ == "__main__":
    sys.exit(main())
