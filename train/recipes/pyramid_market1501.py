"""Pyramid on Market-1501: the main result and the ablations.

Source: Zheng et al., CVPR 2019, tables 1 and 4.
Command: python train/run.py pyramid_market1501 --data DIR --weights resnet101_imagenet.pth
Expected: rank-1 95.7, mAP 88.2; each variant carries its own figures. `100000` has only the six finest windows,
`000001` only the whole image.
Differs: see `pyramid_training.py`. `public_code` has triplets on every branch, the code's rule for
the steps at which they are trained, a fifth halving of the rates, and the Euclidean distance of raw features.
"""

from train.recipes.pyramid_training import TRIPLET_ON_EACH, pyramid
from train.recipes.recipe import Dynamic, Evaluation, Expected, Optimiser, Recipe, Schedule

_PYRAMID = pyramid(
    "pyramid_market1501",
    "market1501",
    expected=Expected(
        "Pyramid, table 1, Pyramid-ours; Pyramid, table 4, Pyramid-ours",
        rank1=0.957,
        rank5=0.984,
        rank10=0.990,
        mean_ap=0.882,
    ),
)


def _network(
    name: str, architecture: str, *, row: str, rank1: float, rank5: float, rank10: float, mean_ap: float
) -> Recipe:
    """A row of table 4 that is another network."""
    return _PYRAMID.variant(
        f"pyramid_market1501:{name}",
        architecture=architecture,
        expected=Expected(f"Pyramid, table 4, {row}", rank1=rank1, rank5=rank5, rank10=rank10, mean_ap=mean_ap),
    )


RECIPES = (
    _PYRAMID,
    _network("000001", "pyramid_000001", row="Pyramid-000001", rank1=0.928, rank5=0.973, rank10=0.982, mean_ap=0.821),
    _network("100000", "pyramid_100000", row="Pyramid-100000", rank1=0.939, rank5=0.976, rank10=0.985, mean_ap=0.849),
    _network("001111", "pyramid_001111", row="Pyramid-001111", rank1=0.948, rank5=0.984, rank10=0.988, mean_ap=0.867),
    _network("110011", "pyramid_110011", row="Pyramid-110011", rank1=0.950, rank5=0.981, rank10=0.988, mean_ap=0.872),
    _network("111100", "pyramid_111100", row="Pyramid-111100", rank1=0.948, rank5=0.983, rank10=0.989, mean_ap=0.875),
    _network("feature_64", "pyramid_f64", row="Feature-64", rank1=0.945, rank5=0.978, rank10=0.986, mean_ap=0.869),
    _network("feature_256", "pyramid_f256", row="Feature-256", rank1=0.953, rank5=0.982, rank10=0.989, mean_ap=0.878),
    _PYRAMID.variant(
        "pyramid_market1501:no_triplet",
        dynamic=Dynamic(rule="alternate"),
        expected=Expected("Pyramid, table 4, No triplet loss", rank1=0.938, rank5=0.975, rank10=0.984, mean_ap=0.865),
    ),
    # Not in the paper.
    _PYRAMID.variant(
        "pyramid_market1501:r50",
        architecture="pyramid_r50",
        expected=Expected("not in the paper"),
    ),
    _PYRAMID.variant(
        "pyramid_market1501:one_rate",
        optimiser=Optimiser("sgd", 0.01),
        expected=Expected("not in the paper"),
    ),
    _PYRAMID.variant(
        "pyramid_market1501:triplet_on_each",
        losses=TRIPLET_ON_EACH,
        expected=Expected("not in the paper"),
    ),
    _PYRAMID.variant(
        "pyramid_market1501:public_code",
        losses=TRIPLET_ON_EACH,
        schedule=Schedule(epochs=120, shape="steps", steps=(60, 70, 80, 90, 100), factor=0.5),
        dynamic=Dynamic(rule="public_code"),
        evaluation=Evaluation(distance="euclidean"),
        expected=Expected("public code"),
    ),
)
