"""All runs of a recipe: one, or one per random split of a small data set, whose scores are then averaged."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean, stdev

import torch

from edge_runtime.contract.errors import ConfigError, DataError
from train.datasets.catalog import ReidData, open_attributes, open_classification, open_data, open_folder
from train.machine.mixed_precision import choose_precision, prefer_speed
from train.machine.processes import Processes, join_processes
from train.recipes.recipe import Recipe
from train.training.distillation_task import open_distillation
from train.training.run_folder import RunFolder
from train.training.session import Options, Session
from train.training.tasks import Attributes, Classification, Reid, Task, TaskScores


@dataclass(frozen=True)
class TrainingRequest:
    """What the user asks for beside the recipe.

    data: folder of the data set; to distil, folders of crops and of data sets. teachers: files, to distil.
    is_other_data: whether it is another data set than the recipe names. output: where run folders go. device: auto, cpu
    or cuda. options: of every run.
    """

    data: Sequence[Path]
    output: Path
    device: str
    options: Options
    test_data: Path | None = None
    teachers: Sequence[Path] = ()
    is_other_data: bool = False
    threads: int | None = None


@dataclass(frozen=True)
class FinishedRun:
    """A finished run and the figures it reports."""

    folder: RunFolder
    figures: dict[str, float]


def train_recipe(recipe: Recipe, request: TrainingRequest) -> None:
    """Train, score, and print the scores.

    Raises:
        ReidError: the options, the data or the weights are at fault, or training failed.
    """
    if request.threads is not None:
        torch.set_num_threads(request.threads)
    with join_processes(request.device) as processes:
        if request.options.compiles and processes.count > 1 and processes.device.type == "cuda":
            # Batch norms over all processes cut the graph into a hundred pieces, more than PyTorch compiles.
            raise ConfigError("--compile is for one GPU, found several processes; leave --compile out")
        logging.basicConfig(level=logging.INFO if processes.is_first else logging.ERROR, format="%(message)s")
        prefer_speed(processes.device, precision=choose_precision(processes.device, request.options.precision))
        runs = [_train_split(recipe, split, request=request, processes=processes) for split in range(recipe.splits)]
        if processes.is_first and recipe.splits > 1:
            _report_splits(recipe, runs)


def _train_split(recipe: Recipe, split: int, *, request: TrainingRequest, processes: Processes) -> FinishedRun:
    """One run, on one random split if the data set has several."""
    # The first process may unpack the data set; the others then find it.
    if not processes.is_first:
        processes.wait()
    recipe, task = _open_task(recipe, split, request=request)
    if processes.is_first:
        task.check_test_images()
        processes.wait()
    folders = [_folder(recipe, number, task=task, request=request) for number in range(recipe.splits)]
    folder = folders[split]
    resumes = request.options.resumes and (folder.is_begun or split == 0)
    folder.prepare(resumes=resumes)
    session = Session(
        recipe, task, folder=folder, processes=processes, options=replace(request.options, resumes=resumes)
    )
    if request.options.resumes:
        session.check_resumed(folders)
    if resumes and recipe.splits > 1 and (found := folder.read_scores()) is not None:
        return FinishedRun(folder, found["scores"][found["reported"]])
    scores = session.run()
    if processes.is_first:
        name = _test_name(task, scores)
        print(f"{folder.path}: {_sentence(scores.figures)} on {name}{_published(recipe, test_set=name)}")
    return FinishedRun(folder, scores.figures)


def _open_task(recipe: Recipe, split: int, *, request: TrainingRequest) -> tuple[Recipe, Task]:
    """The task, and the recipe with the digests of teachers and crops if it distils."""
    if recipe.distillation is None:
        return recipe, _open_labelled(recipe, split, request=request)
    assert request.test_data is not None  # the command refuses distillation without it
    return open_distillation(
        recipe,
        crops=request.data,
        teachers=request.teachers,
        test=request.test_data,
        cache=request.output / "teachers",
    )


def _open_labelled(recipe: Recipe, split: int, *, request: TrainingRequest) -> Task:
    if recipe.task == "classification":
        return Classification(open_classification(recipe.data_set, request.data[0]), recipe)
    if recipe.task == "attributes":
        return Attributes(open_attributes(recipe.data_set, request.data[0]))
    data = _open_people(recipe, split, request=request)
    if request.test_data is None:
        return Reid(data, recipe, test=data)
    if recipe.test_set is None:
        return Reid(data, recipe, test=open_folder(request.test_data))
    return Reid(data, recipe, test=open_data(recipe.test_set, request.test_data))


def _open_people(recipe: Recipe, split: int, *, request: TrainingRequest) -> ReidData:
    try:
        return open_data(recipe.data_set, request.data[0], split=split)
    except DataError as error:
        if request.is_other_data:
            raise
        raise DataError(f"{error} To train on images of your own, add --data-set folder.") from error


def _folder(recipe: Recipe, split: int, *, task: Task, request: TrainingRequest) -> RunFolder:
    own = f"-on-{task.name}" if request.is_other_data else ""
    path = request.output / f"{recipe.name.replace(':', '-')}{own}-seed{request.options.seed}"
    return RunFolder(path if recipe.splits == 1 else path / f"split{split}")


def _test_name(task: Task, scores: TaskScores) -> str:
    return task.name if scores.evidence is None else scores.evidence.data_set


def _sentence(figures: dict[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in figures.items())


def _published(recipe: Recipe, *, test_set: str) -> str:
    """The figures that the recipe's source reports, if it scored on the same data set."""
    figures = {name: value for name, value in asdict(recipe.expected).items() if isinstance(value, float)}
    return f"; published: {_sentence(figures)}" if figures and test_set == (recipe.test_set or recipe.data_set) else ""


def _report_splits(recipe: Recipe, runs: Sequence[FinishedRun]) -> None:
    """Print and write mean and standard deviation over the splits."""
    means, deviations = {}, {}
    for name in runs[0].figures:
        values = [run.figures[name] for run in runs]
        means[name], deviations[name] = mean(values), stdev(values)
        print(f"{recipe.name}: {name} {means[name]:.3f}, deviation {deviations[name]:.3f} over {len(runs)} splits")
    scores = {"mean": means, "deviation": deviations}
    RunFolder(runs[0].folder.path.parent).write_scores({"recipe": recipe.name, "reported": "mean", "scores": scores})
