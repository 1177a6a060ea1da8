"""The retained: the latest word on each topic, and what a new connection must hear again."""

from edge_runtime.link.retained import RetainedMessages


def everything(retained: RetainedMessages) -> list[tuple[str, bytes, bool]]:
    """What it gives out until it has nothing more to say."""
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
    """Figures of the time without a broker are old news."""
    retained = RetainedMessages()
    retained.put_retained("birth", b"b")
    retained.put_once("metrics", b"1")
    everything(retained)
    retained.put_once("metrics", b"2")
    retained.reset()
    assert everything(retained) == [("birth", b"b", True)]
