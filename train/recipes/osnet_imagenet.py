"""OSNet on ImageNet: the weights that the fine-tuned recipes begin with.

Source: Zhou et al., ICCV 2019, section 4.4 and table 10.
Command: python train/run.py osnet_imagenet --data DIR
Expected: 75.5 % of the validation images right (an error of 24.5 %), 73.5 and 69.5 with three quarters and half of the
width; one crop from the centre of 256 pixels.
Differs: the paper names no schedule; the cosine is ours. Training images are first stretched to 224x224 and the random
part is cut out of that, while others cut it out of the original image: expect less than the paper's figures. `ibn_x1_0`
and `x0_25` are not in its table, but recipes of other tables begin with them.
"""

from train.recipes.recipe import Augmentation, Batches, Expected, Losses, Optimiser, Recipe, Schedule

_FULL_WIDTH = Recipe(
    name="osnet_imagenet",
    architecture="osnet_x1_0",
    data_set="imagenet",
    height_px=224,
    width_px=224,
    batches=Batches(size=1024),
    augmentation=Augmentation(flip=0.5, scaled_crop=1.0),
    losses=Losses(label_smoothing=0.0),
    optimiser=Optimiser("sgd", 0.4, weight_decay=4e-5),
    schedule=Schedule(epochs=120, shape="cosine"),
    expected=Expected("OSNet, table 10, width 1.0", top1_error=0.245),
    task="classification",
)

RECIPES = (
    _FULL_WIDTH,
    _FULL_WIDTH.variant(
        "osnet_imagenet:x0_75",
        architecture="osnet_x0_75",
        expected=Expected("OSNet, table 10, width 0.75", top1_error=0.265),
    ),
    _FULL_WIDTH.variant(
        "osnet_imagenet:x0_5",
        architecture="osnet_x0_5",
        expected=Expected("OSNet, table 10, width 0.5", top1_error=0.305),
    ),
    _FULL_WIDTH.variant("osnet_imagenet:x0_25", architecture="osnet_x0_25", expected=Expected("not in the paper")),
    _FULL_WIDTH.variant(
        "osnet_imagenet:ibn_x1_0", architecture="osnet_ibn_x1_0", expected=Expected("not in the paper")
    ),
)
