"""Ours: small and short runs on CUHK03, to compare architectures on two CPU cores without ImageNet weights.

OSNet x0.25 at 128x64 px, from scratch, by the scratch recipe of the OSNet paper with 30 epochs and the supplement's
cosine in place of its 350 epochs and their steps. Each variant changes one thing, so the signs of their differences
may be compared with the papers' ablations, but not the figures themselves.

Source: the ablations are those of Zhou et al., ICCV 2019, table 5, and Xie et al., PLR-OSNet, 2020, tables IV to VI.
Command: python train/run.py reduced_cuhk03 --data DIR
         python train/run.py reduced_cuhk03:plr_osnet --data DIR
         python train/run.py reduced_cuhk03:plr_osnet_fine_tuned --data DIR --weights osnet_x0_25_msmt17.pth
Expected: no published figures; each variant names the table row whose architecture it has.
Differs: the width, the input size, the number of epochs and the schedule. The variants of PLR-OSNet train like the
others, on cross entropy alone; `plr_osnet_all_losses` adds its triplet and centre losses, `triplets` a triplet loss to
OSNet, the triplets only after ten epochs, because from random weights the hardest ones pull all embeddings to one
point.
"""

from train.recipes.osnet_training import from_scratch
from train.recipes.plr_osnet_training import plr_osnet
from train.recipes.recipe import Batches, Expected, Losses, Schedule

_PRIMARY = from_scratch("reduced_cuhk03", "cuhk03_np_detected", expected=Expected("ours")).variant(
    "reduced_cuhk03",
    architecture="osnet_x0_25",
    height_px=128,
    width_px=64,
    schedule=Schedule(epochs=30, shape="cosine"),
)

_TRIPLETS = _PRIMARY.variant(
    "reduced_cuhk03:triplets",
    batches=Batches(size=64, images_per_identity=4),
    losses=Losses(triplet_weight=1.0, triplet_on_unit_length=True, triplet_from_epoch=10),
)

_PLR_OSNET_FINE_TUNED = plr_osnet(
    "reduced_cuhk03:plr_osnet_fine_tuned",
    "cuhk03_np_detected",
    schedule=Schedule(epochs=20, shape="cosine", warm_up_epochs=2),
    expected=Expected("ours"),
).variant("reduced_cuhk03:plr_osnet_fine_tuned", architecture="plr_osnet_x0_25", height_px=128, width_px=64)

RECIPES = (
    _PRIMARY,
    # OSNet, table 5, models 2 to 11; model 1 is the recipe itself.
    _PRIMARY.variant("reduced_cuhk03:full_conv", architecture="osnet_x0_25_full_conv"),
    _PRIMARY.variant("reduced_cuhk03:same_depth", architecture="osnet_x0_25_same_depth"),
    _PRIMARY.variant("reduced_cuhk03:concatenation", architecture="osnet_x0_25_concatenation"),
    _PRIMARY.variant("reduced_cuhk03:addition", architecture="osnet_x0_25_addition"),
    _PRIMARY.variant("reduced_cuhk03:separate_gates", architecture="osnet_x0_25_separate_gates"),
    _PRIMARY.variant("reduced_cuhk03:stream_wise_gate", architecture="osnet_x0_25_stream_wise_gate"),
    _PRIMARY.variant("reduced_cuhk03:fixed_gates", architecture="osnet_x0_25_fixed_gates"),
    _PRIMARY.variant("reduced_cuhk03:t1", architecture="osnet_x0_25_t1"),
    _PRIMARY.variant("reduced_cuhk03:t2", architecture="osnet_x0_25_t2"),
    _PRIMARY.variant("reduced_cuhk03:t3", architecture="osnet_x0_25_t3"),
    # OSNet, supplement A: instance normalisation.
    _PRIMARY.variant("reduced_cuhk03:ibn", architecture="osnet_ibn_x0_25"),
    _PRIMARY.variant("reduced_cuhk03:plr_osnet", architecture="plr_osnet_x0_25"),
    # With triplets: OSNet's on unit length, because raw ones drove its descriptor, which a ReLU ends, to zero;
    # PLR-OSNet's as in its paper, with the centre loss.
    _TRIPLETS,
    _TRIPLETS.variant(
        "reduced_cuhk03:plr_osnet_all_losses",
        architecture="plr_osnet_x0_25",
        losses=Losses(triplet_weight=1.0, triplet_margin=None, triplet_from_epoch=10, centre_weight=0.0005),
    ),
    # From weights of OSNet, each with the losses of its own paper: OSNet, PLR-OSNet, and PLR-OSNet's own ablations.
    _PLR_OSNET_FINE_TUNED.variant("reduced_cuhk03:fine_tuned", architecture="osnet_x0_25", losses=Losses()),
    _PLR_OSNET_FINE_TUNED,
    *(
        _PLR_OSNET_FINE_TUNED.variant(f"{_PLR_OSNET_FINE_TUNED.name}_{form}", architecture=f"plr_osnet_{form}_x0_25")
        for form in ("without_global", "without_attention", "multiple_id", "pooled_gate")
    ),
)
