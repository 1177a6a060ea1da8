"""Train a network by a recipe: recipe -> run folder with checkpoint, manifest, scores, log and curves."""

import argparse
import logging
import os
import signal
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev

import torch

from edge_runtime.contract.errors import ConfigError, DataError
from edge_runtime.contract.script import raise_terminated, run
from train.datasets.catalog import ReidData, open_attributes, open_classification, open_data, open_folder
from train.machine.mixed_precision import prefer_speed
from train.machine.processes import Processes, join_processes, leave
from train.recipes.catalog import find_recipe
from train.recipes.listing import listing
from train.recipes.overrides import on_data_set, with_batch, with_epochs
from train.recipes.recipe import Recipe
from train.training.run_folder import RunFolder
from train.training.session import Options, Session
from train.training.tasks import Attributes, Classification, Reid, Scores, Task

logger = logging.getLogger(__name__)

_EXAMPLES = """\
examples:
  python train/run.py --list
  python train/run.py --list cuhk03                                                            (some of them)
  python train/run.py osnet_cuhk03:scratch --data /data/cuhk03_np_detected
  python train/run.py osnet_cuhk03 --data /data/cuhk03_np_detected --weights osnet_x1_0_imagenet.pth
  python train/run.py osnet_cuhk03:scratch_x0_25 --data /data/cuhk03_np_detected --epochs 5    (a short try)
  python train/run.py osnet_market1501:scratch --data /data/my_people --data-set folder        (your own images)
  torchrun --nproc-per-node 4 train/run.py osnet_msmt17:scratch --data /data/MSMT17            (four GPUs)

your own images: a folder for each person, or the layout of Market-1501. Small sets train too: batches shrink to fit.
several data sets as one (mix4): --data is the folder that holds a folder for each of them, called by its name.

The run folder then holds model.pth with its manifest model.pth.json, scores.json, settings.json, log.jsonl, curves.png,
TensorBoard's files in events/, and resume.pth. A stopped run goes on with --resume and ends as if it had never stopped
(on the CPU: to the bit). GPUs share out the recipe's batch, so their number does not change the result.
"""


@dataclass(frozen=True)
class Run:
    """A finished run and the figures it reports."""

    folder: RunFolder
    figures: dict[str, float]


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    arguments = _parse(argv)
    if arguments.list:
        print(listing(arguments.recipe or ""))
        return 0
    recipe = _recipe(arguments)
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    with join_processes(arguments.device) as processes:
        if arguments.compile and processes.count > 1 and processes.device.type == "cuda":
            # Batch norms over all processes cut the graph into a hundred pieces, more than PyTorch compiles.
            raise ConfigError("--compile is for one GPU, found several processes; leave --compile out")
        logging.basicConfig(level=logging.INFO if processes.is_first else logging.ERROR, format="%(message)s")
        prefer_speed(processes.device)
        runs = [_train(recipe, split, arguments=arguments, processes=processes) for split in range(recipe.splits)]
        if processes.is_first and recipe.splits > 1:
            _report_splits(recipe, runs)
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "recipe", nargs="?", help="name of a recipe, as --list shows it; with --list: words in its row, quoted"
    )
    parser.add_argument(
        "--list", action="store_true", help="show all recipes, what their papers report and what we got"
    )
    data = parser.add_argument_group("data")
    data.add_argument("--data", type=Path, metavar="DIR", help="folder of the data set, in its published layout")
    data.add_argument("--data-set", metavar="NAME", help="train on another data set than the recipe's; `folder`: any")
    data.add_argument("--test-data", type=Path, metavar="DIR", help="score on another data set (another domain)")
    start = parser.add_argument_group("start and end")
    start.add_argument("--weights", type=Path, metavar="FILE", help="checkpoint to start from, without its classifier")
    start.add_argument("--output", type=Path, default=Path("runs"), metavar="DIR", help="where run folders go: runs")
    start.add_argument(
        "--resume",
        action="store_true",
        help="go on with a run that was stopped; random splits that are still to begin need --weights again",
    )
    start.add_argument(
        "--evaluate-every", type=int, metavar="N", help="score after every N epochs, into log and curves"
    )
    change = parser.add_argument_group("changes of the recipe")
    change.add_argument("--epochs", type=int, metavar="N", help="shorter or longer; the schedule moves in proportion")
    change.add_argument("--batch", type=int, metavar="N", help="images in a batch; the learning rate stays what it is")
    change.add_argument("--seed", type=int, default=0, help="of weights, batches and augmentation: 0")
    machine = parser.add_argument_group("machine")
    machine.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: the GPU if there is one"
    )
    machine.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: what PyTorch takes)")
    machine.add_argument(
        "--compile",
        action="store_true",
        help="torch.compile: a minute to start, then faster steps; not on several GPUs",
    )
    arguments = parser.parse_args(argv)
    if not arguments.list and (arguments.recipe is None or arguments.data is None):
        parser.error("give a recipe and --data DIR, or --list")
    return arguments


