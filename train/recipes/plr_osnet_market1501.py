"""PLR-OSNet on Market-1501: the main result and the ablations.

Source: Xie et al., PLR-OSNet, 2020, tables I, IV, V and VI.
Command: python train/run.py plr_osnet_market1501 --data DIR --weights osnet_x1_0_imagenet.pth
Expected: rank-1 95.6, mAP 88.9; each variant carries its own figures.
Differs: see `plr_osnet_training.py`.
"""

from train.recipes.plr_osnet_training import (
    COMPLETE,
    SHORT,
    multiple_id,
    plr_osnet,
    pooled_gate,
    public_code,
    without_attention,
    without_global,
)
from train.recipes.recipe import Expected

_FULL = plr_osnet(
    "plr_osnet_market1501",
    "market1501",
    schedule=SHORT,
    expected=Expected(f"PLR-OSNet, table I, PLR-OSNet; {COMPLETE}", rank1=0.956, mean_ap=0.889),
)

RECIPES = (
    _FULL,
    without_global(_FULL, rank1=0.946, mean_ap=0.869),
    multiple_id(_FULL, rank1=0.944, mean_ap=0.856),
    without_attention(_FULL, rank1=0.950, mean_ap=0.884),
    # Not in the paper.
    pooled_gate(_FULL),
    public_code(_FULL),
)
