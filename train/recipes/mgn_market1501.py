"""MGN on Market-1501: the main results and the ablations.

Source: Wang et al., ACM MM 2018, tables 2 and 5. A "branch" of table 5 is a part of MGN's descriptor, a "single" is a
network that has that branch alone.
Command: python train/run.py mgn_market1501 --data DIR --weights resnet50_imagenet.pth
         Table 2 and the branches of table 5 score the same network in other ways, so its checkpoint is enough:
         python train/evaluate.py runs/mgn_market1501-seed0/model.pth --data DIR --flip --rerank
         python train/evaluate.py runs/mgn_market1501-seed0/model.pth --data DIR --flip --parts global
Expected: rank-1 95.7, mAP 86.9 with single queries; each variant carries its own figures.
Differs: see `mgn_training.py`. The three networks of `singles` train side by side on the same batches; with the
sum of their losses, none influences the others. Merged queries are averages; the paper also allows for maxima. Public
code classifies the reduced global features beside the triplets (`reduced_softmax`), erases (`erasing`), averages losses
over branches (`mean_of_losses`), and trains with Adam; the variant `adam` has all of these, and an epoch that uses
every identity once.
"""

from train.recipes.mgn_training import MEANS_OF_SOFTMAX_AND_TRIPLET, SOFTMAX, SOFTMAX_AND_TRIPLET, mgn
from train.recipes.recipe import Augmentation, Batches, Evaluation, Expected, Losses, Optimiser, Recipe, Schedule

_MGN = mgn(
    "mgn_market1501",
    "market1501",
    expected=Expected(
        "MGN, table 2, single query; MGN, table 5, MGN", rank1=0.957, rank5=0.983, rank10=0.990, mean_ap=0.869
    ),
)

# The parts of the descriptor that each branch gives.
GLOBAL_BRANCH = Evaluation(flip=True, parts=("global",))
PART2_BRANCH = Evaluation(flip=True, parts=("part2_global", "part2_1", "part2_2"))
PART3_BRANCH = Evaluation(flip=True, parts=("part3_global", "part3_1", "part3_2", "part3_3"))


def _network(
    name: str,
    row: str,
    *,
    rank1: float,
    rank5: float,
    rank10: float,
    mean_ap: float,
    losses: Losses = SOFTMAX_AND_TRIPLET,
) -> Recipe:
    """A row of table 5 that is another network."""
    return _MGN.variant(
        f"mgn_market1501:{name}",
        architecture=f"mgn_{name}",
        losses=losses,
        expected=Expected(f"MGN, table 5, {row}", rank1=rank1, rank5=rank5, rank10=rank10, mean_ap=mean_ap),
    )


RECIPES = (
    _MGN,
    # Table 2: several query images, and re-ranking.
    _MGN.variant(
        "mgn_market1501:multiple_query",
        evaluation=Evaluation(flip=True, queries="average"),
        expected=Expected("MGN, table 2, multiple query", rank1=0.969, mean_ap=0.907),
    ),
    _MGN.variant(
        "mgn_market1501:rerank",
        evaluation=Evaluation(flip=True, rerank=True),
        expected=Expected("MGN, table 2, single query RK", rank1=0.966, mean_ap=0.942),
    ),
    _MGN.variant(
        "mgn_market1501:multiple_query_rerank",
        evaluation=Evaluation(flip=True, queries="average", rerank=True),
        expected=Expected("MGN, table 2, multiple query RK", rank1=0.971, mean_ap=0.959),
    ),
    # Table 5: other networks, other branches, other losses.
    _network("resnet50", "ResNet-50", rank1=0.875, rank5=0.949, rank10=0.967, mean_ap=0.714, losses=SOFTMAX),
    _network("resnet101", "ResNet-101", rank1=0.904, rank5=0.957, rank10=0.972, mean_ap=0.780, losses=SOFTMAX),
    _network("single_global", "ResNet-50+TP", rank1=0.887, rank5=0.960, rank10=0.972, mean_ap=0.750),
    _MGN.variant(
        "mgn_market1501:global_branch",
        evaluation=GLOBAL_BRANCH,
        expected=Expected("MGN, table 5, Global (Branch)", rank1=0.898, rank5=0.958, rank10=0.975, mean_ap=0.785),
    ),
    _network("single_part2", "Part-2 (Single)", rank1=0.926, rank5=0.971, rank10=0.980, mean_ap=0.802),
    _MGN.variant(
        "mgn_market1501:part2_branch",
        evaluation=PART2_BRANCH,
        expected=Expected("MGN, table 5, Part-2 (Branch)", rank1=0.944, rank5=0.979, rank10=0.988, mean_ap=0.839),
    ),
    _network("single_part3", "Part-3 (Single)", rank1=0.931, rank5=0.976, rank10=0.987, mean_ap=0.821),
    _MGN.variant(
        "mgn_market1501:part3_branch",
        evaluation=PART3_BRANCH,
        expected=Expected("MGN, table 5, Part-3 (Branch)", rank1=0.944, rank5=0.982, rank10=0.988, mean_ap=0.841),
    ),
    _network("singles", "G+P2+P3 (Single)", rank1=0.944, rank5=0.976, rank10=0.985, mean_ap=0.852),
    _network("without_part3", "MGN w/o Part-3", rank1=0.944, rank5=0.979, rank10=0.987, mean_ap=0.857),
    _network("with_part4", "MGN w/ Part-4", rank1=0.951, rank5=0.983, rank10=0.989, mean_ap=0.861),
    _network("part2_4", "MGN (Part2+4)", rank1=0.948, rank5=0.982, rank10=0.989, mean_ap=0.856),
    _network("part3_4", "MGN (Part3+4)", rank1=0.950, rank5=0.981, rank10=0.988, mean_ap=0.861),
    _MGN.variant(
        "mgn_market1501:without_triplet",
        architecture="mgn_reduced_softmax",
        losses=SOFTMAX,
        expected=Expected("MGN, table 5, MGN w/o TP", rank1=0.953, rank5=0.979, rank10=0.987, mean_ap=0.862),
    ),
    # Not in the paper: the settings of public code.
    _MGN.variant(
        "mgn_market1501:reduced_softmax",
        architecture="mgn_reduced_softmax",
        expected=Expected("not in the paper"),
    ),
    _MGN.variant(
        "mgn_market1501:erasing",
        augmentation=Augmentation(flip=0.5, erase=0.5),
        expected=Expected("not in the paper"),
    ),
    _MGN.variant(
        "mgn_market1501:mean_of_losses",
        losses=MEANS_OF_SOFTMAX_AND_TRIPLET,
        expected=Expected("not in the paper"),
    ),
    _MGN.variant(
        "mgn_market1501:adam",
        architecture="mgn_reduced_softmax",
        losses=MEANS_OF_SOFTMAX_AND_TRIPLET,
        batches=Batches(size=64, images_per_identity=4, epoch="identities"),
        augmentation=Augmentation(flip=0.5, erase=0.5),
        optimiser=Optimiser("adam", 2e-4),
        schedule=Schedule(epochs=160, shape="steps", steps=(60, 120)),
        expected=Expected("public code"),
    ),
)
