"""Train a network by a recipe: recipe -> run folder with checkpoint, manifest, scores, log and curves."""

import argparse
import dataclasses
import json
import logging
import os
import platform
import sys
from pathlib import Path

import torch

from edge_runtime.contract import manifest as contract
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.provenance import commit, cpu_name
from edge_runtime.contract.script import run
from train import checkpoint
from train.curves import draw_curves
from train.data.datasets import ReidData, load_images, open_data
from train.data.loader import TrainingImages
from train.loop import EpochReport, Trainer, precision_for
from train.models.catalog import build
from train.models.pixels import describe_with
from train.recipe import Recipe
from train.recipes.catalog import all_recipes, find_recipe
from train.scoring import score_on

logger = logging.getLogger(__name__)

_EXAMPLES = """\
examples:
  python train/run.py --list
  python train/run.py osnet_cuhk03:scratch --data /data/cuhk03_np_detected
  python train/run.py osnet_cuhk03 --data /data/cuhk03_np_detected --weights osnet_x1_0_imagenet.pth
  python train/run.py osnet_cuhk03:scratch_x0_25 --data /data/cuhk03_np_detected --epochs 5    (a short try)

The run folder then holds model.pth with its manifest model.pth.json, log.jsonl, curves.png and resume.pth.
A stopped run goes on with --resume and ends as if it had never stopped (on the CPU: to the bit).
"""


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    arguments = _parse(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if arguments.list:
        _print_recipes()
        return 0
    recipe = _shortened(find_recipe(arguments.recipe), arguments.epochs)
    if not 0 <= arguments.seed < 2**32:
        raise ConfigError(f"--seed must be from 0 to {2**32 - 1}, found {arguments.seed}")
    if recipe.needs_weights and arguments.weights is None and not arguments.resume:
        raise ConfigError(f"recipe {recipe.name} starts from trained weights; give them with --weights FILE")
    device = _device(arguments.device)
    data = open_data(recipe.data_set, arguments.data)
    # Decoding the test images takes seconds; finding a broken one only when the training is over would cost the run.
    load_images(data.query + data.gallery, height_px=8, width_px=4)
    folder = _run_folder(arguments.output, recipe, seed=arguments.seed, resumes=arguments.resume)
    if arguments.resume:
        _check_resumed(folder / "settings.json", recipe, weights=arguments.weights)
    _train(recipe, data, folder=folder, device=device, arguments=arguments)
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", nargs="?", help="name of a recipe, as --list shows it")
    parser.add_argument("--data", type=Path, help="folder of the data set, in its published layout")
    parser.add_argument("--weights", type=Path, help="checkpoint to start from; its classifier is left out")
    parser.add_argument("--output", type=Path, default=Path("runs"), help="where run folders go (default: runs)")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, batches and augmentation (default: 0)")
    parser.add_argument("--epochs", type=int, help="a shorter or longer run; steps of the schedule move in proportion")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: the GPU if any")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    parser.add_argument("--list", action="store_true", help="show all recipes and what their papers report")
    arguments = parser.parse_args(argv)
    if not arguments.list and (arguments.recipe is None or arguments.data is None):
        parser.error("give a recipe and --data DIR, or --list")
    return arguments


def _print_recipes() -> None:
    print(f"{'recipe':32} {'architecture':16} {'data set':20} {'input':9} {'paper rank-1 / mAP':20} source")
    for recipe in all_recipes():
        paper = recipe.expected
        scores = "-" if paper.rank1 is None else f"{paper.rank1:.3f} / {paper.mean_ap:.3f}"
        size = f"{recipe.height_px}x{recipe.width_px}"
        print(f"{recipe.name:32} {recipe.architecture:16} {recipe.data_set:20} {size:9} {scores:20} {paper.source}")


def _shortened(recipe: Recipe, epochs: int | None) -> Recipe:
    if epochs is None:
        return recipe
    if epochs < 1:
        raise ConfigError(f"--epochs must be at least 1, found {epochs}")
    schedule, losses = recipe.schedule, recipe.losses
    share = epochs / schedule.epochs
    steps = {max(1, round(step * share)) for step in schedule.steps}
    changed = dataclasses.replace(
        schedule,
        epochs=epochs,
        steps=tuple(sorted(step for step in steps if step < epochs)),
        warm_up_epochs=round(schedule.warm_up_epochs * share),
        classifier_only_epochs=round(schedule.classifier_only_epochs * share),
    )
    sooner = dataclasses.replace(losses, triplet_from_epoch=round(losses.triplet_from_epoch * share))
    return recipe.variant(recipe.name, schedule=changed, losses=sooner)


def _run_folder(output: Path, recipe: Recipe, *, seed: int, resumes: bool) -> Path:
    folder = output / f"{recipe.name.replace(':', '-')}-seed{seed}"
    has_state = (folder / "resume.pth").exists()
    if has_state and not resumes:
        raise ConfigError(f"{folder} holds a run already; add --resume to go on with it, or choose another --output")
    if resumes and not has_state:
        raise ConfigError(f"there is nothing to resume: expected {folder / 'resume.pth'}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the folder {folder}: {error.strerror}; give another --output") from error
    return folder


def _check_resumed(settings: Path, recipe: Recipe, *, weights: Path | None) -> None:
    """Refuse options that say something else than the run was started with."""
    started = json.loads(settings.read_text())
    epochs = started["recipe"]["schedule"]["epochs"]
    if epochs != recipe.schedule.epochs:
        raise ConfigError(
            f"the run in {settings.parent} was started for {epochs} epochs, not {recipe.schedule.epochs}; "
            f"go on with --epochs {epochs}, or start anew with another --output"
        )
    if weights is not None and contract.file_sha256(weights) != started["weights"]:
        raise ConfigError(f"the run in {settings.parent} was not started from {weights}; leave --weights out")


def _device(wish: str) -> torch.device:
    if wish == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda was asked for, but PyTorch finds no CUDA device; use --device cpu")
    return torch.device("cuda" if wish != "cpu" and torch.cuda.is_available() else "cpu")


def _train(
    recipe: Recipe, data: ReidData, *, folder: Path, device: torch.device, arguments: argparse.Namespace
) -> None:
    torch.manual_seed(arguments.seed)
    network = build(recipe.architecture, classes=len(data.train_identities))
    if arguments.weights is not None and not arguments.resume:
        checkpoint.start_from(network, arguments.weights)
    input_ = contract.Input(height_px=recipe.height_px, width_px=recipe.width_px)
    fill = torch.tensor(input_.mean).mul(255).round().to(torch.uint8)
    images = TrainingImages(data, recipe, device=device, fill=fill)
    trainer = Trainer(network, recipe, images, device=device, seed=arguments.seed)
    if arguments.resume:
        trainer.resume(folder / "resume.pth")
    else:
        _write_settings(folder, recipe, device=device, arguments=arguments)
    log = folder / "log.jsonl"
    _trim_log(log, finished_epochs=trainer.finished_epochs)
    logger.info("%s trains on %s (%s) into %s", recipe.name, device, precision_for(device), folder)

    def after_epoch(report: EpochReport) -> None:
        with log.open("a") as file:
            file.write(json.dumps(dataclasses.asdict(report)) + "\n")
        trainer.save(folder / "resume.pth")
        logger.info(
            "epoch %d  loss %.3f  accuracy %.3f  rate %.2g  %.0f images/s",
            report.epoch,
            report.loss,
            report.accuracy,
            report.learning_rate,
            report.images_per_s,
        )

    trainer.run(after_epoch=after_epoch)
    draw_curves(log, folder / "curves.png")
    _finish(network, folder / "model.pth", recipe=recipe, data=data, input_=input_, device=device)


def _trim_log(log: Path, *, finished_epochs: int) -> None:
    """Leave one line per finished epoch: a stop may have left that of an epoch that was not saved, or half a line."""
    lines = log.read_text().splitlines(keepends=True) if log.exists() else []
    _replace(log, "".join(lines[:finished_epochs]))


def _finish(
    network: torch.nn.Module,
    path: Path,
    *,
    recipe: Recipe,
    data: ReidData,
    input_: contract.Input,
    device: torch.device,
) -> None:
    """Write the network, score it, and write its manifest."""
    checkpoint.save({"state_dict": {k: value.cpu().contiguous() for k, value in network.state_dict().items()}}, path)
    describe = describe_with(network, input_, device=device)
    manifest = checkpoint.checkpoint_manifest(
        path,
        network,
        architecture=recipe.architecture,
        data_set=data.name,
        recipe=recipe.name,
        input_=input_,
        terms=contract.Terms(weights=f"trained on {data.terms}", training_data=data.terms),
    )
    evidence = score_on(describe, data, input_=input_)
    contract.write_manifest(manifest.model_copy(update={"evidence": evidence}), path)
    print(
        f"{path}: rank-1 {evidence.rank1.value:.3f}, mAP {evidence.mean_ap.value:.3f}, "
        f"mINP {evidence.mean_inp.value:.3f} on {data.name}"
    )


def _write_settings(folder: Path, recipe: Recipe, *, device: torch.device, arguments: argparse.Namespace) -> None:
    settings = {
        "recipe": dataclasses.asdict(recipe),
        "seed": arguments.seed,
        "weights": None if arguments.weights is None else contract.file_sha256(arguments.weights),
        "commit": commit(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name(),
        "cpu_threads": torch.get_num_threads(),
    }
    _replace(folder / "settings.json", json.dumps(settings, indent=2) + "\n")


def _replace(path: Path, text: str) -> None:
    """Write a text file atomically."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    os.replace(partial, path)


if __name__ == "__main__":
    sys.exit(run(main))
