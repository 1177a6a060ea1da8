"""Topics: what is built can be parsed, and no name can change a topic's meaning."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.contract.errors import ConfigError, PublishError
from edge_runtime.link.topics import (
    Topic,
    camera_topic,
    check_filter,
    descriptor_topic,
    fits_filter,
    identity_topic,
    node_topic,
    parse_topic,
)

NAMES = st.text(st.characters(exclude_characters="+#/\0", exclude_categories=("Cs",)), min_size=1)


@given(NAMES, NAMES, NAMES, NAMES)
def test_a_topic_can_be_taken_apart_again(site: str, node: str, camera: str, space: str) -> None:
    """Parsing gives the parts it was built of."""
    assert parse_topic(descriptor_topic(site, node, camera=camera, space=space)) == Topic(
        site, node, camera, "descriptor", space
    )
    for leaf in ("status", "track"):
        assert parse_topic(camera_topic(site, node, camera=camera, leaf=leaf)) == Topic(site, node, camera, leaf)
    for leaf in ("status", "birth", "gap", "metrics"):
        assert parse_topic(node_topic(site, node, leaf=leaf)) == Topic(site, node, None, leaf)


@pytest.mark.parametrize("name", ["", "a+", "#", "a/b", "a\0"])
def test_a_name_that_would_change_the_topic_is_refused(name: str) -> None:
    """In every place, with the name in the sentence."""
    for build in (
        lambda: node_topic(name, "n", leaf="status"),
        lambda: node_topic("s", name, leaf="status"),
        lambda: camera_topic("s", "n", camera=name, leaf="track"),
        lambda: descriptor_topic("s", "n", camera="c", space=name),
    ):
        with pytest.raises(ConfigError, match="cannot be part of an MQTT topic"):
            build()


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "reid",
        "reid/v1/s/n/other",
        "reid/v1/s/n/c/other",
        "reid/v1//n/status",
        "reid/v1/s/n",
        "reid/v1/s/+/c/track",
    ],
)
def test_a_foreign_topic_is_refused(topic: str) -> None:
    """A topic that is not ours is refused, not guessed."""
    with pytest.raises(PublishError, match="no topic of this system"):
        parse_topic(topic)


def test_a_topic_that_is_too_long_is_refused() -> None:
    """MQTT allows 65,535 bytes, and receivers remember the names in topics; the sentence does not repeat them."""
    with pytest.raises(PublishError, match="a topic of 60016 characters is too long") as caught:
        parse_topic(f"reid/v1/{'s' * 60_000}/n/birth")
    assert len(str(caught.value)) < 100


def test_another_major_version_is_refused() -> None:
    """Its messages may mean something else; the sentence names both versions."""
    with pytest.raises(PublishError, match="is of version v2, expected v1"):
        parse_topic("reid/v2/s/n/status")


def test_a_gallery_has_topics_of_its_own() -> None:
    """Identity messages are below the site, beside the nodes."""
    topic = identity_topic("shop", space="a" * 16)
    assert topic == f"reid/v1/shop/identity/{'a' * 16}"
    assert parse_topic(topic) == Topic("shop", "", None, "identity", "a" * 16)


@pytest.mark.parametrize(
    ("pattern", "fitting", "others"),
    [
        ("frigate/events", ["frigate/events"], ["frigate", "frigate/events/door", "other/events"]),
        ("axis/+/scene", ["axis/1/scene", "axis//scene"], ["axis/scene", "axis/1/2/scene"]),
        ("cam/#", ["cam", "cam/1", "cam/1/2"], ["came", "other/1"]),
        ("+/#", ["a", "a/b", "a/b/c"], []),
        ("#", ["a", "a/b"], []),
    ],
)
def test_a_filter_fits_the_topics_that_a_broker_would_send(pattern: str, fitting: list[str], others: list[str]) -> None:
    """As the standard says: + is one level, which may be empty, and # is any number of them."""
    assert check_filter(pattern) == pattern
    assert [topic for topic in fitting + others if fits_filter(topic, pattern)] == fitting
