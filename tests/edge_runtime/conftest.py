"""What tests of the device side may start: brokers, and the secrets they ask for."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from edge_runtime.contract.script import SAMPLE_CLIP
from edge_runtime.link.broker_settings import BrokerSettings
from edge_runtime.link.publisher import LinkSettings, Publisher
from tests.support.daemon_site import MakeSite, Site
from tests.support.mqtt_broker import Broker, Secrets, make_secrets
from tests.support.sample_messages import MANIFEST, open_spool

MakeBroker = Callable[[list[str]], Broker]


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[MakeBroker]:
    """Make and start brokers with configuration lines of one's own; they end with the test."""
    brokers: list[Broker] = []

    def make(lines: list[str]) -> Broker:
        folder = tmp_path / f"broker-{len(brokers)}"
        folder.mkdir()
        brokers.append(Broker(folder, lines=lines))
        brokers[-1].start()
        return brokers[-1]

    yield make
    for broker in brokers:
        broker.stop()


@pytest.fixture
def broker(make_broker: MakeBroker) -> Broker:
    """A broker that lets everybody in."""
    return make_broker(["allow_anonymous true"])


@pytest.fixture(scope="session")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Secrets:
    """Certificates of an authority of our own, and a user with a password."""
    return make_secrets(tmp_path_factory.mktemp("secrets"))


@pytest.fixture(scope="session")
def pedestrians() -> Path:
    """OpenCV's sample of pedestrians, which `make test` fetches from the distribution."""
    if not SAMPLE_CLIP.exists():
        pytest.skip("needs the sample clip that `make test` fetches")
    return SAMPLE_CLIP


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[MakeSite]:
    """Make a site; its processes end with the test."""
    with ExitStack() as stack:

        def make(source: object, *, port: int = 1) -> Site:
            folder = tmp_path / "site"
            folder.mkdir()
            return Site(folder, stack, port=port, source=str(source))

        yield make


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[Publisher]:
    """A publisher without a broker: messages stay in the spool and among the retained ones."""
    with open_spool(tmp_path) as spool:
        settings = LinkSettings(BrokerSettings("127.0.0.1", 1), site="lab", node="cam")
        yield Publisher(settings, spool, node_card={}, manifests=[MANIFEST])
