"""A gallery that stores rows, a few at a time, until it is killed; it says how many are stored.

Run by tests as `python -m tests.support.add_until_killed STORE FIRST`.
"""

import sys
from itertools import count

from edge_runtime.gallery.manage_gallery import open_gallery_store
from tests.support.gallery_rows import sample_row

ROWS_AT_ONCE = 40


def main(place: str, first: int) -> None:
    """Add rows from number `first` on for ever."""
    store = open_gallery_store(place)
    for start in count(first, ROWS_AT_ONCE):
        store.add([sample_row(seq) for seq in range(start, start + ROWS_AT_ONCE)])
        print(start + ROWS_AT_ONCE, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
