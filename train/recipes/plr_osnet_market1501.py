"""PLR-OSNet on Market-1501: the main result and the ablations.

Source: Xie et al., PLR-OSNet, 2020, tables I, IV, V and VI.
Command: python train/run.py plr_osnet_market1501 --data DIR --weights osnet_x1_0_imagenet.pth
Expected: rank-1 95.6, mAP 88.9; each variant carries its own figures.
Differs: see `plr_osnet_training.py`.
"""

from train.recipe import Evaluation, Expected
from train.recipes.plr_osnet_training import PUBLIC_CENTRES, SHORT, plr_osnet

_FULL = plr_osnet(
    "plr_osnet_market1501",
    "market1501",
    schedule=SHORT,
    expected=Expected(
        "PLR-OSNet, table I, PLR-OSNet; "
        "PLR-OSNet, table IV, global features; "
        "PLR-OSNet, table V, single ID loss; "
        "PLR-OSNet, table VI, attention modules",
        rank1=0.956,
        mean_ap=0.889,
    ),
)

RECIPES = (
    _FULL,
    _FULL.variant(
        "plr_osnet_market1501:without_global",
        architecture="plr_osnet_without_global",
        expected=Expected("PLR-OSNet, table IV, without global features", rank1=0.946, mean_ap=0.869),
    ),
    _FULL.variant(
        "plr_osnet_market1501:multiple_id",
        architecture="plr_osnet_multiple_id",
        expected=Expected("PLR-OSNet, table V, multiple ID loss", rank1=0.944, mean_ap=0.856),
    ),
    _FULL.variant(
        "plr_osnet_market1501:without_attention",
        architecture="plr_osnet_without_attention",
        expected=Expected("PLR-OSNet, table VI, without attention modules", rank1=0.950, mean_ap=0.884),
    ),
    # Not in the paper: the attention's gate over the whole map, and the settings of the public code.
    _FULL.variant(
        "plr_osnet_market1501:pooled_gate",
        architecture="plr_osnet_pooled_gate",
        expected=Expected("not in the paper"),
    ),
    _FULL.variant(
        "plr_osnet_market1501:public_code",
        losses=PUBLIC_CENTRES,
        evaluation=Evaluation(distance="euclidean"),
        expected=Expected("public code"),
    ),
)
