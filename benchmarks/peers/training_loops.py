"""Time one training loop on one network: ours, Torchreid's, or Torchreid's written again; print one JSON object.

benchmarks/train_speed.py starts this once per measurement, because the thread pools of two loops in one process would
slow each other down. The loop `torchreid` needs PyTorch, Torchreid and torchvision, and nothing else of this project.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:  # the environment of Torchreid has nothing of this project
    from train.recipes.recipe import Recipe

_LEARNING_RATE = 0.0015
_CLASSES = 64


@dataclass(frozen=True)
class LoopJob:
    """The same work for every loop: OSNet's fine-tuning recipe with random flip and erasing, softmax, AMSGrad.

    paths: the images of one epoch, a multiple of the batch; image i shows person i modulo 64.
    """

    network: str
    paths: tuple[Path, ...]
    height_px: int
    width_px: int
    batch: int
    workers: int
    epochs: int
    device: torch.device


@dataclass(frozen=True)
class LoopTimes:
    """Times of a loop. epoch_s: of each epoch but the first. reading_s: spent once, before the first."""

    loop: str
    epoch_s: list[float]
    reading_s: float = 0.0


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: python benchmarks/peers/training_loops.py ours --data DIR --threads 2"
    )
    parser.add_argument("loop", choices=list(_LOOPS))
    parser.add_argument("--network", default="osnet_x0_25")
    parser.add_argument("--data", type=Path, required=True, help="folder of JPEG files")
    parser.add_argument("--height", type=int, default=128)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=8, help="batches of an epoch")
    parser.add_argument("--epochs", type=int, default=2, help="the first one warms up")
    parser.add_argument("--threads", type=int, required=True, help="threads of PyTorch on the CPU")
    parser.add_argument("--workers", type=int, default=4, help="decoding processes of Torchreid: 4, as there")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    job = LoopJob(
        network=arguments.network,
        paths=_paths(arguments.data, arguments.steps * arguments.batch),
        height_px=arguments.height,
        width_px=arguments.width,
        batch=arguments.batch,
        workers=arguments.workers,
        epochs=arguments.epochs,
        device=torch.device(arguments.device),
    )
    with redirect_stdout(sys.stderr):
        timed = _LOOPS[arguments.loop](job)
    print(json.dumps(timed.__dict__))
    return 0


def _paths(folder: Path, count: int) -> tuple[Path, ...]:
    files = sorted(folder.glob("*.jpg"))
    return tuple(files[number % len(files)] for number in range(count))


def train_ours(job: LoopJob, *, compiles: bool = False, precision: str = "auto") -> LoopTimes:
    """Ours: images decoded once and kept on the device, augmented there, channels-last."""
    from edge_runtime.contract.manifest import Input
    from train.datasets.catalog import ReidData, Sample
    from train.machine.mixed_precision import choose_precision, prefer_speed
    from train.machine.processes import Processes
    from train.models.catalog import build
    from train.training.batches.loader import TrainingImages
    from train.training.batches.store import ImageSize, open_store
    from train.training.loop import EpochReport, Trainer
    from train.training.objective import Objective
    from train.training.tasks import Reid

    recipe = _our_recipe(job)
    samples = tuple(Sample(path, 1 + number % _CLASSES, 0) for number, path in enumerate(job.paths))
    task = Reid(data := ReidData("generated", "none", samples, (), ()), recipe, test=data)
    processes = Processes(job.device)
    chosen = choose_precision(job.device, precision)
    prefer_speed(job.device, precision=chosen)
    started = time.perf_counter()
    size = ImageSize(job.height_px, job.width_px, "bilinear-half-pixel")
    store = open_store(task.train.images, size, device=job.device)
    reading_s = time.perf_counter() - started
    fill = torch.tensor([124, 116, 104], dtype=torch.uint8)
    trainer = Trainer(
        [build(job.network, classes=_CLASSES)],
        recipe,
        images=TrainingImages(store, task.train.labels, recipe=recipe, processes=processes, fill=fill),
        objective=Objective(
            recipe, classify=task.classify(), classes=task.classes, lengths=(), gather=processes.gather
        ),
        input_=Input(height_px=job.height_px, width_px=job.width_px),
        processes=processes,
        seed=0,
        precision=chosen,
        compiles=compiles,
    )
    reports: list[EpochReport] = []
    trainer.run(after_epoch=reports.append)
    name = f"reid-edge, {str(chosen).removeprefix('torch.')}{', compiled' if compiles else ''}"
    return LoopTimes(name, [report.seconds for report in reports[1:]], reading_s)


def _our_recipe(job: LoopJob) -> "Recipe":
    from train.recipes.recipe import Augmentation, Batches, Expected, Losses, Optimiser, Recipe, Schedule

    return Recipe(
        name="train_speed",
        architecture=job.network,
        data_set="generated",
        height_px=job.height_px,
        width_px=job.width_px,
        batches=Batches(size=job.batch),
        augmentation=Augmentation(flip=0.5, erase=0.5),
        losses=Losses(),
        optimiser=Optimiser("amsgrad", _LEARNING_RATE),
        schedule=Schedule(epochs=job.epochs, shape="steps"),
        expected=Expected("none"),
    )


def train_ours_in_float32(job: LoopJob) -> LoopTimes:
    """Ours in the precision of Torchreid and of the papers."""
    return train_ours(job, precision="float32")


def train_ours_compiled(job: LoopJob) -> LoopTimes:
    """Ours with torch.compile."""
    return train_ours(job, compiles=True)


def train_torchreid(job: LoopJob) -> LoopTimes:
    """Torchreid's own data manager, network, optimiser and engine, unchanged."""
    declare_operators()
    import torchreid as library  # type: ignore[import-not-found]
    from torchreid.reid.engine import ImageSoftmaxEngine  # type: ignore[import-not-found]
    from torchreid.reid.models import build_model  # type: ignore[import-not-found]
    from torchreid.reid.optim import build_lr_scheduler, build_optimizer  # type: ignore[import-not-found]

    uses_gpu = job.device.type == "cuda"
    manager = open_manager(
        [(str(path), number % _CLASSES, 0) for number, path in enumerate(job.paths)],
        height=job.height_px,
        width=job.width_px,
        batch_size_train=job.batch,
        transforms=["random_flip", "random_erase"],
        workers=job.workers,
        use_gpu=uses_gpu,
    )
    model = build_model(job.network, num_classes=_CLASSES, loss="softmax", pretrained=False).to(job.device)
    if uses_gpu:
        model = torch.nn.DataParallel(model)  # as its scripts/main.py does
    optimizer = build_optimizer(model, optim="amsgrad", lr=_LEARNING_RATE)
    scheduler = build_lr_scheduler(optimizer, lr_scheduler="single_step", stepsize=60)
    engine = ImageSoftmaxEngine(manager, model, optimizer, scheduler=scheduler, use_gpu=uses_gpu, label_smooth=True)
    engine.max_epoch = job.epochs

    def epoch(number: int) -> None:
        engine.epoch = number
        engine.train(print_freq=10)

    return LoopTimes(f"torchreid {library.__version__}", _time_epochs(epoch, job))


