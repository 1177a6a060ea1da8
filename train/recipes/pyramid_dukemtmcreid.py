"""Pyramid on DukeMTMC-reID.

Source: Zheng et al., CVPR 2019, table 2, with rank-5 and rank-10 from its caption.
Command: python train/run.py pyramid_dukemtmcreid --data DIR --weights resnet101_imagenet.pth
Expected: rank-1 89.0, rank-5 94.7, rank-10 96.3, mAP 79.0.
Differs: see `pyramid_training.py`.
"""

from train.recipes.pyramid_training import pyramid
from train.recipes.recipe import Expected

RECIPES = (
    pyramid(
        "pyramid_dukemtmcreid",
        "dukemtmcreid",
        expected=Expected("Pyramid, table 2, Pyramid-ours", rank1=0.890, rank5=0.947, rank10=0.963, mean_ap=0.790),
    ),
)
