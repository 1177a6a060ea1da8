"""The state of a node over HTTP: /healthz, /readyz, /metrics for Prometheus, /status as JSON, and a page at /."""

import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import accumulate
from pathlib import Path
from socketserver import TCPServer
from typing import Annotated, Literal

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from pydantic import Field

from edge_runtime.contract.errors import ConfigError

logger = logging.getLogger(__name__)

_TEXT = "text/plain; charset=utf-8"
_METRICS_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_PAGE = Path(__file__).parent / "status_page.html"
_PAGE_RULES = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:"
)


@dataclass(frozen=True)
class Check:
    """One condition that must hold: its name, whether it holds, and details for a person."""

    name: str
    ok: bool
    detail: str = ""


@dataclass(frozen=True)
class Figure:
    """One number for Prometheus. Figures of the same name have the same kind and help, and differ in their labels.

    The name of a counter ends in `_total`; units are base units (seconds, bytes).
    """

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Distribution:
    """One histogram for Prometheus.

    counts: how many were at most each of `bounds` (ascending) and above the one before, then those above the last.
    total: the sum of all values.
    """

    name: str
    help: str
    bounds: Sequence[float]
    counts: Sequence[int]
    total: float


@dataclass(frozen=True)
class HealthSettings:
    """Where /healthz, /readyz, /metrics and a status page are served; port 0 turns them off."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 9464


class HealthServer:
    """Answers requests from construction until `close`.

    liveness: the checks of /healthz, which answers 200 if all hold and 503 otherwise: then restart the process.
    readiness: the same for /readyz: whether it does its work.
    figures, distributions: what /metrics shows.
    status: what /status gives as JSON, and the page shows: a dict.
    port: 0 takes a free one; the attribute `port` has its number.
    Threads: each request is answered in a thread of its own, which calls the callables: they must be thread-safe.

    Raises:
        ConfigError: host and port cannot be used.
    """

    def __init__(
        self,
        *,
        liveness: Callable[[], Sequence[Check]],
        readiness: Callable[[], Sequence[Check]],
        figures: Callable[[], Sequence[Figure]],
        distributions: Callable[[], Sequence[Distribution]] = tuple,
        status: Callable[[], Mapping[str, object]] = dict,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self._liveness, self._readiness, self._status = liveness, readiness, status
        self._registry = CollectorRegistry()
        self._registry.register(_Collector(figures, distributions))
        self._page = _PAGE.read_bytes()
        try:
            self._server = _Server((host, port), self._make_handler())
        except (OSError, OverflowError) as error:
            raise ConfigError(f"health cannot be served on {host}:{port}: {error}; choose another address") from error
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering, and wait until the server's thread has ended."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, path: str) -> tuple[int, str, bytes]:
        """HTTP status, content type and body for a path."""
        match path.partition("?")[0]:
            case "/healthz":
                return _verdict(self._liveness())
            case "/readyz":
                return _verdict(self._readiness())
            case "/metrics":
                return 200, _METRICS_TEXT, generate_latest(self._registry)
            case "/status":
                return 200, "application/json", json.dumps(self._status()).encode()
            case "/":
                return 200, "text/html; charset=utf-8", self._page
        return 404, _TEXT, b"not found; there are /, /status, /healthz, /readyz and /metrics\n"

    def _make_handler(self) -> type[BaseHTTPRequestHandler]:
        answer = self._answer

        class Handler(BaseHTTPRequestHandler):
            timeout = 5.0

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                try:
                    status, content_type, body = answer(self.path)
                except Exception:
                    # Broad, because checks and figures call all other parts: a bug there must be in the log, and the
                    # probe must get an answer that is not 200.
                    logger.exception("cannot answer %s", self.path)
                    status, content_type, body = 500, _TEXT, b"failed, see the log\n"
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "no-store")
                self.send_header("X-Content-Type-Options", "nosniff")
                if content_type.startswith("text/html"):
                    self.send_header("Content-Security-Policy", _PAGE_RULES)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Log nothing: probes ask every few seconds."""

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # with the 5 of the library a crowd of clients waits for TCP to try again

    def server_bind(self) -> None:
        """Bind without looking up our own host name, as HTTPServer does: without a name server that takes seconds."""
        TCPServer.server_bind(self)

    def handle_error(self, *_: object) -> None:
        """Log nothing: the handler logs our own faults, and a client that disconnects early is none."""


class _Collector:
    """Gives Prometheus the figures of the moment at which it asks."""

    def __init__(
        self, figures: Callable[[], Sequence[Figure]], distributions: Callable[[], Sequence[Distribution]]
    ) -> None:
        self._figures, self._distributions = figures, distributions

    def describe(self) -> Iterator[Metric]:
        """Nothing: the names are not known before the figures."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """One family of samples per name."""
        families: dict[str, Metric] = {}
        for figure in self._figures():
            family = CounterMetricFamily if figure.kind == "counter" else GaugeMetricFamily
            metric = families.setdefault(figure.name, family(figure.name, figure.help, labels=list(figure.labels)))
            metric.add_metric(list(figure.labels.values()), figure.value)  # type: ignore[attr-defined]
        yield from families.values()
        for one in self._distributions():
            histogram = HistogramMetricFamily(one.name, one.help, labels=[])
            names = [*(f"{bound:g}" for bound in one.bounds), "+Inf"]
            histogram.add_metric([], list(zip(names, accumulate(one.counts), strict=True)), one.total)
            yield histogram


def _verdict(checks: Sequence[Check]) -> tuple[int, str, bytes]:
    lines = [f"{'ok' if check.ok else 'FAILED'} {check.name} {check.detail}".rstrip() for check in checks]
    status = 200 if all(check.ok for check in checks) else 503
    return status, _TEXT, ("\n".join(lines) + "\n").encode()