def open_manager(samples: list[tuple[str, int, int]], **settings: Any) -> Any:
    """Torchreid's data manager for images that are none of its data sets.

    samples: path, label and camera of each training image. settings: those of its ImageDataManager.
    """
    from torchreid.reid.data import ImageDataManager, ImageDataset, register_image_dataset  # type: ignore[import-not-found]

    class Given(ImageDataset):  # type: ignore[misc]
        dataset_dir = "given"

        def __init__(self, root: str = "", **options: Any) -> None:
            path, label, camera = samples[0]
            super().__init__(samples, samples[:1], [(path, label, camera + 1)], **options)

    register_image_dataset("given", Given)
    return ImageDataManager(root="", sources="given", **settings)


def train_restated(job: LoopJob) -> LoopTimes:
    """Torchreid's loop written again with our OSNet, for where Torchreid cannot be installed.

    Source: its engine/engine.py, engine/image/softmax.py, data/datamanager.py and data/transforms.py, release 0.2.5.
    """
    from torch.utils.data import DataLoader

    from train.models.catalog import build

    network = build(job.network, classes=_CLASSES).to(job.device).train()
    optimiser = torch.optim.Adam(
        network.parameters(), _LEARNING_RATE, betas=(0.9, 0.99), weight_decay=5e-4, amsgrad=True
    )
    loader: Any = DataLoader(
        _Decoded(job),
        job.batch,
        shuffle=True,
        num_workers=job.workers,
        pin_memory=job.device.type == "cuda",
        drop_last=True,
    )

    def epoch(number: int) -> None:
        for images, labels in loader:
            there = labels.to(job.device)
            logits = network(images.to(job.device)).logits[0]
            smooth = torch.zeros_like(logits).scatter_(1, there[:, None], 1) * 0.9 + 0.1 / _CLASSES
            loss = (-smooth * logits.log_softmax(dim=1)).mean(0).sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            loss.item()
            (logits.argmax(dim=1) == there).float().mean().item()

    return LoopTimes("torchreid's loop, written again", _time_epochs(epoch, job))


