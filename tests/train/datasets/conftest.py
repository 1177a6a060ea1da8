"""Small trees in the layouts of the published data sets, and counts to match."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from train.datasets.published import PUBLISHED

Shrink = Callable[..., None]


@pytest.fixture
def shrink(monkeypatch: pytest.MonkeyPatch) -> Shrink:
    """Let a data set be complete with these counts for one test: `shrink("viper", {"training images": 4})`."""

    def change(name: str, counts: dict[str, int]) -> None:
        monkeypatch.setitem(PUBLISHED, name, replace(PUBLISHED[name], counts=counts))

    return change
