"""The best that the OSNet paper knows: cosine schedule, triplets, and two networks that teach each other, both used.

Source: Zhou et al., ICCV 2019, supplement B, table 12f (means over three seeds, deviations 0.0 to 0.3).
Command: python train/run.py best_osnet_market1501 --data DIR --weights osnet_x1_0_imagenet.pth
         One run writes and scores both networks and the ensemble; `first` and `second` differ in what they report.
Expected: rank-1 95.7, mAP 88.7 on Market-1501; 89.0, 79.5 on DukeMTMC-reID; the descriptors of the two networks stand
side by side. The other data sets are not in the paper.
Differs: the triplet's margin 0.3 and the 250 epochs are those of the public code, its weight 0.5 is the paper's.
"""

from train.recipe import Evaluation, Expected, Recipe
from train.recipes.osnet_training import IDENTITIES, MUTUAL_AND_TRIPLET, by_cosine


def _best(name: str, data_set: str, *, expected: Expected) -> Recipe:
    return by_cosine(name, data_set, expected=expected).variant(
        name,
        batches=IDENTITIES,
        losses=MUTUAL_AND_TRIPLET,
        networks=2,
        evaluation=Evaluation(networks="ensemble"),
    )


_MARKET = _best(
    "best_osnet_market1501",
    "market1501",
    expected=Expected("OSNet, table 12f, + DML model-1+2", rank1=0.957, mean_ap=0.887),
)

_DUKE = _best(
    "best_osnet_dukemtmcreid",
    "dukemtmcreid",
    expected=Expected("OSNet, table 12f, + DML model-1+2", rank1=0.890, mean_ap=0.795),
)

RECIPES = (
    _MARKET,
    _MARKET.variant(
        "best_osnet_market1501:first",
        evaluation=Evaluation(networks="first"),
        expected=Expected("OSNet, table 12f, + DML model-1", rank1=0.957, mean_ap=0.881),
    ),
    _MARKET.variant(
        "best_osnet_market1501:second",
        evaluation=Evaluation(networks="second"),
        expected=Expected("OSNet, table 12f, + DML model-2", rank1=0.955, mean_ap=0.880),
    ),
    _DUKE,
    _DUKE.variant(
        "best_osnet_dukemtmcreid:first",
        evaluation=Evaluation(networks="first"),
        expected=Expected("OSNet, table 12f, + DML model-1", rank1=0.891, mean_ap=0.784),
    ),
    _DUKE.variant(
        "best_osnet_dukemtmcreid:second",
        evaluation=Evaluation(networks="second"),
        expected=Expected("OSNet, table 12f, + DML model-2", rank1=0.896, mean_ap=0.785),
    ),
    _best("best_osnet_cuhk03", "cuhk03_np_detected", expected=Expected("not in the paper")),
    _best("best_osnet_msmt17", "msmt17_train", expected=Expected("not in the paper")),
)
