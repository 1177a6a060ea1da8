"""Small trees in the layouts of the published data sets, and counts to match."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from train.datasets.catalog import DATA_SETS

Shrink = Callable[..., None]


@pytest.fixture
def shrink(monkeypatch: pytest.MonkeyPatch) -> Shrink:
    """Let a data set be complete with these counts for one test: `shrink("viper", {"training images": 4})`."""

    def change(name: str, counts: dict[str, int]) -> None:
        monkeypatch.setitem(DATA_SETS, name, replace(DATA_SETS[name], counts=counts))

    return change
