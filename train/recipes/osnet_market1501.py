"""OSNet on Market-1501: the main results, the ablations, the shrunken networks and the training tricks.

Source: Zhou et al., ICCV 2019, tables 3, 5 and 6, and supplement B, table 12 (where the figures are means over three
seeds, with deviations of 0.0 to 0.4). Its table 12f is in `best_osnet.py`.
Command: python train/run.py osnet_market1501 --data DIR --weights osnet_x1_0_imagenet.pth
         python train/run.py osnet_market1501:scratch --data DIR
         One run of mutual learning (table 12d) writes and scores both networks and the ensemble.
Expected: rank-1 94.8, mAP 84.9 fine-tuned; 93.6, 81.0 from scratch; each variant carries its own figures.
Differs: see `osnet_training.py`. Table 12b says only that the larger input costs 1,529.3M Mult-Adds; that is 320x160.
The variants named after the public code follow its published settings, of which the paper says nothing: no erasing and
the Euclidean distance, and for the two small widths a longer training with larger batches.
"""

from train.recipe import Augmentation, Batches, Evaluation, Expected, Losses, Optimiser, Schedule
from train.recipes.osnet_training import IDENTITIES, MUTUAL, by_cosine, fine_tuned, from_scratch

_FINE_TUNED = fine_tuned(
    "osnet_market1501",
    "market1501",
    expected=Expected("OSNet, table 3, OSNet; OSNet, table 6, width 1.0 resolution 1.0", rank1=0.948, mean_ap=0.849),
)

_SCRATCH = from_scratch(
    "osnet_market1501:scratch",
    "market1501",
    expected=Expected("OSNet, table 3, OSNet from scratch; OSNet, table 5, model 1", rank1=0.936, mean_ap=0.810),
)

_COSINE = by_cosine(
    "osnet_market1501:cosine",
    "market1501",
    expected=Expected(
        "OSNet, table 12a, ImageNet; "
        "OSNet, table 12b, 256x128; "
        "OSNet, table 12c, weight 0; "
        "OSNet, table 12d, w/o DML; "
        "OSNet, table 12e, weight 0; "
        "OSNet, table 12f, w/o DML",
        rank1=0.946,
        mean_ap=0.865,
    ),
)

_PUBLIC_CODE = _FINE_TUNED.variant(
    "osnet_market1501:public_code",
    augmentation=Augmentation(flip=0.5),
    evaluation=Evaluation(distance="euclidean"),
    expected=Expected("public code", rank1=0.942, mean_ap=0.826),
)

_SMALL_PUBLIC_CODE = _PUBLIC_CODE.variant(
    "osnet_market1501:x0_5_public_code",
    architecture="osnet_x0_5",
    batches=Batches(size=128),
    optimiser=Optimiser("amsgrad", 0.003),
    schedule=Schedule(epochs=180, shape="steps", steps=(80, 160), classifier_only_epochs=10),
    expected=Expected("public code", rank1=0.925, mean_ap=0.798),
)