class _Decoded(torch.utils.data.Dataset[Any]):
    """Images that are decoded by PIL, resized, flipped, normalised and erased each time they are asked for."""

    def __init__(self, job: LoopJob) -> None:
        self._job = job
        self._mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
        self._std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)

    def __len__(self) -> int:
        return len(self._job.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        import numpy as np
        from PIL import Image

        job = self._job
        picture = (
            Image.open(job.paths[index]).convert("RGB").resize((job.width_px, job.height_px), Image.Resampling.BILINEAR)
        )
        if torch.rand(()) < 0.5:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous().float().div(255)
        normalised = (pixels - self._mean) / self._std
        return self._erased(normalised), index % _CLASSES

    def _erased(self, image: torch.Tensor) -> torch.Tensor:
        if torch.rand(()) < 0.5:
            return image
        for _ in range(100):
            area = float(torch.empty(()).uniform_(0.02, 0.4)) * image[0].numel()
            aspect = float(torch.empty(()).uniform_(0.3, 1 / 0.3))
            height, width = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
            if width < image.shape[2] and height < image.shape[1]:
                top = int(torch.randint(0, image.shape[1] - height + 1, ()))
                left = int(torch.randint(0, image.shape[2] - width + 1, ()))
                image[:, top : top + height, left : left + width] = self._mean
                return image
        return image


def declare_operators() -> None:
    """Declare two operators that torchvision needs at import, where its binary does not fit the CPU build of torch."""
    try:
        import torchvision  # type: ignore[import-not-found]  # noqa: F401
    except (ImportError, RuntimeError):
        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
        _KEPT.append(library)


def _time_epochs(epoch: Callable[[int], None], job: LoopJob) -> list[float]:
    """Seconds of each epoch but the first."""
    return list(_timed(epoch, job))[1:]


def _timed(epoch: Callable[[int], None], job: LoopJob) -> Iterator[float]:
    for number in range(job.epochs):
        started = time.perf_counter()
        epoch(number)
        if job.device.type == "cuda":
            torch.cuda.synchronize()
        yield time.perf_counter() - started


_KEPT: list[Any] = []
"""Keeps the operators declared: they vanish with the object that declared them."""
_LOOPS: dict[str, Callable[[LoopJob], LoopTimes]] = {
    "ours": train_ours,
    "ours_float32": train_ours_in_float32,
    "ours_compiled": train_ours_compiled,
    "torchreid": train_torchreid,
    "restated": train_restated,
}

if __name__ == "__main__":
    sys.exit(main())
