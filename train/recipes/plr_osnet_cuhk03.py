"""PLR-OSNet on CUHK03, new protocol, labelled and detected boxes: the main results and the ablations.

Source: Xie et al., PLR-OSNet, 2020, tables III to VII.
Command: python train/run.py plr_osnet_cuhk03_labelled --data DIR --weights osnet_x1_0_imagenet.pth
         python train/run.py plr_osnet_cuhk03_detected --data DIR --weights osnet_x1_0_imagenet.pth
Expected: rank-1 84.6, mAP 80.5 on labelled boxes; 80.4, 77.2 on detected ones; each variant carries its own figures.
Differs: see `plr_osnet_training.py`.
"""

from train.recipes.plr_osnet_training import (
    COMPLETE,
    LONG,
    hard_margin,
    multiple_id,
    plr_osnet,
    pooled_gate,
    public_code,
    without_attention,
    without_global,
)
from train.recipes.recipe import Expected

_ROWS = f"PLR-OSNet, table III, PLR-OSNet; {COMPLETE}; PLR-OSNet, table VII, soft margin"

_LABELLED = plr_osnet(
    "plr_osnet_cuhk03_labelled",
    "cuhk03_np_labelled",
    schedule=LONG,
    expected=Expected(_ROWS, rank1=0.846, mean_ap=0.805),
)

_DETECTED = plr_osnet(
    "plr_osnet_cuhk03_detected",
    "cuhk03_np_detected",
    schedule=LONG,
    expected=Expected(_ROWS, rank1=0.804, mean_ap=0.772),
)

RECIPES = (
    _LABELLED,
    without_global(_LABELLED, rank1=0.812, mean_ap=0.775),
    multiple_id(_LABELLED, rank1=0.831, mean_ap=0.794),
    without_attention(_LABELLED, rank1=0.824, mean_ap=0.795),
    hard_margin(_LABELLED, rank1=0.786, mean_ap=0.759),
    _DETECTED,
    without_global(_DETECTED, rank1=0.776, mean_ap=0.734),
    multiple_id(_DETECTED, rank1=0.784, mean_ap=0.747),
    without_attention(_DETECTED, rank1=0.794, mean_ap=0.768),
    hard_margin(_DETECTED, rank1=0.760, mean_ap=0.728),
    # Not in the paper.
    pooled_gate(_DETECTED),
    public_code(_DETECTED),
)
