"""PLR-OSNet on CUHK03, new protocol, labelled and detected boxes: the main results and the ablations.

Source: Xie et al., PLR-OSNet, 2020, tables III to VII.
Command: python train/run.py plr_osnet_cuhk03_labelled --data DIR --weights osnet_x1_0_imagenet.pth
         python train/run.py plr_osnet_cuhk03_detected --data DIR --weights osnet_x1_0_imagenet.pth
Expected: rank-1 84.6, mAP 80.5 on labelled boxes; 80.4, 77.2 on detected ones; each variant carries its own figures.
Differs: see `plr_osnet_training.py`. The paper does not give the hard margin of table VII; 0.3 is the usual one.
"""

from train.recipe import Evaluation, Expected
from train.recipes.plr_osnet_training import HARD_MARGIN, LONG, PUBLIC_CENTRES, plr_osnet

_LABELLED = plr_osnet(
    "plr_osnet_cuhk03_labelled",
    "cuhk03_np_labelled",
    schedule=LONG,
    expected=Expected(
        "PLR-OSNet, table III, PLR-OSNet; "
        "PLR-OSNet, table IV, global features; "
        "PLR-OSNet, table V, single ID loss; "
        "PLR-OSNet, table VI, attention modules; "
        "PLR-OSNet, table VII, soft margin",
        rank1=0.846,
        mean_ap=0.805,
    ),
)

_DETECTED = plr_osnet(
    "plr_osnet_cuhk03_detected",
    "cuhk03_np_detected",
    schedule=LONG,
    expected=Expected(
        "PLR-OSNet, table III, PLR-OSNet; "
        "PLR-OSNet, table IV, global features; "
        "PLR-OSNet, table V, single ID loss; "
        "PLR-OSNet, table VI, attention modules; "
        "PLR-OSNet, table VII, soft margin",
        rank1=0.804,
        mean_ap=0.772,
    ),
)

RECIPES = (
    _LABELLED,
    _LABELLED.variant(
        "plr_osnet_cuhk03_labelled:without_global",
        architecture="plr_osnet_without_global",
        expected=Expected("PLR-OSNet, table IV, without global features", rank1=0.812, mean_ap=0.775),
    ),
    _LABELLED.variant(
        "plr_osnet_cuhk03_labelled:multiple_id",
        architecture="plr_osnet_multiple_id",
        expected=Expected("PLR-OSNet, table V, multiple ID loss", rank1=0.831, mean_ap=0.794),
    ),
    _LABELLED.variant(
        "plr_osnet_cuhk03_labelled:without_attention",
        architecture="plr_osnet_without_attention",
        expected=Expected("PLR-OSNet, table VI, without attention modules", rank1=0.824, mean_ap=0.795),
    ),
    _LABELLED.variant(
        "plr_osnet_cuhk03_labelled:hard_margin",
        losses=HARD_MARGIN,
        expected=Expected("PLR-OSNet, table VII, hard margin", rank1=0.786, mean_ap=0.759),
    ),
    _DETECTED,
    _DETECTED.variant(
        "plr_osnet_cuhk03_detected:without_global",
        architecture="plr_osnet_without_global",
        expected=Expected("PLR-OSNet, table IV, without global features", rank1=0.776, mean_ap=0.734),
    ),
    _DETECTED.variant(
        "plr_osnet_cuhk03_detected:multiple_id",
        architecture="plr_osnet_multiple_id",
        expected=Expected("PLR-OSNet, table V, multiple ID loss", rank1=0.784, mean_ap=0.747),
    ),
    _DETECTED.variant(
        "plr_osnet_cuhk03_detected:without_attention",
        architecture="plr_osnet_without_attention",
        expected=Expected("PLR-OSNet, table VI, without attention modules", rank1=0.794, mean_ap=0.768),
    ),
    _DETECTED.variant(
        "plr_osnet_cuhk03_detected:hard_margin",
        losses=HARD_MARGIN,
        expected=Expected("PLR-OSNet, table VII, hard margin", rank1=0.760, mean_ap=0.728),
    ),
    # Not in the paper: the attention's gate over the whole map, and the settings of the public code.
    _DETECTED.variant(
        "plr_osnet_cuhk03_detected:pooled_gate",
        architecture="plr_osnet_pooled_gate",
        expected=Expected("not in the paper"),
    ),
    _DETECTED.variant(
        "plr_osnet_cuhk03_detected:public_code",
        losses=PUBLIC_CENTRES,
        evaluation=Evaluation(distance="euclidean"),
        expected=Expected("public code"),
    ),
)
