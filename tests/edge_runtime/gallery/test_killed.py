"""A gallery that is killed in the middle of writing."""

import subprocess
import sys
import time

from edge_runtime.gallery.descriptor_store import Where
from tests.conftest import ROOT
from tests.edge_runtime.gallery.conftest import Place
from tests.support.gallery_rows import SPACE, sample_row, vector_of


def add_until_killed(place: Place, *, first: int, seconds: float) -> int:
    """Let a process add rows for a while after its first ones, kill -9 it, and return how many it said are stored."""
    command = [sys.executable, "-m", "tests.support.add_until_killed", place.address, str(first)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = process.stdout.readline()
    time.sleep(seconds)
    process.kill()
    process.wait()
    # What is written of a last line without its end does not count.
    lines = (said + process.stdout.read()).split("\n")[:-1]
    process.stdout.close()
    return int(lines[-1])


def test_a_kill_in_mid_write_loses_doubles_and_tears_nothing(place: Place) -> None:
    """Three times: what was said to be stored is there, once and whole; sending everything again fills the rest."""
    stored = 0
    for pause_s in (0.05, 0.11, 0.17):
        stored = add_until_killed(place, first=stored, seconds=pause_s)
        store = place.open()
        rows = list(store.rows(Where()))
        assert len(rows) >= stored
        assert rows == [sample_row(seq) for seq in range(len(rows))]
        store.close()
    store = place.open()
    again = [sample_row(seq) for seq in range(stored + 200)]
    assert store.add(again) == len(again) - len(rows)
    assert list(store.rows(Where())) == again
    assert store.search(vector_of(0, seed=5), where=Where(space=SPACE), count=1)[0].row == again[5]
    store.close()
