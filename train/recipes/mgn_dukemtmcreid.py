"""MGN on DukeMTMC-reID.

Source: Wang et al., ACM MM 2018, table 3.
Command: python train/run.py mgn_dukemtmcreid --data DIR --weights resnet50_imagenet.pth
Expected: rank-1 88.7, mAP 78.4.
Differs: see `mgn_training.py`.
"""

from train.recipes.mgn_training import mgn
from train.recipes.recipe import Expected

RECIPES = (mgn("mgn_dukemtmcreid", "dukemtmcreid", expected=Expected("MGN, table 3, MGN", rank1=0.887, mean_ap=0.784)),)
