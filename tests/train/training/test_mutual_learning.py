"""Mutual learning against the golden figures and against nested loops."""

import json
import math
from typing import Any

import pytest
import torch

from tests.conftest import ROOT
from tests.golden.rule import symmetric
from train.training.mutual_learning import mutual_losses

GOLDEN: dict[str, Any] = json.loads((ROOT / "tests/golden/losses.json").read_text())["mutual_learning"]


def logits(key: str) -> torch.Tensor:
    return torch.tensor(3 * symmetric(key, 16, 10), requires_grad=True)


def divergence(teacher: torch.Tensor, student: torch.Tensor) -> float:
    """KL of two softmaxes, one number after the other."""
    total = 0.0
    for teacher_row, student_row in zip(teacher.tolist(), student.tolist(), strict=True):
        sums = [sum(math.exp(value) for value in row) for row in (teacher_row, student_row)]
        for t, s in zip(teacher_row, student_row, strict=True):
            p, q = math.exp(t) / sums[0], math.exp(s) / sums[1]
            total += p * math.log(p / q)
    return total / len(teacher)


def test_two_networks_equal_the_golden_figures() -> None:
    """Value and gradient in float64; the same gradient as the public code's cross entropy up to its 1e-8 in the log."""
    own, peer = logits("loss.logits"), logits("loss.logits2")
    loss, _ = mutual_losses([own, peer])
    loss.backward()
    assert own.grad is not None
    assert loss.item() == pytest.approx(GOLDEN["kl_teacher_student"], rel=1e-9)
    assert own.grad.norm().item() == pytest.approx(GOLDEN["kl_grad_l2"], rel=1e-9)
    public_code = GOLDEN["reference_cross_entropy_form"]
    assert own.grad[0, :4].tolist() == pytest.approx(public_code["grad_first4"], rel=1e-3)


def test_a_peer_only_teaches() -> None:
    """The first network's loss has no gradient for the second."""
    own, peer = logits("loss.logits"), logits("loss.logits2")
    mutual_losses([own, peer])[0].backward()
    assert peer.grad is None


def test_three_networks_equal_nested_loops() -> None:
    """Each pays the mean of its divergences from the two others."""
    networks = [logits(key) for key in ("loss.logits", "loss.logits2", "mutual.third")]
    for number, loss in enumerate(mutual_losses(networks)):
        peers = [peer for other, peer in enumerate(networks) if other != number]
        expected = sum(divergence(peer, networks[number]) for peer in peers) / 2
        assert loss.item() == pytest.approx(expected, rel=1e-9)


def test_networks_that_agree_pay_nothing() -> None:
    """Also where they are certain."""
    certain = torch.tensor([[1000.0, 0.0, -1000.0]])
    assert [loss.item() for loss in mutual_losses([certain, certain.clone()])] == [0, 0]
