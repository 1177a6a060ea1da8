"""Train a network by a recipe: recipe -> run folder with checkpoint, manifest, scores, log and curves."""

import argparse
import os
import signal
import sys
from pathlib import Path

from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.script import ScriptParser, raise_terminated, run
from train.recipes.catalog import find_recipe
from train.recipes.listing import list_recipes
from train.recipes.overrides import on_data_set, with_batch, with_epochs
from train.recipes.recipe import Recipe

_EXAMPLES = """\
examples:
  python train/run.py --list
  python train/run.py --list cuhk03                                                            (some of them)
  python train/run.py osnet_cuhk03:scratch --data /data/cuhk03_np_detected
  python train/run.py osnet_cuhk03 --data /data/cuhk03_np_detected --weights osnet_x1_0_imagenet.pth
  python train/run.py osnet_cuhk03:scratch_x0_25 --data /data/cuhk03_np_detected --epochs 5    (a short try)
  python train/run.py osnet_market1501:scratch --data /data/my_people --data-set folder        (your own images)
  python train/run.py distil_osnet:x0_25 --teacher model.xml --data crops --test-data /data/market1501   (no labels)
  torchrun --nproc-per-node 4 train/run.py osnet_msmt17:scratch --data /data/MSMT17            (four GPUs)

your own images: a folder for each person, or the layout of Market-1501. Small sets train too: batches shrink to fit.
several data sets as one (mix4): --data is the folder that holds a subfolder for each, named as the data set.

The run folder then holds model.pth with its manifest model.pth.json, scores.json, settings.json, log.jsonl, curves.png,
TensorBoard's files in events/, and resume.pth. A stopped run continues with --resume and gives the same result as one
that was never stopped (on the CPU: to the bit). GPUs share the recipe's batch, so their number does not change the
result.
"""


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    arguments = _parse(argv)
    if arguments.list:
        print(list_recipes(arguments.recipe or ""))
        return 0
    recipe = _change_recipe(find_recipe(arguments.recipe), arguments)
    _check(recipe, arguments)
    # Imported here, because listing recipes neither needs PyTorch nor should wait for it.
    from train.training.runs import TrainingRequest, train_recipe
    from train.training.session import Options

    options = Options(
        seed=arguments.seed,
        weights=arguments.weights,
        resumes=arguments.resume,
        compiles=arguments.compile,
        evaluate_every=arguments.evaluate_every,
        precision=arguments.precision,
    )
    request = TrainingRequest(
        data=arguments.data,
        output=arguments.output,
        device=arguments.device,
        options=options,
        test_data=arguments.test_data,
        teachers=arguments.teacher,
        is_other_data=arguments.data_set is not None,
        threads=arguments.threads,
    )
    train_recipe(recipe, request)
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="--list",
        next_step="train/README.md, the researcher's manual",
        examples=_EXAMPLES,
    )
    parser.add_argument(
        "recipe", nargs="?", help="name of a recipe, as --list shows it; with --list: words in its row, quoted"
    )
    parser.add_argument(
        "--list", action="store_true", help="show all recipes, what their papers report and what we measured"
    )
    _add_data(parser)
    _add_course(parser)
    _add_changes(parser)
    _add_machine(parser)
    arguments = parser.parse_args(argv)
    if not arguments.list and (arguments.recipe is None or arguments.data is None):
        parser.error("expected a recipe and --data DIR, or --list")
    return arguments


def _add_data(parser: ScriptParser) -> None:
    data = parser.add_argument_group("data")
    data.add_argument(
        "--data",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="folder of the data set, in its published layout; to distil: folders of crops and of data sets",
    )
    data.add_argument(
        "--teacher",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="to distil: checkpoint, ONNX file or engine with its manifest, or a network of Open Model Zoo (.xml); "
        "may be given several times",
    )
    data.add_argument(
        "--data-set", metavar="NAME", help="train on another data set than the recipe's; `folder`: any folder of people"
    )
    data.add_argument("--test-data", type=Path, metavar="DIR", help="score on another data set (another domain)")


