"""The losses of the four papers, each a mean over the batch, and their combination over branches."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional


def label_smoothed_cross_entropy(logits: Tensor, labels: Tensor, *, smoothing: float) -> Tensor:
    """Cross entropy against (1 - e) one-hot + e / C.

    logits: (N, C). labels: (N,) int64. Returns the mean over the batch.
    Source: Szegedy et al., CVPR 2016, section 7; OSNet, section 4.1.
    """
    return functional.cross_entropy(logits, labels, label_smoothing=smoothing)


def batch_hard_triplet(embeddings: Tensor, labels: Tensor, *, margin: float | None) -> Tensor:
    """Triplet loss on the farthest positive and the nearest negative of each anchor in the batch.

    embeddings: (N, D), of at least two identities. labels: (N,). margin None gives the soft margin
    log(1 + exp(d_ap - d_an)), else the hinge max(0, d_ap - d_an + margin); distances are Euclidean, not squared.
    Returns the mean over anchors. Source: Hermans, Beyer, Leibe, arXiv 1703.07737, eq. (5) and section 2.3.
    """
    distances = pairwise_distances(embeddings)
    same = labels[:, None] == labels[None, :]
    farthest_positive = distances.masked_fill(~same, 0).amax(dim=1)
    nearest_negative = distances.masked_fill(same, torch.inf).amin(dim=1)
    gap = farthest_positive - nearest_negative
    losses = functional.softplus(gap) if margin is None else functional.relu(gap + margin)
    return losses.mean()


def pairwise_distances(embeddings: Tensor) -> Tensor:
    """Euclidean distance of every pair, (N, N), in float32 at least; at zero its gradient is zero.

    Computed from differences: a^2 + b^2 - 2ab is inexact for small distances between long embeddings, even more so
    where a GPU multiplies matrices in TF32.
    """
    rows = embeddings.float() if embeddings.dtype in (torch.float16, torch.bfloat16) else embeddings
    return torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")


class CentreLoss(nn.Module):
    """Mean squared distance of an embedding to the centre of its class.

    learned: the centres are parameters. Their gradient includes the loss's weight in the objective; divide by it before
    their optimiser's step, as the bag of tricks does, or they hardly move. Otherwise they are fixed random points.
    Source: Wen et al., ECCV 2016, eq. (2); Luo et al., CVPRW 2019, section 3.6.
    Differs: the mean over the batch, as in all re-identification code; Wen et al. take half the sum.
    """

    centres: Tensor

    def __init__(self, classes: int, length: int, *, learned: bool) -> None:
        super().__init__()
        start = torch.randn(classes, length)
        if learned:
            self.centres = nn.Parameter(start)
        else:
            self.register_buffer("centres", start)

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """embeddings: (N, length). labels: (N,) int64."""
        return (embeddings - self.centres[labels]).square().sum(dim=1).mean()


def entropy(logits: Tensor) -> Tensor:
    """Mean entropy of the predicted distributions; subtract it from the objective to penalise confidence.

    logits: (N, C). Source: OSNet, supplement B; Pereyra et al., ICLR workshop 2017.
    """
    return -(logits.softmax(dim=1) * logits.log_softmax(dim=1)).sum(dim=1).mean()


def weighted_attribute_loss(logits: Tensor, targets: Tensor, *, positive_ratios: Tensor) -> Tensor:
    """Binary cross entropy of every attribute, weighted by exp(-r_a): a rare attribute weighs more.

    logits, targets: (N, A), targets 0 or 1. positive_ratios: (A,), r_a, the share of training images that have
    attribute a. Returns the mean over all N x A.
    Source: OSNet, section 4.2 ("weighted multi-label classification loss"), in the form of its public code.
    Differs: Li et al., ACPR 2015, whom the paper cites, weight an absent attribute by exp(r_a).
    """
    weights = torch.exp(-positive_ratios.to(logits)).expand_as(logits)
    return functional.binary_cross_entropy_with_logits(logits, targets.to(logits), weights)


def combine_branches(losses: Sequence[Tensor], *, rule: Literal["mean", "sum"]) -> Tensor:
    """One loss from the same loss of several branches: their mean, as in public code, or the papers' plain sum."""
    stacked = torch.stack(list(losses))
    return stacked.mean() if rule == "mean" else stacked.sum()


def mutual_learning_losses(logits: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The mutual learning loss of each network: the mean over its peers of KL(peer || own).

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
