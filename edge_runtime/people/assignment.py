"""The best way to give each row at most one column, and each column at most one row; and where others are as good."""

import numpy as np
from numpy.typing import NDArray


def assign(gain: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Choose the pairs with the greatest sum of gains; only pairs with a gain above 0 are chosen.

    gain: (N, M), finite. Returns (row, column), rows ascending.

    Source: Kuhn, Naval Research Logistics Quarterly 2, 1955, with shortest augmenting paths (Jonker and Volgenant,
    Computing 38, 1987).
    """
    if gain.shape[0] > gain.shape[1]:
        return sorted((row, column) for column, row in assign(gain.T))
    # Rows and columns without any gain would only make the problem larger.
    rows, columns = np.flatnonzero((gain > 0).any(axis=1)), np.flatnonzero((gain > 0).any(axis=0))
    if len(rows) == 0:
        return []
    part = np.maximum(gain[np.ix_(rows, columns)], 0.0)
    best = part.argmax(axis=1)
    if len(np.unique(best)) == len(best):  # nobody wants another's best, so no sum is greater: the usual case
        return list(zip(rows.tolist(), columns[best].tolist(), strict=True))
    if len(rows) > len(columns):
        part = np.pad(part, ((0, 0), (0, len(rows) - len(columns))))
    row_of = _cheapest_rows(-part)
    pairs = [(row, column) for column, row in enumerate(row_of) if row >= 0 and part[row, column] > 0]
    return sorted((int(rows[row]), int(columns[column])) for row, column in pairs)


def find_contested(gain: NDArray[np.float64], pairs: list[tuple[int, int]], *, least_loss: float) -> list[int]:
    """The columns of which another choice is about as good. pairs: as `assign` chose them.

    Another choice gives a column to another row, and their partners, if they have any, to each other. It is about as
    good if the sum of gains is less than `least_loss` lower. Returns columns, ascending.
    """
    rows, columns = gain.shape
    row_of, column_of = np.full(columns, rows), np.full(rows, columns)  # the last ones: nobody
    for row, column in pairs:
        row_of[column], column_of[row] = row, column
    padded = np.pad(gain, ((0, 1), (0, 1)))
    of_row, of_column = padded[np.arange(rows), column_of], padded[row_of, np.arange(columns)]
    of_partners = np.maximum(padded[row_of[None], column_of[:, None]], 0.0)
    is_contested = of_row[:, None] + of_column - gain - of_partners < least_loss
    for row, column in pairs:
        is_contested[row, column] = False
    partners = column_of[is_contested.any(axis=1)]
    contested = {*np.flatnonzero(is_contested.any(axis=0)).tolist(), *partners.tolist()} - {columns}
    return sorted(contested)


def _cheapest_rows(cost: NDArray[np.float64]) -> list[int]:
    """Give every row a column of its own at the least sum of costs. cost: (N, M), N <= M.

    Returns for each column its row, or -1.
    """
    row_count, column_count = cost.shape
    row_price, column_price = np.zeros(row_count), np.zeros(column_count + 1)
    row_of = np.full(column_count + 1, -1)  # the last column is where each new row starts from
    for first in range(row_count):
        row_of[column_count] = first
        column, distance = column_count, np.full(column_count, np.inf)
        came_from, is_done = np.full(column_count, column_count), np.zeros(column_count + 1, bool)
        while row_of[column] >= 0:
            is_done[column] = True
            row = row_of[column]
            reached = cost[row] - row_price[row] - column_price[:-1]
            is_nearer = ~is_done[:-1] & (reached < distance)
            distance[is_nearer], came_from[is_nearer] = reached[is_nearer], column
            nearest = int(np.where(is_done[:-1], np.inf, distance).argmin())
            step = distance[nearest]
            row_price[row_of[is_done]] += step
            column_price[is_done] -= step
            distance[~is_done[:-1]] -= step
            column = nearest
        while column != column_count:
            previous = int(came_from[column])
            row_of[column] = row_of[previous]
            column = previous
    return [int(row) for row in row_of[:-1]]
