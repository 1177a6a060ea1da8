"""Losses against the golden figures, value and gradient, and against nested loops."""

import json
import math
from typing import Any, Literal

import pytest
import torch
from torch.nn import functional

from tests.conftest import ROOT
from tests.golden.rule import symmetric, uniform
from train.training.losses import (
    CentreLoss,
    batch_hard_triplet,
    combine_branches,
    entropy,
    label_smoothed_cross_entropy,
    mutual_learning_losses,
    pairwise_distances,
    weighted_attribute_loss,
)

GOLDEN: dict[str, Any] = json.loads((ROOT / "tests/golden/losses.json").read_text())
LABELS = torch.arange(16) // 4
RULES: tuple[Literal["mean", "sum"], ...] = ("mean", "sum")


def embedding() -> torch.Tensor:
    """Four identities, four images each."""
    identity = symmetric("loss.identity", 4, 32)[LABELS.numpy()]
    return torch.tensor(identity + 1.2 * symmetric("loss.embedding", 16, 32), requires_grad=True)


def logits(key: str = "loss.logits") -> torch.Tensor:
    return torch.tensor(3 * symmetric(key, 16, 10), requires_grad=True)


def centre_loss(key: str = "loss.centers", *, learned: bool = True) -> CentreLoss:
    """With the golden centres in float64."""
    loss = CentreLoss(10, 32, learned=learned).double()
    loss.load_state_dict({"centres": torch.tensor(symmetric(key, 10, 32))})
    return loss


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


def test_triplets_of_unit_embeddings_equal_the_golden_figures() -> None:
    """Retrieval by cosine: L2-normalised first, the gradient goes through the norm."""
    expected, rows = GOLDEN["triplet"]["hinge_margin_0.3_on_l2_normalised"], embedding()
    loss = batch_hard_triplet(functional.normalize(rows), LABELS, margin=0.3)
    loss.backward()
    assert rows.grad is not None
    assert loss.item() == pytest.approx(expected["value"], rel=1e-9)
    assert rows.grad.norm().item() == pytest.approx(expected["grad_l2"], rel=1e-9)


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


def test_small_distances_between_long_embeddings_are_exact() -> None:
    """2,048 numbers of about 50 have a squared length of five million, of which float32 keeps only halves."""
    first = torch.full((2048,), 50.0)
    second = first.clone()
    second[0] += 0.25
    assert pairwise_distances(torch.stack([first, second]))[0, 1].item() == pytest.approx(0.25, rel=1e-5)


@pytest.mark.parametrize(("key", "smoothing"), [("plain", 0.0), ("label_smoothing_0.1", 0.1)])
def test_cross_entropy_equals_the_golden_figures(key: str, smoothing: float) -> None:
    """Value and gradient in float64."""
    expected = GOLDEN["cross_entropy"][key]
    rows = logits()
    loss = label_smoothed_cross_entropy(rows, LABELS, smoothing=smoothing)
    loss.backward()
    assert rows.grad is not None
    assert loss.item() == pytest.approx(expected["value"], rel=1e-9)
    assert rows.grad.norm().item() == pytest.approx(expected["grad_l2"], rel=1e-9)


def test_cross_entropy_equals_nested_loops() -> None:
    """Against the target (1 - e) one-hot + e / C."""
    rows, smoothing, total = logits().tolist(), 0.1, 0.0
    for row, label in zip(rows, LABELS.tolist(), strict=True):
        normaliser = math.log(sum(math.exp(value) for value in row))
        for number, value in enumerate(row):
            target = (1 - smoothing) * (number == label) + smoothing / len(row)
            total -= target * (value - normaliser)
    loss = label_smoothed_cross_entropy(logits(), LABELS, smoothing=smoothing)
    assert loss.item() == pytest.approx(total / 16, rel=1e-9)


def test_centre_loss_equals_the_golden_figures() -> None:
    """Value, and the gradients of embeddings and centres, in float64."""
    expected, rows, loss = GOLDEN["center"], embedding(), centre_loss()
    value = loss(rows, LABELS)
    value.backward()
    assert rows.grad is not None
    assert loss.centres.grad is not None
    assert value.item() == pytest.approx(expected["mean_squared_distance"], rel=1e-9)
    assert rows.grad.norm().item() == pytest.approx(expected["grad_l2"], rel=1e-9)
    assert loss.centres.grad.norm().item() == pytest.approx(expected["center_grad_l2"], rel=1e-9)
    assert loss.centres.grad[0, :4].tolist() == pytest.approx(expected["center_grad_row0_first4"], rel=1e-9)


def test_centre_loss_equals_nested_loops() -> None:
    """Each image's squared distance to the centre of its own class."""
    rows, loss, total = embedding().detach(), centre_loss(), 0.0
    for row, label in zip(rows.tolist(), LABELS.tolist(), strict=True):
        total += sum((a - b) ** 2 for a, b in zip(row, loss.centres[label].tolist(), strict=True))
    assert loss(rows, LABELS).item() == pytest.approx(total / 16, rel=1e-9)


def test_frozen_centres_are_saved_but_never_learn() -> None:
    """A resumed run needs the same random points; an optimiser must not find them."""
    loss = centre_loss(learned=False)
    assert not list(loss.parameters())
    assert list(loss.state_dict()) == ["centres"]
    assert loss(embedding(), LABELS).item() == pytest.approx(centre_loss()(embedding(), LABELS).item())


