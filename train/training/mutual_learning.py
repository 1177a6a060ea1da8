"""Deep mutual learning: networks that train together, each drawn to what the others predict."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def mutual_losses(logits: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """What each network pays for differing from its peers: the mean over them of KL(peer || own).

    logits: one (N, C) tensor for each of two or more networks, on the same images. A peer is a fixed teacher: no
    gradient reaches it. Returns one scalar per network, each the mean over the batch.
    Source: Zhang et al., CVPR 2018, eq. (4) to (6) and, for more than two networks, section 3.4; OSNet, supplement B.
    Differs: OSNet's public code drops the teacher's entropy, which shifts the value and leaves the gradient.
    """
    predictions = [rows.log_softmax(dim=1) for rows in logits]
    return tuple(
        torch.stack(
            [_divergence(peer.detach(), own) for other, peer in enumerate(predictions) if other != number]
        ).mean()
        for number, own in enumerate(predictions)
    )


def _divergence(teacher: Tensor, student: Tensor) -> Tensor:
    """KL(teacher || student) of log probabilities (N, C), mean over N."""
    return functional.kl_div(student, teacher, reduction="batchmean", log_target=True)
