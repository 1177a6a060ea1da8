"""PLR-OSNet on DukeMTMC-reID: the main result and the ablations.

Source: Xie et al., PLR-OSNet, 2020, tables II, IV, V and VI.
Command: python train/run.py plr_osnet_dukemtmcreid --data DIR --weights osnet_x1_0_imagenet.pth
Expected: rank-1 91.6, mAP 81.2; each variant carries its own figures.
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
    "plr_osnet_dukemtmcreid",
    "dukemtmcreid",
    schedule=SHORT,
    expected=Expected(f"PLR-OSNet, table II, PLR-OSNet; {COMPLETE}", rank1=0.916, mean_ap=0.812),
)

RECIPES = (
    _FULL,
    without_global(_FULL, rank1=0.902, mean_ap=0.798),
    multiple_id(_FULL, rank1=0.894, mean_ap=0.770),
    without_attention(_FULL, rank1=0.908, mean_ap=0.810),
    # Not in the paper.
    pooled_gate(_FULL),
    public_code(_FULL),
)
