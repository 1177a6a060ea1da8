"""OSNet on DukeMTMC-reID: the main results and the training tricks.

Source: Zhou et al., ICCV 2019, table 3, and supplement B, table 12 (where the figures are means over three seeds, with
deviations of 0.0 to 0.8). Its table 12f is in `best_osnet.py`.
Command: python train/run.py osnet_dukemtmcreid --data DIR --weights osnet_x1_0_imagenet.pth
         python train/run.py osnet_dukemtmcreid:scratch --data DIR
Expected: rank-1 88.6, mAP 73.5 fine-tuned; 84.7, 68.6 from scratch; each variant carries its own figures.
Differs: see `osnet_training.py` and `osnet_market1501.py`.
"""

from train.recipe import Evaluation, Expected, Losses
from train.recipes.osnet_training import IDENTITIES, MUTUAL, by_cosine, fine_tuned, from_scratch

_COSINE = by_cosine(
    "osnet_dukemtmcreid:cosine",
    "dukemtmcreid",
    expected=Expected(
        "OSNet, table 12a, ImageNet; "
        "OSNet, table 12b, 256x128; "
        "OSNet, table 12c, weight 0; "
        "OSNet, table 12d, w/o DML; "
        "OSNet, table 12e, weight 0; "
        "OSNet, table 12f, w/o DML",
        rank1=0.886,
        mean_ap=0.766,
    ),
)

RECIPES = (
    fine_tuned(
        "osnet_dukemtmcreid",
        "dukemtmcreid",
        expected=Expected("OSNet, table 3, OSNet", rank1=0.886, mean_ap=0.735),
    ),
    from_scratch(
        "osnet_dukemtmcreid:scratch",
        "dukemtmcreid",
        expected=Expected("OSNet, table 3, OSNet from scratch", rank1=0.847, mean_ap=0.686),
    ),
    # Supplement B: what else helps, beside the baseline `cosine`.
    _COSINE,
    _COSINE.variant(
        "osnet_dukemtmcreid:cosine_own_normalisation",
        normalisation="data_set",
        expected=Expected("OSNet, table 12a, re-ID data set", rank1=0.885, mean_ap=0.765),
    ),
    _COSINE.variant(
        "osnet_dukemtmcreid:cosine_320x160",
        height_px=320,
        width_px=160,
        expected=Expected("OSNet, table 12b, 320x160", rank1=0.885, mean_ap=0.768),
    ),
    _COSINE.variant(
        "osnet_dukemtmcreid:cosine_entropy_0_01",
        losses=Losses(entropy_weight=0.01),
        expected=Expected("OSNet, table 12c, weight 0.01", rank1=0.885, mean_ap=0.765),
    ),
    _COSINE.variant(
        "osnet_dukemtmcreid:cosine_entropy_0_05",
        losses=Losses(entropy_weight=0.05),
        expected=Expected("OSNet, table 12c, weight 0.05", rank1=0.887, mean_ap=0.766),
    ),
    _COSINE.variant(
        "osnet_dukemtmcreid:cosine_entropy_0_1",
        losses=Losses(entropy_weight=0.1),
        expected=Expected("OSNet, table 12c, weight 0.1", rank1=0.884, mean_ap=0.767),
    ),
    _COSINE.variant(
        "osnet_dukemtmcreid:cosine_entropy_0_5",
        losses=Losses(entropy_weight=0.5),
        expected=Expected("OSNet, table 12c, weight 0.5", rank1=0.883, mean_ap=0.767),
    ),
    _COSINE.variant(
        "osnet_dukemtmcreid:cosine_mutual_first",
        networks=2,
        losses=MUTUAL,
        evaluation=Evaluation(networks="first"),
        expected=Expected("OSNet, table 12d, w/ DML model-1", rank1=0.884, mean_ap=0.773),
    ),
    _COSINE.variant(
        "osnet_dukemtmcreid:cosine_mutual_second",
        networks=2,
        losses=MUTUAL,
        evaluation=Evaluation(networks="second"),
        expected=Expected("OSNet, table 12d, w/ DML model-2", rank1=0.885, mean_ap=0.773),
    ),
    _COSINE.variant(
        "osnet_dukemtmcreid:cosine_mutual_ensemble",
        networks=2,
        losses=MUTUAL,
        evaluation=Evaluation(networks="ensemble"),
        expected=Expected("OSNet, table 12d, w/ DML model-1+2", rank1=0.887, mean_ap=0.780),
    ),
    _COSINE.variant(
        "osnet_dukemtmcreid:cosine_triplet_0_1",
        batches=IDENTITIES,
        losses=Losses(triplet_weight=0.1),
        expected=Expected("OSNet, table 12e, weight 0.1", rank1=0.883, mean_ap=0.769),
    ),
    _COSINE.variant(
        "osnet_dukemtmcreid:cosine_triplet_0_5",
        batches=IDENTITIES,
        losses=Losses(triplet_weight=0.5),
        expected=Expected("OSNet, table 12e, weight 0.5", rank1=0.886, mean_ap=0.773),
    ),
    _COSINE.variant(
        "osnet_dukemtmcreid:cosine_triplet_1_0",
        batches=IDENTITIES,
        losses=Losses(triplet_weight=1.0),
        expected=Expected("OSNet, table 12e, weight 1.0", rank1=0.884, mean_ap=0.768),
    ),
)