def _recipe(arguments: argparse.Namespace) -> Recipe:
    """The recipe as the options change it; options that make no sense are refused."""
    recipe = find_recipe(arguments.recipe)
    if arguments.data_set is not None:
        recipe = on_data_set(recipe, arguments.data_set)
    if arguments.epochs is not None:
        recipe = with_epochs(recipe, arguments.epochs)
    if arguments.batch is not None:
        recipe = with_batch(recipe, arguments.batch)
    if not 0 <= arguments.seed < 2**32:
        raise ConfigError(f"--seed must be from 0 to {2**32 - 1}, found {arguments.seed}")
    if arguments.threads is not None and arguments.threads < 1:
        raise ConfigError(f"--threads must be at least 1, found {arguments.threads}")
    if arguments.evaluate_every is not None and arguments.evaluate_every < 1:
        raise ConfigError(f"--evaluate-every must be at least 1, found {arguments.evaluate_every}")
    if recipe.needs_weights and arguments.weights is None and not arguments.resume:
        raise ConfigError(f"recipe {recipe.name} starts from trained weights; give them with --weights FILE")
    if recipe.test_set is not None and arguments.test_data is None:
        raise ConfigError(f"recipe {recipe.name} is tested on {recipe.test_set}; give its folder with --test-data DIR")
    if recipe.task != "reid" and arguments.test_data is not None:
        raise ConfigError(f"--test-data is for re-identification; recipe {recipe.name} is scored on its own data set")
    if arguments.weights is not None and not arguments.weights.is_file():
        raise ConfigError(f"expected a checkpoint at --weights {arguments.weights}, found no file")
    return recipe


def _train(recipe: Recipe, split: int, *, arguments: argparse.Namespace, processes: Processes) -> Run:
    """One run, of one random split where a data set has several."""
    # The first process may unpack the data set; the others then find it.
    if not processes.is_first:
        processes.wait()
    task = _open_task(recipe, split, arguments=arguments)
    if processes.is_first:
        task.check_test_images()
        processes.wait()
    folders = [_folder(recipe, number, task=task, arguments=arguments) for number in range(recipe.splits)]
    folder = folders[split]
    resumes = arguments.resume and (folder.is_begun or split == 0)
    folder.prepare(resumes=resumes)
    options = Options(
        seed=arguments.seed,
        weights=arguments.weights,
        resumes=resumes,
        compiles=arguments.compile,
        evaluate_every=arguments.evaluate_every,
    )
    session = Session(recipe, task, folder, processes=processes, options=options)
    if arguments.resume:
        session.check_resumed(folders)
    if resumes and recipe.splits > 1 and (found := folder.read_scores()) is not None:
        return Run(folder, found["scores"][found["reported"]])
    scores = session.run()
    if processes.is_first:
        name = _test_name(task, scores)
        print(f"{folder.path}: {_sentence(scores.figures)} on {name}{_published(recipe, test_set=name)}")
    return Run(folder, scores.figures)


def _open_task(recipe: Recipe, split: int, *, arguments: argparse.Namespace) -> Task:
    if recipe.task == "classification":
        return Classification(open_classification(recipe.data_set, arguments.data), recipe)
    if recipe.task == "attributes":
        return Attributes(open_attributes(recipe.data_set, arguments.data))
    data = _open_people(recipe, split, arguments=arguments)
    if arguments.test_data is None:
        return Reid(data, recipe, test=data)
    if recipe.test_set is None:
        return Reid(data, recipe, test=open_folder(arguments.test_data))
    return Reid(data, recipe, test=open_data(recipe.test_set, arguments.test_data))


def _open_people(recipe: Recipe, split: int, *, arguments: argparse.Namespace) -> ReidData:
    try:
        return open_data(recipe.data_set, arguments.data, split=split)
    except DataError as error:
        if arguments.data_set is not None:
            raise
        raise DataError(f"{error} To train on images of your own, add --data-set folder.") from error


def _folder(recipe: Recipe, split: int, *, task: Task, arguments: argparse.Namespace) -> RunFolder:
    own = "" if arguments.data_set is None else f"-on-{task.name}"
    path = arguments.output / f"{recipe.name.replace(':', '-')}{own}-seed{arguments.seed}"
    return RunFolder(path if recipe.splits == 1 else path / f"split{split}")


def _test_name(task: Task, scores: Scores) -> str:
    return task.name if scores.evidence is None else scores.evidence.data_set


def _sentence(figures: dict[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in figures.items())


def _published(recipe: Recipe, *, test_set: str) -> str:
    """What the recipe's source reports, where it was scored on the same data set."""
    figures = {name: value for name, value in asdict(recipe.expected).items() if isinstance(value, float)}
    return f"; published: {_sentence(figures)}" if figures and test_set == (recipe.test_set or recipe.data_set) else ""


def _report_splits(recipe: Recipe, runs: Sequence[Run]) -> None:
    """Print and write mean and standard deviation over the splits."""
    means, deviations = {}, {}
    for name in runs[0].figures:
        values = [run.figures[name] for run in runs]
        means[name], deviations[name] = mean(values), stdev(values)
        print(f"{recipe.name}: {name} {means[name]:.3f}, deviation {deviations[name]:.3f} over {len(runs)} splits")
    scores = {"mean": means, "deviation": deviations}
    RunFolder(runs[0].folder.path.parent).write_scores({"recipe": recipe.name, "reported": "mean", "scores": scores})


if __name__ == "__main__":
    if "WORLD_SIZE" not in os.environ:  # torchrun stops its processes itself, and one may be waiting for another
        signal.signal(signal.SIGTERM, raise_terminated)
    leave(run(main))