def _add_course(parser: ScriptParser) -> None:
    course = parser.add_argument_group("start and end")
    course.add_argument("--weights", type=Path, metavar="FILE", help="checkpoint to start from, without its classifier")
    course.add_argument(
        "--output", type=Path, default=Path("runs"), metavar="DIR", help="folder for run folders (default: %(default)s)"
    )
    course.add_argument(
        "--resume",
        action="store_true",
        help="continue a run that was stopped; random splits that have not begun need --weights again",
    )
    course.add_argument(
        "--evaluate-every", type=int, metavar="N", help="also score after every N epochs, into log and curves"
    )


def _add_changes(parser: ScriptParser) -> None:
    changes = parser.add_argument_group("changes of the recipe")
    changes.add_argument(
        "--epochs", type=int, metavar="N", help="a shorter or longer run; the schedule changes in proportion"
    )
    changes.add_argument(
        "--batch", type=int, metavar="N", help="images in a batch; the learning rate does not change with it"
    )
    changes.add_argument(
        "--seed", type=int, default=0, help="for weights, batches and augmentation (default: %(default)s)"
    )


def _add_machine(parser: ScriptParser) -> None:
    machine = parser.add_argument_group("machine")
    machine.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: the GPU if there is one"
    )
    machine.add_argument(
        "--precision",
        choices=("auto", "bfloat16", "float32"),
        default="auto",
        help="of the forward pass; auto: bfloat16 where the device computes in it, else float32; the papers used "
        "float32 (default: %(default)s)",
    )
    machine.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: PyTorch decides)")
    machine.add_argument(
        "--compile",
        action="store_true",
        help="torch.compile: a minute to start, then faster steps; not on several GPUs",
    )


def _change_recipe(recipe: Recipe, arguments: argparse.Namespace) -> Recipe:
    """The recipe with the user's data set, epochs and batch size."""
    if arguments.data_set is not None:
        recipe = on_data_set(recipe, arguments.data_set)
    if arguments.epochs is not None:
        recipe = with_epochs(recipe, arguments.epochs)
    if arguments.batch is not None:
        recipe = with_batch(recipe, arguments.batch)
    return recipe


def _check(recipe: Recipe, arguments: argparse.Namespace) -> None:
    """Refuse options that are out of range or do not fit the recipe.

    Raises:
        ConfigError: the first such option.
    """
    if not 0 <= arguments.seed < 2**32:
        raise ConfigError(f"--seed must be from 0 to {2**32 - 1}, found {arguments.seed}")
    for name in ("threads", "evaluate_every"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise ConfigError(f"--{name.replace('_', '-')} must be at least 1, found {value}")
    if recipe.needs_weights and arguments.weights is None and not arguments.resume:
        raise ConfigError(f"recipe {recipe.name} starts from trained weights; give them with --weights FILE")
    if recipe.test_set is not None and arguments.test_data is None:
        raise ConfigError(f"recipe {recipe.name} is tested on {recipe.test_set}; give its folder with --test-data DIR")
    if recipe.task in ("classification", "attributes") and arguments.test_data is not None:
        raise ConfigError(f"--test-data is for re-identification; recipe {recipe.name} is scored on its own data set")
    if arguments.weights is not None and not arguments.weights.is_file():
        raise ConfigError(f"expected a checkpoint at --weights {arguments.weights}, found no file")
    _check_teachers(recipe, arguments)


def _check_teachers(recipe: Recipe, arguments: argparse.Namespace) -> None:
    """Refuse options of distillation elsewhere, and distillation without what it needs."""
    if recipe.distillation is None:
        if arguments.teacher:
            raise ConfigError(f"--teacher is for distillation, and {recipe.name} trains on labels; leave it out")
        if len(arguments.data) > 1:
            raise ConfigError(f"{recipe.name} trains on one data set, found {len(arguments.data)} folders at --data")
        return
    if not arguments.teacher:
        raise ConfigError(f"{recipe.name} learns from another network; give it with --teacher FILE")
    if arguments.test_data is None:
        raise ConfigError(f"{recipe.name} trains without labels; give a data set to score on with --test-data DIR")
    if arguments.data_set is not None:
        raise ConfigError(f"{recipe.name} takes folders of crops and finds data sets itself; leave --data-set out")


def command() -> None:
    """The command `reid-train`: ends the process with the exit code."""
    if "WORLD_SIZE" not in os.environ:
        signal.signal(signal.SIGTERM, raise_terminated)
        sys.exit(run(main))
    # torchrun stops its processes itself, and one may be waiting for another.
    from train.machine.processes import leave

    leave(run(main))


if __name__ == "__main__":
    command()
