"""How well tracks were joined into people: IDF1, AssA, right joins and false ones, over whole tracks."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class JoiningScores:
    """All in [0, 1] but false_joins: tracks per 1,000 that carry another person's name.

    recall: share of a person's tracks that carry the same name, mean over tracks.
    """

    idf1: float
    ass_a: float
    recall: float
    false_joins: float
    names_per_person: float


def score_joining(names: NDArray[np.intp], people: NDArray[np.intp]) -> JoiningScores:
    """Score one name per track. names, people: (N,).

    Source: Ristani et al., ECCVW 2016 (IDF1); Luiten et al., IJCV 2021 (AssA, here with one detection a track).
    """
    _, row = np.unique(names, return_inverse=True)
    _, column = np.unique(people, return_inverse=True)
    table = np.zeros((row.max() + 1, column.max() + 1))
    np.add.at(table, (row, column), 1.0)
    of_name, of_person = table.sum(1), table.sum(0)
    shared = table[row, column]
    return JoiningScores(
        idf1=float(_most_shared(table) / len(names)),
        ass_a=float((shared / (of_name[row] + of_person[column] - shared)).mean()),
        recall=float((shared / of_person[column]).mean()),
        false_joins=float(1000.0 * (len(names) - table.max(1).sum()) / len(names)),
        names_per_person=float((table > 0).sum(0).mean()),
    )


def mean_scores(scores: Sequence[JoiningScores]) -> JoiningScores:
    """The mean of each score."""
    return JoiningScores(*np.mean([astuple(one) for one in scores], axis=0).tolist())


def _most_shared(table: NDArray[np.float64]) -> float:
    """Most tracks that can be right when each name stands for one person at most, and each person has one name."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(table, maximize=True)
    return float(table[rows, columns].sum())
