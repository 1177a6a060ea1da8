"""OSNet on Market-1501: the main results, the ablations, the shrunken networks and the training tricks.

Source: Zhou et al., ICCV 2019, tables 3, 5 and 6, and supplement B, table 12 (where the figures are means over three
seeds, with deviations of 0.0 to 0.4). Its table 12f is in `best_osnet.py`.
Command: python train/run.py osnet_market1501 --data DIR --weights osnet_x1_0_imagenet.pth
         python train/run.py osnet_market1501:scratch --data DIR
         One run of mutual learning (table 12d) writes and scores both networks and the ensemble.
Expected: rank-1 94.8, mAP 84.9 fine-tuned; 93.6, 81.0 from scratch; each variant carries its own figures.
Differs: see `osnet_training.py`.
The variants named after the public code follow its published settings, of which the paper says nothing: no erasing and
the Euclidean distance, and for the two small widths a longer training with larger batches.
"""

from train.recipes.osnet_training import (
    by_cosine,
    fine_tuned,
    from_scratch,
    lightweight,
    with_entropy,
    with_larger_input,
    with_mutual_learning,
    with_own_normalisation,
    with_triplets,
)
from train.recipes.recipe import Augmentation, Batches, Evaluation, Expected, Optimiser, Recipe, Schedule

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

_COSINE = by_cosine("osnet_market1501:cosine", "market1501", rank1=0.946, mean_ap=0.865)

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


def _ablation(change: str, *, model: int, rank1: float, mean_ap: float) -> Recipe:
    """A row of table 5."""
    return _SCRATCH.variant(
        f"osnet_market1501:{change}",
        architecture=f"osnet_x1_0_{change}",
        expected=Expected(f"OSNet, table 5, model {model}", rank1=rank1, mean_ap=mean_ap),
    )


def _shrunken(*, width: float, resolution: float, rank1: float, mean_ap: float) -> Recipe:
    """A cell of table 6."""
    height_px, width_px, x = int(256 * resolution), int(128 * resolution), f"x{width}".replace(".", "_")
    return _FINE_TUNED.variant(
        f"osnet_market1501:{x}" + ("" if resolution == 1.0 else f"_{height_px}x{width_px}"),
        architecture=f"osnet_{x}",
        height_px=height_px,
        width_px=width_px,
        expected=Expected(f"OSNet, table 6, width {width} resolution {resolution}", rank1=rank1, mean_ap=mean_ap),
    )


RECIPES = (
    _FINE_TUNED,
    _SCRATCH,
    *lightweight(_SCRATCH, shufflenet=(0.848, 0.650), mobilenet=(0.870, 0.695)),
    # Table 5: one change to the network each, from scratch.
    _ablation("full_conv", model=2, rank1=0.940, mean_ap=0.827),
    _ablation("same_depth", model=3, rank1=0.917, mean_ap=0.779),
    _ablation("concatenation", model=4, rank1=0.914, mean_ap=0.774),
    _ablation("addition", model=5, rank1=0.920, mean_ap=0.782),
    _ablation("separate_gates", model=6, rank1=0.929, mean_ap=0.802),
    _ablation("stream_wise_gate", model=7, rank1=0.926, mean_ap=0.800),
    _ablation("fixed_gates", model=8, rank1=0.916, mean_ap=0.775),
    _ablation("t1", model=9, rank1=0.865, mean_ap=0.677),
    _ablation("t2", model=10, rank1=0.917, mean_ap=0.770),
    _ablation("t3", model=11, rank1=0.928, mean_ap=0.799),
    # Table 6: width and resolution, fine-tuned.
    _shrunken(width=0.75, resolution=1.0, rank1=0.945, mean_ap=0.841),
    _shrunken(width=0.5, resolution=1.0, rank1=0.934, mean_ap=0.826),
    _shrunken(width=0.25, resolution=1.0, rank1=0.922, mean_ap=0.778),
    _shrunken(width=1.0, resolution=0.75, rank1=0.944, mean_ap=0.837),
    _shrunken(width=1.0, resolution=0.5, rank1=0.920, mean_ap=0.803),
    _shrunken(width=1.0, resolution=0.25, rank1=0.869, mean_ap=0.673),
    _shrunken(width=0.75, resolution=0.75, rank1=0.943, mean_ap=0.824),
    _shrunken(width=0.75, resolution=0.5, rank1=0.929, mean_ap=0.795),
    _shrunken(width=0.75, resolution=0.25, rank1=0.854, mean_ap=0.655),
    _shrunken(width=0.5, resolution=0.75, rank1=0.929, mean_ap=0.808),
    _shrunken(width=0.5, resolution=0.5, rank1=0.917, mean_ap=0.785),
    _shrunken(width=0.5, resolution=0.25, rank1=0.854, mean_ap=0.660),
    _shrunken(width=0.25, resolution=0.75, rank1=0.916, mean_ap=0.761),
    _shrunken(width=0.25, resolution=0.5, rank1=0.887, mean_ap=0.718),
    _shrunken(width=0.25, resolution=0.25, rank1=0.791, mean_ap=0.560),
    # Supplement B: what else helps, beside the baseline `cosine`.
    _COSINE,
    with_own_normalisation(_COSINE, rank1=0.944, mean_ap=0.863),
    with_larger_input(_COSINE, rank1=0.949, mean_ap=0.869),
    with_entropy(_COSINE, 0.01, rank1=0.946, mean_ap=0.864),
    with_entropy(_COSINE, 0.05, rank1=0.945, mean_ap=0.865),
    with_entropy(_COSINE, 0.1, rank1=0.947, mean_ap=0.864),
    with_entropy(_COSINE, 0.5, rank1=0.947, mean_ap=0.866),
    with_mutual_learning(_COSINE, "first", rank1=0.947, mean_ap=0.872),
    with_mutual_learning(_COSINE, "second", rank1=0.948, mean_ap=0.873),
    with_mutual_learning(_COSINE, "ensemble", rank1=0.949, mean_ap=0.878),
    with_triplets(_COSINE, 0.1, rank1=0.947, mean_ap=0.867),
    with_triplets(_COSINE, 0.5, rank1=0.955, mean_ap=0.872),
    with_triplets(_COSINE, 1.0, rank1=0.949, mean_ap=0.869),
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
