"""OSNet on PA-100K: 26 attributes of a person, from scratch.

Source: Zhou et al., ICCV 2019, section 4.2 and table 7.
Command: python train/run.py osnet_pa100k --data DIR
Expected: mean accuracy 74.6; per image accuracy 76.0, precision 88.3, recall 82.5, F1 85.3.
Differs: the paper names a weighted loss, translation and mirroring; the weights, the crop and the batch of 32 are those
of the public code.
"""

from train.recipes.recipe import Augmentation, Batches, Expected, Losses, Optimiser, Recipe, Schedule

RECIPES = (
    Recipe(
        name="osnet_pa100k",
        architecture="osnet_attributes_x1_0",
        data_set="pa100k",
        height_px=256,
        width_px=128,
        batches=Batches(size=32),
        augmentation=Augmentation(flip=0.5, crop=0.5),
        losses=Losses(label_smoothing=0.0),
        optimiser=Optimiser("sgd", 0.065),
        schedule=Schedule(epochs=50, shape="steps", steps=(30, 40)),
        expected=Expected(
            "OSNet, table 7, OSNet", mean_accuracy=0.746, accuracy=0.760, precision=0.883, recall=0.825, f1=0.853
        ),
        task="attributes",
    ),
)
