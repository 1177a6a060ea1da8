"""How the gallery does, in Prometheus' text form."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge_runtime.gallery.intake import IntakeState
from edge_runtime.gallery.webhook import WebhookState

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class GalleryFigures:
    """What is shown. checks: name -> whether it holds. sightings: space -> number. Times in seconds, UTC since 1970."""

    intake: IntakeState
    checks: Mapping[str, bool]
    stored_bytes: int
    free_bytes: int
    sightings: Mapping[str, int]
    clock_ahead_s: float
    last_expiry_s: float | None
    webhook: WebhookState | None


class _Figures(Collector):
    def __init__(self, figures: GalleryFigures) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        """All of them."""
        one, intake = self._figures, self._figures.intake
        yield _counter("rows_stored", "Descriptors stored since the start.", intake.stored)
        yield _counter("messages_refused", "Messages that broke the contract.", intake.refused)
        yield _counter("messages_duplicate", "Messages that came again.", intake.duplicates)
        yield _counter("messages_dropped", "Messages with QoS 0 dropped for want of room.", intake.dropped)
        yield _gauge("identity_messages_unsent", "Identity messages not acknowledged by the broker.", intake.unsent)
        yield _gauge("stored_bytes", "Size of the stored days.", one.stored_bytes)
        yield _gauge("disk_free_bytes", "Free space of the folder's disk.", one.free_bytes)
        yield _gauge("clock_ahead_seconds", "How far the clock is ahead of the messages' time.", one.clock_ahead_s)
        if intake.last_row_ns is not None:
            yield _gauge("last_row_timestamp_seconds", "When the last row came.", intake.last_row_ns / 1e9)
        if one.last_expiry_s is not None:
            yield _gauge("last_expiry_timestamp_seconds", "When expired rows were last erased.", one.last_expiry_s)
        yield _labelled("sightings", "Sightings kept of each space.", "space", one.sightings)
        yield _labelled("check_ok", "1 where the condition of the page /health holds, else 0.", "check", one.checks)
        if one.webhook:
            yield _counter("webhook_sent", "Messages that the webhook took.", one.webhook.sent)
            yield _counter("webhook_dropped", "Messages that the webhook did not take in time.", one.webhook.dropped)
            yield _gauge("webhook_waiting", "Messages that wait for the webhook.", one.webhook.waiting)


def metrics_text(figures: GalleryFigures) -> bytes:
    """The answer to a scrape."""
    registry = CollectorRegistry()
    registry.register(_Figures(figures))
    return bytes(generate_latest(registry))


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:  # noqa: PLR0917 - a row of a table
    return CounterMetricFamily(f"reid_gallery_{name}", text, value=value)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:  # noqa: PLR0917 - a row of a table
    return GaugeMetricFamily(f"reid_gallery_{name}", text, value=value)


def _labelled(name: str, text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:  # noqa: PLR0917 - too
    family = GaugeMetricFamily(f"reid_gallery_{name}", text, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], float(value))
    return family
