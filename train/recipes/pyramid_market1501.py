"""Pyramid on Market-1501: the main result and the ablations.

Source: Zheng et al., CVPR 2019, tables 1 and 4.
Command: python train/run.py pyramid_market1501 --data DIR --weights resnet101_imagenet.pth
Expected: rank-1 95.7, mAP 88.2; each variant carries its own figures. `100000` has only the six finest windows,
`000001` only the whole image.
Differs: see `pyramid_training.py`. `public_code` has triplets on every branch, the code's rule of when they train, a
fifth halving of the rates, and the Euclidean distance of raw features.
"""

from train.recipe import Dynamic, Evaluation, Expected, Optimiser, Schedule
from train.recipes.pyramid_training import TRIPLET_ON_EACH, pyramid

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

RECIPES = (
    _PYRAMID,
    _PYRAMID.variant(
        "pyramid_market1501:000001",
        architecture="pyramid_000001",
        expected=Expected("Pyramid, table 4, Pyramid-000001", rank1=0.928, rank5=0.973, rank10=0.982, mean_ap=0.821),
    ),
    _PYRAMID.variant(
        "pyramid_market1501:100000",
        architecture="pyramid_100000",
        expected=Expected("Pyramid, table 4, Pyramid-100000", rank1=0.939, rank5=0.976, rank10=0.985, mean_ap=0.849),
    ),
    _PYRAMID.variant(
        "pyramid_market1501:001111",
        architecture="pyramid_001111",
        expected=Expected("Pyramid, table 4, Pyramid-001111", rank1=0.948, rank5=0.984, rank10=0.988, mean_ap=0.867),
    ),
    _PYRAMID.variant(
        "pyramid_market1501:110011",
        architecture="pyramid_110011",
        expected=Expected("Pyramid, table 4, Pyramid-110011", rank1=0.950, rank5=0.981, rank10=0.988, mean_ap=0.872),
    ),
    _PYRAMID.variant(
        "pyramid_market1501:111100",
        architecture="pyramid_111100",
        expected=Expected("Pyramid, table 4, Pyramid-111100", rank1=0.948, rank5=0.983, rank10=0.989, mean_ap=0.875),
    ),
    _PYRAMID.variant(
        "pyramid_market1501:feature_64",
        architecture="pyramid_f64",
        expected=Expected("Pyramid, table 4, Feature-64", rank1=0.945, rank5=0.978, rank10=0.986, mean_ap=0.869),
    ),
    _PYRAMID.variant(
        "pyramid_market1501:feature_256",
        architecture="pyramid_f256",
        expected=Expected("Pyramid, table 4, Feature-256", rank1=0.953, rank5=0.982, rank10=0.989, mean_ap=0.878),
    ),
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
