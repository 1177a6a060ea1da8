"""What the pictures are drawn of: colour patterns."""

import pytest

from tests.support.market_folder import write_market_folder
from train.datasets.catalog import ReidData, open_folder


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> ReidData:
    """Colour patterns in Market-1501's layout: 12 queries, 24 gallery images of 6 identities."""
    return open_folder(write_market_folder(tmp_path_factory.mktemp("data") / "patterns"))
