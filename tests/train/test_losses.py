"""Losses against the golden figures, value and gradient, and against nested loops."""

import json
from typing import Any

import pytest
import torch

from tests.conftest import ROOT
from tests.golden.rule import symmetric
from train.losses import batch_hard_triplet, label_smoothed_cross_entropy, pairwise_distances

GOLDEN: dict[str, Any] = json.loads((ROOT / "tests/golden/losses.json").read_text())
LABELS = torch.arange(16) // 4


def embedding() -> torch.Tensor:
    identity = symmetric("loss.identity", 4, 32)[LABELS.numpy()]
    return torch.tensor(identity + 1.2 * symmetric("loss.embedding", 16, 32), requires_grad=True)


@pytest.mark.parametrize(
    ("key", "margin"),
    [("hinge_margin_0.3", 0.3), ("hinge_margin_1.2", 1.2), ("hinge_margin_1.4", 1.4), ("soft_margin", None)],
)
def test_batch_hard_triplet_equals_the_golden_figures(key: str, margin: float | None) -> None:
    """Value and gradient in float64."""
    expected, rows = GOLDEN["triplet"][key], embedding()
    loss = batch_hard_triplet(rows, LABELS, margin=margin)
    loss.backward()
    assert rows.grad is not None
    assert loss.item() == pytest.approx(expected["value"], rel=1e-9)
    assert rows.grad.norm().item() == pytest.approx(expected["grad_l2"], rel=1e-9)
    assert rows.grad[0, :4].tolist() == pytest.approx(expected["grad_first4"], rel=1e-9)


def test_batch_hard_triplet_equals_nested_loops() -> None:
    """For each anchor the farthest of its own and the nearest of the others."""
    rows, margin = embedding().detach(), 0.3
    total = 0.0
    for i in range(16):
        own = max(float((rows[i] - rows[j]).norm()) for j in range(16) if LABELS[j] == LABELS[i])
        other = min(float((rows[i] - rows[j]).norm()) for j in range(16) if LABELS[j] != LABELS[i])
        total += max(0.0, own - other + margin)
    assert batch_hard_triplet(rows, LABELS, margin=margin).item() == pytest.approx(total / 16, rel=1e-9)


def test_triplet_of_equal_embeddings_has_a_finite_gradient() -> None:
    """A collapsed batch, as at the start of training, must not give NaN."""
    rows = torch.ones(8, 4, requires_grad=True)
    batch_hard_triplet(rows, torch.arange(8) // 2, margin=None).backward()
    assert rows.grad is not None
    assert torch.isfinite(rows.grad).all()


def test_distances_are_computed_in_float32_for_half_precision_embeddings() -> None:
    """bfloat16 keeps 8 bits: squares of large embeddings would drown the differences."""
    rows = torch.tensor([[100.0, 0.0], [101.0, 0.0]], dtype=torch.bfloat16)
    assert pairwise_distances(rows)[0, 1].item() == pytest.approx(1.0)


@pytest.mark.parametrize(("key", "smoothing"), [("plain", 0.0), ("label_smoothing_0.1", 0.1)])
def test_cross_entropy_equals_the_golden_figures(key: str, smoothing: float) -> None:
    """Value and gradient in float64."""
    expected = GOLDEN["cross_entropy"][key]
    logits = torch.tensor(3 * symmetric("loss.logits", 16, 10), requires_grad=True)
    loss = label_smoothed_cross_entropy(logits, LABELS, smoothing=smoothing)
    loss.backward()
    assert logits.grad is not None
    assert loss.item() == pytest.approx(expected["value"], rel=1e-9)
    assert logits.grad.norm().item() == pytest.approx(expected["grad_l2"], rel=1e-9)
