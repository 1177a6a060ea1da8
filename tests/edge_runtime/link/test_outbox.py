"""The outbox: the latest word on each topic, and what a new connection must hear again."""

from edge_runtime.link.outbox import Outbox


def everything(outbox: Outbox) -> list[tuple[str, bytes, bool]]:
    """What it gives out until it has nothing more to say."""
    return list(iter(outbox.take, None))


def test_only_the_latest_word_on_a_topic_goes_out() -> None:
    """A camera that was stalled and is live again is live."""
    outbox = Outbox()
    outbox.put_retained("status", b"stalled")
    outbox.put_retained("status", b"live")
    outbox.put_once("metrics", b"1")
    assert everything(outbox) == [("status", b"live", True), ("metrics", b"1", False)]
    assert everything(outbox) == []


def test_a_new_connection_hears_what_is_retained_and_nothing_else() -> None:
    """Figures of the time without a broker are old news."""
    outbox = Outbox()
    outbox.put_retained("birth", b"b")
    outbox.put_once("metrics", b"1")
    everything(outbox)
    outbox.put_once("metrics", b"2")
    outbox.begin()
    assert everything(outbox) == [("birth", b"b", True)]
