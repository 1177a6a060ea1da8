"""OSNet on MSMT17.

Source: Zhou et al., ICCV 2019, section 4.1, tables 2 and 3.
Command: python train/run.py osnet_msmt17 --data DIR --weights osnet_x1_0_imagenet.pth
         python train/run.py osnet_msmt17:scratch --data DIR
Expected: rank-1 78.7, mAP 52.9 fine-tuned; 71.0, 43.3 from scratch.
Differs: see `osnet_training.py`. The paper's table 2 counts 30,248 training images: the validation list is left out.
"""

from train.recipes.osnet_training import fine_tuned, from_scratch, lightweight
from train.recipes.recipe import Expected

_SCRATCH = from_scratch(
    "osnet_msmt17:scratch",
    "msmt17_train",
    expected=Expected("OSNet, table 3, OSNet from scratch", rank1=0.710, mean_ap=0.433),
)

RECIPES = (
    fine_tuned(
        "osnet_msmt17",
        "msmt17_train",
        expected=Expected("OSNet, table 3, OSNet", rank1=0.787, mean_ap=0.529),
    ),
    _SCRATCH,
    *lightweight(_SCRATCH, shufflenet=(0.415, 0.199), mobilenet=(0.509, 0.270)),
)
