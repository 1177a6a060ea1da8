"""The log as programs read it: one JSON object per line, and nothing below the level."""

import json
import logging
from collections.abc import Iterator

import pytest

from edge_runtime.contract.log_lines import LogSettings, set_up_log

logger = logging.getLogger("edge_runtime.part")


@pytest.fixture(autouse=True)
def keep_log() -> Iterator[None]:
    """Leave the log as the test has found it."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_each_event_is_one_json_object_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Also one with line breaks and a traceback; what is about a camera names it in a field."""
    set_up_log(LogSettings(format="json"))
    logger.info("connected to %s", "a\nb")
    logger.warning("camera %s lost: %s", "door", "é")
    try:
        raise ValueError("a\nbug")
    except ValueError:
        logger.exception("failed")
    plain, camera, fault = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    time = plain.pop("time")
    assert time.endswith("Z")
    assert len(time) == len("2026-01-01T00:00:00.000Z")
    assert plain == {"level": "info", "part": "edge_runtime.part", "message": "connected to a\nb"}
    assert (camera["camera"], camera["message"], camera["level"]) == ("door", "camera door lost: é", "warning")
    assert fault["traceback"].endswith("ValueError: a\nbug")


def test_less_important_events_are_left_out_and_a_change_replaces_the_form(capsys: pytest.CaptureFixture[str]) -> None:
    """After a reload no event is written twice."""
    set_up_log(LogSettings(format="json", level="debug"))
    set_up_log(LogSettings(level="warning"))
    logger.info("unimportant")
    logger.warning("important")
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith(" WARNING important")