def test_entropy_equals_the_golden_figure_and_nested_loops() -> None:
    """Mean over images of -sum p ln p."""
    total = 0.0
    for row in logits().tolist():
        normaliser = sum(math.exp(value) for value in row)
        total -= sum(math.exp(value) / normaliser * math.log(math.exp(value) / normaliser) for value in row)
    found = entropy(logits()).item()
    assert found == pytest.approx(total / 16, rel=1e-9)
    assert found == pytest.approx(GOLDEN["entropy"]["mean_entropy_of_softmax"], rel=1e-9)


def test_a_certain_prediction_has_entropy_zero_and_a_finite_gradient() -> None:
    """0 ln 0 is 0, not NaN."""
    rows = torch.tensor([[1000.0, 0.0, -1000.0]], requires_grad=True)
    loss = entropy(rows)
    loss.backward()
    assert rows.grad is not None
    assert loss.item() == 0
    assert torch.isfinite(rows.grad).all()


def test_weighted_attribute_loss_equals_the_golden_figures_and_nested_loops() -> None:
    """Both terms of attribute a are weighted by exp(-r_a)."""
    expected = GOLDEN["attribute"]["official_weighted_bce"]
    rows = torch.tensor(3 * symmetric("attr.logits", 12, 6), requires_grad=True)
    targets = torch.tensor(uniform("attr.labels", 12, 6) < (0.5, 0.1, 0.3, 0.7, 0.2, 0.9))
    targets[0] = torch.tensor([1, 0, 0, 0, 0, 0])
    ratios = targets.double().mean(dim=0)
    loss = weighted_attribute_loss(rows, targets, positive_ratios=ratios)
    loss.backward()
    total = 0.0
    for n in range(12):
        for a in range(6):
            probability = 1 / (1 + math.exp(-rows[n, a].item()))
            likelihood = probability if targets[n, a] else 1 - probability
            total -= math.exp(-ratios[a].item()) * math.log(likelihood)
    assert rows.grad is not None
    assert loss.item() == pytest.approx(total / 72, rel=1e-9)
    assert loss.item() == pytest.approx(expected["value"], rel=1e-9)
    assert rows.grad.norm().item() == pytest.approx(expected["grad_l2"], rel=1e-9)
    assert rows.grad[0, :4].tolist() == pytest.approx(expected["grad_first4"], rel=1e-9)


def test_the_total_of_plr_osnet_equals_both_readings() -> None:
    """Public code: each term is the mean of the two branches. Paper, eq. (6): it is their sum."""
    classified = (logits("loss.logits"), logits("loss.logits2"))
    embedded = (embedding(), torch.tensor(1.5 * symmetric("loss.embedding2", 16, 32)))
    centres = (centre_loss("loss.centers"), centre_loss("loss.centers2"))
    terms = [
        (1.0, [label_smoothed_cross_entropy(rows, LABELS, smoothing=0.1) for rows in classified]),
        (1.0, [batch_hard_triplet(rows, LABELS, margin=None) for rows in embedded]),
        (0.0005, [loss(rows, LABELS) for loss, rows in zip(centres, embedded, strict=True)]),
    ]
    mean, total = (
        sum(weight * combine_branches(losses, rule=rule).item() for weight, losses in terms) for rule in RULES
    )
    expected = GOLDEN["plr_total"]
    assert mean == pytest.approx(expected["official_code_0.5(id)+0.5(tri)+0.0005*0.5(center)"], rel=1e-9)
    assert total == pytest.approx(expected["paper_eq6_summed_over_branches_gamma_t=1_gamma_c=0.0005"], rel=1e-9)


MUTUAL_GOLDEN: dict[str, Any] = json.loads((ROOT / "tests/golden/losses.json").read_text())["mutual_learning"]


def mutual_logits(key: str) -> torch.Tensor:
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
    own, peer = mutual_logits("loss.logits"), mutual_logits("loss.logits2")
    loss, _ = mutual_learning_losses([own, peer])
    loss.backward()
    assert own.grad is not None
    assert loss.item() == pytest.approx(MUTUAL_GOLDEN["kl_teacher_student"], rel=1e-9)
    assert own.grad.norm().item() == pytest.approx(MUTUAL_GOLDEN["kl_grad_l2"], rel=1e-9)
    public_code = MUTUAL_GOLDEN["reference_cross_entropy_form"]
    assert own.grad[0, :4].tolist() == pytest.approx(public_code["grad_first4"], rel=1e-3)


def test_a_peer_only_teaches() -> None:
    """The first network's loss has no gradient for the second."""
    own, peer = mutual_logits("loss.logits"), mutual_logits("loss.logits2")
    mutual_learning_losses([own, peer])[0].backward()
    assert peer.grad is None


def test_three_networks_equal_nested_loops() -> None:
    """Each pays the mean of its divergences from the two others."""
    networks = [mutual_logits(key) for key in ("loss.logits", "loss.logits2", "mutual.third")]
    for number, loss in enumerate(mutual_learning_losses(networks)):
        peers = [peer for other, peer in enumerate(networks) if other != number]
        expected = sum(divergence(peer, networks[number]) for peer in peers) / 2
        assert loss.item() == pytest.approx(expected, rel=1e-9)


def test_networks_that_agree_pay_nothing() -> None:
    """The loss is 0 for equal predictions, also where a probability is 0 or 1."""
    certain = torch.tensor([[1000.0, 0.0, -1000.0]])
    assert [loss.item() for loss in mutual_learning_losses([certain, certain.clone()])] == [0, 0]
