"""Pyramid on CUHK03, new protocol, labelled and detected boxes.

Source: Zheng et al., CVPR 2019, table 3, with rank-5 and rank-10 from its caption.
Command: python train/run.py pyramid_cuhk03_labelled --data DIR --weights resnet101_imagenet.pth
         python train/run.py pyramid_cuhk03_detected --data DIR --weights resnet101_imagenet.pth
Expected: rank-1 78.9, rank-5 91.0, rank-10 94.4, mAP 76.9 on labelled boxes; 78.9, 90.7, 94.5, 74.8 on detected ones.
Differs: see `pyramid_training.py`.
"""

from train.recipes.pyramid_training import pyramid
from train.recipes.recipe import Expected

RECIPES = (
    pyramid(
        "pyramid_cuhk03_labelled",
        "cuhk03_np_labelled",
        expected=Expected("Pyramid, table 3, labelled", rank1=0.789, rank5=0.910, rank10=0.944, mean_ap=0.769),
    ),
    pyramid(
        "pyramid_cuhk03_detected",
        "cuhk03_np_detected",
        expected=Expected("Pyramid, table 3, detected", rank1=0.789, rank5=0.907, rank10=0.945, mean_ap=0.748),
    ),
)
