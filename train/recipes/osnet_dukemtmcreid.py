"""OSNet on DukeMTMC-reID: the main results and the training tricks.

Source: Zhou et al., ICCV 2019, table 3, and supplement B, table 12 (where the figures are means over three seeds, with
deviations of 0.0 to 0.8). Its table 12f is in `best_osnet.py`.
Command: python train/run.py osnet_dukemtmcreid --data DIR --weights osnet_x1_0_imagenet.pth
         python train/run.py osnet_dukemtmcreid:scratch --data DIR
Expected: rank-1 88.6, mAP 73.5 fine-tuned; 84.7, 68.6 from scratch; each variant carries its own figures.
Differs: see `osnet_training.py` and `osnet_market1501.py`.
"""

from train.recipes.osnet_training import (
    by_cosine,
    fine_tuned,
    from_scratch,
    lightweight,
    with_entropy,
    with_larger_input,
    with_mutual_learning,
    with_own_normalisation,
    with_triplets,
)
from train.recipes.recipe import Expected

_SCRATCH = from_scratch(
    "osnet_dukemtmcreid:scratch",
    "dukemtmcreid",
    expected=Expected("OSNet, table 3, OSNet from scratch", rank1=0.847, mean_ap=0.686),
)

_COSINE = by_cosine("osnet_dukemtmcreid:cosine", "dukemtmcreid", rank1=0.886, mean_ap=0.766)

RECIPES = (
    fine_tuned(
        "osnet_dukemtmcreid",
        "dukemtmcreid",
        expected=Expected("OSNet, table 3, OSNet", rank1=0.886, mean_ap=0.735),
    ),
    _SCRATCH,
    *lightweight(_SCRATCH, shufflenet=(0.716, 0.499), mobilenet=(0.752, 0.558)),
    # Supplement B: what else helps, beside the baseline `cosine`.
    _COSINE,
    with_own_normalisation(_COSINE, rank1=0.885, mean_ap=0.765),
    with_larger_input(_COSINE, rank1=0.885, mean_ap=0.768),
    with_entropy(_COSINE, 0.01, rank1=0.885, mean_ap=0.765),
    with_entropy(_COSINE, 0.05, rank1=0.887, mean_ap=0.766),
    with_entropy(_COSINE, 0.1, rank1=0.884, mean_ap=0.767),
    with_entropy(_COSINE, 0.5, rank1=0.883, mean_ap=0.767),
    with_mutual_learning(_COSINE, "first", rank1=0.884, mean_ap=0.773),
    with_mutual_learning(_COSINE, "second", rank1=0.885, mean_ap=0.773),
    with_mutual_learning(_COSINE, "ensemble", rank1=0.887, mean_ap=0.780),
    with_triplets(_COSINE, 0.1, rank1=0.883, mean_ap=0.769),
    with_triplets(_COSINE, 0.5, rank1=0.886, mean_ap=0.773),
    with_triplets(_COSINE, 1.0, rank1=0.884, mean_ap=0.768),
)
