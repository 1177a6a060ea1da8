"""MGN on CUHK03, new protocol, labelled and detected boxes.

Source: Wang et al., ACM MM 2018, table 4.
Command: python train/run.py mgn_cuhk03_labelled --data DIR --weights resnet50_imagenet.pth
         python train/run.py mgn_cuhk03_detected --data DIR --weights resnet50_imagenet.pth
Expected: rank-1 68.0, mAP 67.4 on labelled boxes; 66.8, 66.0 on detected ones. Later papers quote 68.0 for both.
Differs: see `mgn_training.py`.
"""

from train.recipes.mgn_training import mgn
from train.recipes.recipe import Expected

RECIPES = (
    mgn(
        "mgn_cuhk03_labelled",
        "cuhk03_np_labelled",
        expected=Expected("MGN, table 4, labelled", rank1=0.680, mean_ap=0.674),
    ),
    mgn(
        "mgn_cuhk03_detected",
        "cuhk03_np_detected",
        expected=Expected("MGN, table 4, detected", rank1=0.668, mean_ap=0.660),
    ),
)
