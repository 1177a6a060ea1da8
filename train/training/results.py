"""What a finished run leaves: each network as a checkpoint with its manifest, and the scores of all."""

from torch import nn

from edge_runtime.contract.errors import DataError, TrainingError
from edge_runtime.contract.manifest import Terms, write_manifest
from train.machine.processes import Processes
from train.models.checkpoint import checkpoint_manifest, save
from train.recipes.recipe import Recipe
from train.training.loop import Trainer
from train.training.run_folder import RunFolder
from train.training.tasks import Networks, Task, TaskScores

_ORDINALS = ("first", "second", "third", "fourth")


def choose_scored(networks: Networks, recipe: Recipe) -> Networks:
    """The networks that the recipe scores as one."""
    choice = recipe.evaluation.networks
    return networks if choice == "ensemble" else [networks[_ORDINALS.index(choice)]]


def write_results(
    trainer: Trainer, task: Task, *, folder: RunFolder, recipe: Recipe, processes: Processes
) -> TaskScores:
    """Write and score each network, and all together. Returns the scores that the recipe reports.

    Raises:
        TrainingError: the networks cannot be scored; their checkpoints and manifests are written all the same.
    """
    if processes.is_first:
        for number, network in enumerate(trainer.networks):
            _write_weights(network, folder, number=number)
    try:
        scored = _score_all(trainer, task, processes=processes)
    except DataError as error:
        if processes.is_first:
            _write_manifests(trainer, task, folder=folder, recipe=recipe, scored={})
        raise TrainingError(
            f"training has ended and {folder.model_path(0)} is written, but cannot be scored: {error}; "
            "look at curves.png, and lower the learning rate or let triplets begin later"
        ) from error
    reported = recipe.evaluation.networks
    if processes.is_first:
        _write_manifests(trainer, task, folder=folder, recipe=recipe, scored=scored)
        figures = {name: scores.figures for name, scores in scored.items()}
        folder.write_scores({"recipe": recipe.name, "reported": reported, "scores": figures})
    return scored[reported]


def _score_all(trainer: Trainer, task: Task, *, processes: Processes) -> dict[str, TaskScores]:
    networks, input_ = trainer.networks, trainer.input_
    scored = {
        _ORDINALS[number]: task.score([network], input_, processes=processes) for number, network in enumerate(networks)
    }
    if len(networks) > 1:
        scored["ensemble"] = task.score(networks, input_, processes=processes)
    return scored


def _write_weights(network: nn.Module, folder: RunFolder, *, number: int) -> None:
    state = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
    save({"state_dict": state}, folder.model_path(number))


def _write_manifests(
    trainer: Trainer, task: Task, *, folder: RunFolder, recipe: Recipe, scored: dict[str, TaskScores]
) -> None:
    """One beside each checkpoint; without evidence for a network that is not in `scored`."""
    for number, network in enumerate(trainer.networks):
        path = folder.model_path(number)
        manifest = checkpoint_manifest(
            path,
            network,
            architecture=recipe.architecture,
            data_set=task.name,
            recipe=recipe.name,
            input_=trainer.input_,
            terms=Terms(weights=f"trained on {task.name}: {task.terms}", training_data=task.terms),
        )
        evidence = scored.get(_ORDINALS[number], TaskScores()).evidence
        write_manifest(manifest.model_copy(update={"evidence": evidence, "trained_on": task.trained_on}), path)
