"""OSNet-IBN across domains: trained on one data set, tested on another that it has never seen.

Source: Zhou et al., ICCV 2019, supplement A, table 11.
Command: python train/run.py osnet_ibn_market1501_to_dukemtmcreid --data MARKET --test-data DUKE
         and --weights osnet_ibn_x1_0_imagenet.pth
Expected: each variant carries rank-1, rank-5, rank-10 and mAP of its row.
Differs: see `osnet_training.py`. The public code tests these networks with the Euclidean distance of raw features;
its figures are those of the paper.
"""

from train.recipes.osnet_training import fine_tuned
from train.recipes.recipe import Augmentation, Expected, Recipe


def _across(source: str, target: str, *, expected: Expected) -> Recipe:
    """All images of MSMT17 train, as in the paper; colour jitter replaces erasing, which harms other domains."""
    name = f"osnet_ibn_{source}_to_{target}"
    return fine_tuned(name, "msmt17_all" if source == "msmt17" else source, expected=expected).variant(
        name, architecture="osnet_ibn_x1_0", augmentation=Augmentation(flip=0.5, colour=1.0), test_set=target
    )


RECIPES = (
    _across(
        "market1501",
        "dukemtmcreid",
        expected=Expected("OSNet, table 11, Market1501 to Duke", rank1=0.485, rank5=0.623, rank10=0.674, mean_ap=0.267),
    ),
    _across(
        "dukemtmcreid",
        "market1501",
        expected=Expected("OSNet, table 11, Duke to Market1501", rank1=0.577, rank5=0.737, rank10=0.800, mean_ap=0.261),
    ),
    _across(
        "msmt17",
        "dukemtmcreid",
        expected=Expected("OSNet, table 11, MSMT17 to Duke", rank1=0.674, rank5=0.800, rank10=0.833, mean_ap=0.456),
    ),
    _across(
        "msmt17",
        "market1501",
        expected=Expected(
            "OSNet, table 11, MSMT17 to Market1501", rank1=0.665, rank5=0.815, rank10=0.868, mean_ap=0.372
        ),
    ),
)
