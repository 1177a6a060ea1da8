"""Retained messages: only the latest of each topic is sent, and again on each new connection."""

from edge_runtime.link.retained import RetainedMessages


def everything(retained: RetainedMessages) -> list[tuple[str, bytes, bool]]:
    """All messages that it hands out until its queue is empty."""
    return list(iter(retained.take, None))


def test_only_the_latest_word_on_a_topic_goes_out() -> None:
    """A camera that was stalled and is live again is live."""
    retained = RetainedMessages()
    retained.put_retained("status", b"stalled")
    retained.put_retained("status", b"live")
    retained.put_once("metrics", b"1")
    assert everything(retained) == [("status", b"live", True), ("metrics", b"1", False)]
    assert everything(retained) == []


def test_a_new_connection_hears_what_is_retained_and_nothing_else() -> None:
    """Figures from the time without a broker are out of date."""
    retained = RetainedMessages()
    retained.put_retained("birth", b"b")
    retained.put_once("metrics", b"1")
    everything(retained)
    retained.put_once("metrics", b"2")
    retained.reset()
    assert everything(retained) == [("birth", b"b", True)]
