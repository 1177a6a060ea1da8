"""Dashboard and alert rules name only what the daemon and the gallery export."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from edge_runtime.gallery.gallery_metrics import GalleryFigures, metrics_text
from edge_runtime.gallery.intake import IntakeState
from edge_runtime.gallery.webhook import WebhookState
from edge_runtime.health import checks
from edge_runtime.health.checks import HealthChecks
from edge_runtime.link.clock import ClockState
from edge_runtime.link.counters import Counts
from edge_runtime.link.publisher import LinkFacts, Publisher
from edge_runtime.service import Service
from tests.conftest import ROOT
from tests.support.sample_messages import MANIFEST
from tests.support.scripted import ScriptedSource, scripted_stream

INSTALL = ROOT / "edge_runtime/install"
DASHBOARD = json.loads((INSTALL / "grafana_dashboard.json").read_text())
ALERTS = yaml.safe_load((INSTALL / "prometheus_alerts.yaml").read_text())
OF_PROMETHEUS = {"instance", "job"}


class TalkativePublisher(Publisher):
    """Has every figure that there may be."""

    def __init__(self) -> None:
        """Nothing is sent."""

    def facts(self) -> LinkFacts:
        """See `Publisher.facts`."""
        return LinkFacts(
            is_connected=True,
            is_taken_over=False,
            spool_fault=None,
            fault=None,
            counts=Counts(1, 1, 0, 0, 1, 10.0, 20.0),
            waiting=0,
            spooled=0,
            spool_bytes=0,
            spool_hours=72.0,
            clock=ClockState(True, 0.001, 0.02),
            dropped={"overflow": 1},
            damages=0,
        )

    def oldest_age_s(self) -> float:
        """See `Publisher.oldest_age_s`."""
        return 0.0


@pytest.fixture(autouse=True)
def board(monkeypatch: pytest.MonkeyPatch) -> None:
    """A board that tells everything."""
    monkeypatch.setattr(checks, "read_temperatures", lambda: {"CPU-therm": 50.0})
    monkeypatch.setattr(checks, "read_power", lambda: {"VDD_IN": 7.0})
    monkeypatch.setattr(checks, "read_is_throttled", lambda: False)


def daemon_checks() -> HealthChecks:
    """Of a daemon that has every figure."""
    stream = scripted_stream(ScriptedSource())
    stream.sensitivity = 2.0
    service = Service.__new__(Service)
    service.streams, service.stage_s = (stream,), {"look": 1.0}
    service.engine = SimpleNamespace(manifest=MANIFEST, backend="test")  # type: ignore[assignment]
    return HealthChecks(service, TalkativePublisher())


def exported() -> dict[str, set[str]]:
    """Name -> labels, of the daemon and the gallery."""
    of_daemon = daemon_checks()
    names = {figure.name: set(figure.labels) for figure in of_daemon.figures()}
    for distribution in of_daemon.distributions():
        names |= {f"{distribution.name}_{part}": set() for part in ("sum", "count")}
        names[f"{distribution.name}_bucket"] = {"le"}
    figures = GalleryFigures(
        intake=IntakeState(None, None, 1, 0, 0, 0, 0, 0, None),
        checks={"disk": True},
        stored_bytes=0,
        free_bytes=0,
        sightings={"space": 1},
        clock_ahead_s=0.0,
        last_expiry_s=1.0,
        webhook=WebhookState(None, 0, 0, 0),
    )
    for family in text_string_to_metric_families(metrics_text(figures).decode()):
        names |= {sample.name: set(sample.labels) for sample in family.samples}
    return names


def expressions() -> Iterator[tuple[str, str]]:
    """Each expression, and the text in which labels of its result are shown."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield target["expr"], target["legendFormat"].replace("{{", "$labels.")
    for group in ALERTS["groups"]:
        for rule in group["rules"]:
            yield rule["expr"], rule["annotations"]["summary"]


@pytest.mark.parametrize(("expression", "shown"), list(expressions()))
def test_every_metric_and_label_is_exported(expression: str, shown: str) -> None:
    """A metric that is renamed would leave a panel empty and an alert silent, without a word."""
    known = exported()
    names = set(re.findall(r"\breid_\w+", expression))
    assert names or "up{" in expression
    assert names <= set(known), names - set(known)
    labels = set().union(*(known[name] for name in names)) | OF_PROMETHEUS
    selected = {label for part in re.findall(r"\{(.*?)\}", expression) for label in re.findall(r"(\w+)\s*=", part)}
    told = set(re.findall(r"\$labels\.(\w+)", shown))
    assert selected | told <= labels


def test_alerts_have_names_of_their_own_a_severity_and_a_next_step() -> None:
    """Who is woken up is told where it is and what is wrong."""
    rules: list[dict[str, Any]] = [rule for group in ALERTS["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert "$labels.instance" in rule["annotations"]["summary"]


def test_panels_have_places_and_numbers_of_their_own() -> None:
    """And every one asks the source that the operator has chosen."""
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        is_apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert is_apart
    assert all(panel["datasource"]["uid"] == "${source}" for panel in panels)
    assert {variable["name"] for variable in DASHBOARD["templating"]["list"]} == {"source", "node"}


def test_the_manual_names_every_metric_of_the_daemon() -> None:
    """An operator looks there for what a figure means."""
    manual = Path(ROOT / "edge_runtime/README.md").read_text()
    of_daemon = daemon_checks()
    names = [one.name for one in (*of_daemon.figures(), *of_daemon.distributions())]
    assert [name for name in names if f"`{name}`" not in manual] == []
