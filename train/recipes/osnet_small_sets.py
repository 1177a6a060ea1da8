"""OSNet on VIPeR and GRID, which are too small to train on alone: first on the union of four large sets, then on these.

Source: Zhou et al., ICCV 2019, section 4.1 and table 4.
Command: python train/run.py osnet_mix4 --data DIR  (DIR: market1501, cuhk03_np_detected, dukemtmcreid, msmt17)
         python train/run.py osnet_viper --data DIR --weights runs/osnet_mix4-seed0/model.pth
         python train/run.py osnet_grid --data DIR --weights runs/osnet_mix4-seed0/model.pth
Expected: rank-1 68.0 on VIPeR and 38.2 on GRID, each the mean over ten random splits. The paper gives no figure for
the network trained on the union.
Differs: the paper does not say with which settings it fine-tunes on the small sets; these are those of section 4.1.
"""

from train.recipes.osnet_training import fine_tuned, from_scratch
from train.recipes.recipe import Expected

_VIPER = fine_tuned("osnet_viper", "viper", expected=Expected("OSNet, table 4, VIPeR", rank1=0.680))
_GRID = fine_tuned("osnet_grid", "grid", expected=Expected("OSNet, table 4, GRID", rank1=0.382))

RECIPES = (
    from_scratch("osnet_mix4", "mix4", expected=Expected("OSNet 4.1, Mix4")),
    _VIPER.variant("osnet_viper", splits=10),
    _GRID.variant("osnet_grid", splits=10),
)
