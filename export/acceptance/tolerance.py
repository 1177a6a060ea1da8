"""How much an engine may lose against its float32 parent before it is refused."""

import argparse
import math
from dataclasses import dataclass, replace

from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import Change, Fidelity, Precision

# Far from the training data cosine to float32 is 3 to 4 times worse, with the same loss in retrieval.
_OUT_OF_DOMAIN = 4
_UNSEEN = 3
"""An event that was not seen in N trials has a rate of at most 3/N, with 95 % confidence (the rule of three)."""


@dataclass(frozen=True)
class Tolerance:
    """Retrieval that may be lost, in percentage points, and cosine to the parent that must be kept.

    cosine_mean: mean over all test images. cosine_least: of the worst image. retrieval_decides: cosines
    count only where the interval of mAP does not prove that no more than `mean_ap` is lost.
    """

    rank1: float
    mean_ap: float
    cosine_mean: float
    cosine_least: float
    retrieval_decides: bool = False

    def is_proven_by(self, change: Change | None, *, queries: int) -> bool:
        """Whether the change of mAP alone shows that the engine is good enough.

        Where no query changes at all, up to 3 in `queries` still may (95 %): too few queries prove nothing.
        """
        if not self.retrieval_decides or change is None or queries * self.mean_ap < 100 * _UNSEEN:
            return False
        return -100 * change.low <= self.mean_ap


# INT8 and the cosines: the limits that this project promises. Other precisions are as near as rounding, so a cosine
# that is off means pixels prepared wrongly, whatever is still found; what INT8 moves, retrieval may judge. On 1,400
# queries half precision changes the first place of up to four queries (0.29 points) but not mAP, so the narrow limit
# of half precision is that of mAP.
TOLERANCES: dict[Precision, Tolerance] = {
    "fp32": Tolerance(rank1=0.1, mean_ap=0.05, cosine_mean=0.99999, cosine_least=0.9999),
    "fp16": Tolerance(rank1=0.3, mean_ap=0.05, cosine_mean=0.9995, cosine_least=0.985),
    "bf16": Tolerance(rank1=0.3, mean_ap=0.05, cosine_mean=0.9995, cosine_least=0.985),
    "int8": Tolerance(rank1=0.5, mean_ap=0.3, cosine_mean=0.997, cosine_least=0.985, retrieval_decides=True),
}


def usual_tolerance(precision: Precision, *, queries: int) -> Tolerance:
    """The tolerance of a precision on this number of queries.

    With few queries it is at least one query of rank-1 and half a query of mAP: that is what one query costs that finds
    its person second instead of first, and rounding alone can do that.
    """
    limits = TOLERANCES[precision]
    return replace(limits, rank1=max(limits.rank1, 100 / queries), mean_ap=max(limits.mean_ap, 50 / queries))


def retrieval_fault(name: str, change: Change, *, allowed: float, queries: int) -> str:
    """A phrase for a loss of retrieval beyond what is allowed, in points, and how many queries would decide it."""
    lost, least, most = (0 - 100 * value for value in (change.value, change.high, change.low))
    said = f"{lost:.2f} points of {name} lost ({least:.2f} to {most:.2f}) where at most {round(allowed, 2):g} may be"
    if least > allowed:
        return said
    enough = math.ceil(queries * ((most - least) / 2 / allowed) ** 2 / 100) * 100
    return f"{said}, which {queries} queries cannot decide and about {enough:,} would"


def cosine_faults(found: Fidelity, tolerance: Tolerance, *, of: str, out_of_domain: bool) -> list[str]:
    """Phrases that say which cosines are too small. of: which crops, such as `of the test images`."""
    slack = _OUT_OF_DOMAIN if out_of_domain else 1
    limits = (1 - slack * (1 - limit) for limit in (tolerance.cosine_mean, tolerance.cosine_least))
    values = (found.cosine_mean, found.cosine_min)
    return [
        f"{name} cosine to float32 {value:.5f} {of} where at least {limit:.7g} must be kept"
        for name, value, limit in zip(("mean", "least"), values, limits, strict=True)
        if value < limit - 1e-9
    ]


_OPTIONS = {
    "rank1": ("--rank1-points", "percentage points of rank-1 that may be lost; with few queries at least one query"),
    "mean_ap": ("--map-points", "percentage points of mAP that may be lost; with few queries at least half a query"),
    "cosine_mean": ("--mean-cosine", "mean cosine to the parent that must be kept"),
    "cosine_least": ("--least-cosine", "cosine to the parent that the worst image must keep"),
}


def add_tolerance_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how much a model may lose."""
    for field, (option, meaning) in _OPTIONS.items():
        usual = ", ".join(f"{name} {getattr(limit, field):g}" for name, limit in TOLERANCES.items())
        parser.add_argument(option, dest=field, metavar="NUMBER", type=float, help=f"{meaning} (default: {usual})")


def tolerance_of(arguments: argparse.Namespace, precision: Precision, *, queries: int) -> Tolerance:
    """The tolerance asked for with the options of `add_tolerance_options`, else the usual one.

    Raises:
        ConfigError: a limit is nan, which no loss would exceed.
    """
    given = {name: getattr(arguments, name) for name in _OPTIONS}
    wanted = {name: value for name, value in given.items() if value is not None}
    if any(math.isnan(value) for value in wanted.values()):
        raise ConfigError(f"{', '.join(_OPTIONS[name][0] for name in wanted)} take numbers, found nan")
    usual = usual_tolerance(precision, queries=queries)
    if {"cosine_mean", "cosine_least"} & set(wanted):
        usual = replace(usual, retrieval_decides=False)
    return replace(usual, **wanted)
