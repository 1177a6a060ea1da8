"""Losses of re-identification: label-smoothed cross entropy and batch-hard triplet."""

import torch
from torch import Tensor
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
    """Euclidean distance of every pair, (N, N), in float32 at least and differentiable at zero."""
    rows = embeddings.float() if embeddings.dtype in (torch.float16, torch.bfloat16) else embeddings
    squares = rows.square().sum(dim=1)
    squared = squares[:, None] + squares[None, :] - 2 * rows @ rows.T
    return squared.clamp(min=1e-12).sqrt()
