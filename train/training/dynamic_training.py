"""Pyramid's dynamic training: chooses the losses and the kind of batch of every step from the losses before it."""

import math
from typing import Literal

from train.recipes.recipe import Dynamic

Phase = Literal["id", "both"]


class Controller:
    """Compares how fast identity and triplet loss fall, and trains on the identity loss alone while that falls faster.

    For each loss L, k is its moving average, p = min(k, k before) / k before measures how little it fell, and
    FL = -(1 - p)^gamma ln(p) measures how much it still falls. A step is "id" where FL_triplet < delta FL_identity,
    else "both".

    One step, by any rule: draw a batch for `phase` ("id": random images, "both": identity-balanced), measure both
    losses on it, and minimise what `observe` returns: the identity loss, or the plain sum of both.

    Rule `paper`: k starts at the first loss, the first step is "id" (p_identity = 0, p_triplet = 1), and the phase of a
    step is known before it. Source: Zheng et al., CVPR 2019, section 3.2.2, eq. (5) to (7), algorithm 1.
    Differs: FL only switches. As the weight of a loss (eq. (8)) its 1e-6 to 1e-3 would stop training.
    FL_triplet is compared with delta FL_identity without dividing: where both losses rose, 0 / 0, the step is "both".
    Rule `public_code`: k starts at 0, the first p is 0.5 for both losses, batches are always identity-balanced, and the
    phase of a step follows from its own losses.
    Rule `alternate`: the paper's ablation without triplet loss. Both kinds of batches take turns, beginning with random
    images, and only the identity loss is minimised. Source: the same, section 4.4, "No triplet loss" of table 4.
    """

    def __init__(self, settings: Dynamic) -> None:
        self._settings = settings
        self._steps = 0
        self._k_identity = self._k_triplet = 0.0  # k, eq. (5)
        self._p_identity, self._p_triplet = (0.5, 0.5) if settings.rule == "public_code" else (0.0, 1.0)  # p, eq. (6)

    @property
    def phase(self) -> Phase:
        """The kind of batch that the next step needs."""
        if self._settings.rule == "alternate":
            return "both" if self._steps % 2 else "id"
        return self._switch() if self._settings.rule == "paper" else "both"

    def observe(self, identity_loss: float, triplet_loss: float) -> Phase:
        """Record both losses of a step. Returns which of them this step minimises."""
        before = self.phase
        self._k_identity, self._p_identity = self._update(identity_loss, k=self._k_identity, p=self._p_identity)
        self._k_triplet, self._p_triplet = self._update(triplet_loss, k=self._k_triplet, p=self._p_triplet)
        self._steps += 1
        if self._settings.rule == "alternate":
            return "id"
        return before if self._settings.rule == "paper" else self._switch()

    def state(self) -> dict[str, float]:
        """All that `restore` needs to continue from here."""
        return {
            "steps": self._steps,
            "k_identity": self._k_identity,
            "k_triplet": self._k_triplet,
            "p_identity": self._p_identity,
            "p_triplet": self._p_triplet,
        }

    def restore(self, state: dict[str, float]) -> None:
        """Continue where `state` was called."""
        self._steps = int(state["steps"])
        self._k_identity, self._k_triplet = state["k_identity"], state["k_triplet"]
        self._p_identity, self._p_triplet = state["p_identity"], state["p_triplet"]

    def _update(self, loss: float, *, k: float, p: float) -> tuple[float, float]:
        """The next k and p of one loss."""
        is_first = self._steps == 0 and self._settings.rule != "public_code"
        before = loss if is_first else k
        after = self._settings.alpha * loss + (1 - self._settings.alpha) * before
        if before:
            p = min(after, before) / before
        return after, p

    def _switch(self) -> Phase:
        fl_identity, fl_triplet = self._focal(self._p_identity), self._focal(self._p_triplet)
        return "id" if fl_triplet < self._settings.delta * fl_identity else "both"

    def _focal(self, p: float) -> float:
        """FL, eq. (7)."""
        return (1 - p) ** self._settings.gamma * -math.log(p) if p else math.inf