RECIPES = (
    _FINE_TUNED,
    _SCRATCH,
    # Table 5: one change to the network each, from scratch.
    _SCRATCH.variant(
        "osnet_market1501:full_conv",
        architecture="osnet_x1_0_full_conv",
        expected=Expected("OSNet, table 5, model 2", rank1=0.940, mean_ap=0.827),
    ),
    _SCRATCH.variant(
        "osnet_market1501:same_depth",
        architecture="osnet_x1_0_same_depth",
        expected=Expected("OSNet, table 5, model 3", rank1=0.917, mean_ap=0.779),
    ),
    _SCRATCH.variant(
        "osnet_market1501:concatenation",
        architecture="osnet_x1_0_concatenation",
        expected=Expected("OSNet, table 5, model 4", rank1=0.914, mean_ap=0.774),
    ),
    _SCRATCH.variant(
        "osnet_market1501:addition",
        architecture="osnet_x1_0_addition",
        expected=Expected("OSNet, table 5, model 5", rank1=0.920, mean_ap=0.782),
    ),
    _SCRATCH.variant(
        "osnet_market1501:separate_gates",
        architecture="osnet_x1_0_separate_gates",
        expected=Expected("OSNet, table 5, model 6", rank1=0.929, mean_ap=0.802),
    ),
    _SCRATCH.variant(
        "osnet_market1501:stream_wise_gate",
        architecture="osnet_x1_0_stream_wise_gate",
        expected=Expected("OSNet, table 5, model 7", rank1=0.926, mean_ap=0.800),
    ),
    _SCRATCH.variant(
        "osnet_market1501:fixed_gates",
        architecture="osnet_x1_0_fixed_gates",
        expected=Expected("OSNet, table 5, model 8", rank1=0.916, mean_ap=0.775),
    ),
    _SCRATCH.variant(
        "osnet_market1501:t1",
        architecture="osnet_x1_0_t1",
        expected=Expected("OSNet, table 5, model 9", rank1=0.865, mean_ap=0.677),
    ),
    _SCRATCH.variant(
        "osnet_market1501:t2",
        architecture="osnet_x1_0_t2",
        expected=Expected("OSNet, table 5, model 10", rank1=0.917, mean_ap=0.770),
    ),
    _SCRATCH.variant(
        "osnet_market1501:t3",
        architecture="osnet_x1_0_t3",
        expected=Expected("OSNet, table 5, model 11", rank1=0.928, mean_ap=0.799),
    ),
    # Table 6: width and resolution, fine-tuned.
    _FINE_TUNED.variant(
        "osnet_market1501:x0_75",
        architecture="osnet_x0_75",
        expected=Expected("OSNet, table 6, width 0.75 resolution 1.0", rank1=0.945, mean_ap=0.841),
    ),
    _FINE_TUNED.variant(
        "osnet_market1501:x0_5",
        architecture="osnet_x0_5",
        expected=Expected("OSNet, table 6, width 0.5 resolution 1.0", rank1=0.934, mean_ap=0.826),
    ),
    _FINE_TUNED.variant(
        "osnet_market1501:x0_25",
        architecture="osnet_x0_25",
        expected=Expected("OSNet, table 6, width 0.25 resolution 1.0", rank1=0.922, mean_ap=0.778),
    ),
    _FINE_TUNED.variant(
        "osnet_market1501:x1_0_192x96",
        height_px=192,
        width_px=96,
        expected=Expected("OSNet, table 6, width 1.0 resolution 0.75", rank1=0.944, mean_ap=0.837),
    ),
    _FINE_TUNED.variant(
        "osnet_market1501:x1_0_128x64",
        height_px=128,
        width_px=64,
        expected=Expected("OSNet, table 6, width 1.0 resolution 0.5", rank1=0.920, mean_ap=0.803),
    ),
    _FINE_TUNED.variant(
        "osnet_market1501:x1_0_64x32",
        height_px=64,
        width_px=32,
        expected=Expected("OSNet, table 6, width 1.0 resolution 0.25", rank1=0.869, mean_ap=0.673),
    ),
    _FINE_TUNED.variant(
        "osnet_market1501:x0_75_192x96",
        architecture="osnet_x0_75",
        height_px=192,
        width_px=96,
        expected=Expected("OSNet, table 6, width 0.75 resolution 0.75", rank1=0.943, mean_ap=0.824),
    ),
    _FINE_TUNED.variant(
        "osnet_market1501:x0_75_128x64",
        architecture="osnet_x0_75",
        height_px=128,
        width_px=64,
        expected=Expected("OSNet, table 6, width 0.75 resolution 0.5", rank1=0.929, mean_ap=0.795),
    ),
    _FINE_TUNED.variant(
        "osnet_market1501:x0_75_64x32",
        architecture="osnet_x0_75",
        height_px=64,
        width_px=32,
        expected=Expected("OSNet, table 6, width 0.75 resolution 0.25", rank1=0.854, mean_ap=0.655),
    ),
    _FINE_TUNED.variant(
        "osnet_market1501:x0_5_192x96",
        architecture="osnet_x0_5",
        height_px=192,
        width_px=96,
        expected=Expected("OSNet, table 6, width 0.5 resolution 0.75", rank1=0.929, mean_ap=0.808),
    ),
    _FINE_TUNED.variant(
        "osnet_market1501:x0_5_128x64",
        architecture="osnet_x0_5",
        height_px=128,
        width_px=64,
        expected=Expected("OSNet, table 6, width 0.5 resolution 0.5", rank1=0.917, mean_ap=0.785),
    ),
    _FINE_TUNED.variant(
        "osnet_market1501:x0_5_64x32",
        architecture="osnet_x0_5",
        height_px=64,
        width_px=32,
        expected=Expected("OSNet, table 6, width 0.5 resolution 0.25", rank1=0.854, mean_ap=0.660),
    ),
    _FINE_TUNED.variant(
        "osnet_market1501:x0_25_192x96",
        architecture="osnet_x0_25",
        height_px=192,
        width_px=96,
        expected=Expected("OSNet, table 6, width 0.25 resolution 0.75", rank1=0.916, mean_ap=0.761),
    ),
    _FINE_TUNED.variant(
        "osnet_market1501:x0_25_128x64",
        architecture="osnet_x0_25",
        height_px=128,
        width_px=64,
        expected=Expected("OSNet, table 6, width 0.25 resolution 0.5", rank1=0.887, mean_ap=0.718),
    ),
    _FINE_TUNED.variant(
        "osnet_market1501:x0_25_64x32",
        architecture="osnet_x0_25",
        height_px=64,
        width_px=32,
        expected=Expected("OSNet, table 6, width 0.25 resolution 0.25", rank1=0.791, mean_ap=0.560),
    ),
    # Supplement B: what else helps, beside the baseline `cosine`.
    _COSINE,
    _COSINE.variant(
        "osnet_market1501:cosine_own_normalisation",
        normalisation="data_set",
        expected=Expected("OSNet, table 12a, re-ID data set", rank1=0.944, mean_ap=0.863),
    ),
    _COSINE.variant(
        "osnet_market1501:cosine_320x160",
        height_px=320,
        width_px=160,
        expected=Expected("OSNet, table 12b, 320x160", rank1=0.949, mean_ap=0.869),
    ),
    _COSINE.variant(
        "osnet_market1501:cosine_entropy_0_01",
        losses=Losses(entropy_weight=0.01),
        expected=Expected("OSNet, table 12c, weight 0.01", rank1=0.946, mean_ap=0.864),
    ),
    _COSINE.variant(
        "osnet_market1501:cosine_entropy_0_05",
        losses=Losses(entropy_weight=0.05),
        expected=Expected("OSNet, table 12c, weight 0.05", rank1=0.945, mean_ap=0.865),
    ),
    _COSINE.variant(
        "osnet_market1501:cosine_entropy_0_1",
        losses=Losses(entropy_weight=0.1),
        expected=Expected("OSNet, table 12c, weight 0.1", rank1=0.947, mean_ap=0.864),
    ),
    _COSINE.variant(
        "osnet_market1501:cosine_entropy_0_5",
        losses=Losses(entropy_weight=0.5),
        expected=Expected("OSNet, table 12c, weight 0.5", rank1=0.947, mean_ap=0.866),
    ),
    _COSINE.variant(
        "osnet_market1501:cosine_mutual_first",
        networks=2,
        losses=MUTUAL,
        evaluation=Evaluation(networks="first"),
        expected=Expected("OSNet, table 12d, w/ DML model-1", rank1=0.947, mean_ap=0.872),
    ),
    _COSINE.variant(
        "osnet_market1501:cosine_mutual_second",
        networks=2,
        losses=MUTUAL,
        evaluation=Evaluation(networks="second"),
        expected=Expected("OSNet, table 12d, w/ DML model-2", rank1=0.948, mean_ap=0.873),
    ),
    _COSINE.variant(
        "osnet_market1501:cosine_mutual_ensemble",
        networks=2,
        losses=MUTUAL,
        evaluation=Evaluation(networks="ensemble"),
        expected=Expected("OSNet, table 12d, w/ DML model-1+2", rank1=0.949, mean_ap=0.878),
    ),
    _COSINE.variant(
        "osnet_market1501:cosine_triplet_0_1",
        batches=IDENTITIES,
        losses=Losses(triplet_weight=0.1),
        expected=Expected("OSNet, table 12e, weight 0.1", rank1=0.947, mean_ap=0.867),
    ),
    _COSINE.variant(
        "osnet_market1501:cosine_triplet_0_5",
        batches=IDENTITIES,
        losses=Losses(triplet_weight=0.5),
        expected=Expected("OSNet, table 12e, weight 0.5", rank1=0.955, mean_ap=0.872),
    ),
    _COSINE.variant(
        "osnet_market1501:cosine_triplet_1_0",
        batches=IDENTITIES,
        losses=Losses(triplet_weight=1.0),
        expected=Expected("OSNet, table 12e, weight 1.0", rank1=0.949, mean_ap=0.869),
    ),
    # Not in the paper: the settings of the public code.
    _PUBLIC_CODE,
    _FINE_TUNED.variant(
        "osnet_market1501:public_code_erase",
        augmentation=Augmentation(flip=0.5, erase=0.5, erased_to="public_code"),
        evaluation=Evaluation(distance="euclidean"),
        expected=Expected("public code"),
    ),
    _SMALL_PUBLIC_CODE,
    _SMALL_PUBLIC_CODE.variant(
        "osnet_market1501:x0_25_public_code",
        architecture="osnet_x0_25",
        expected=Expected("public code", rank1=0.912, mean_ap=0.750),
    ),
)
