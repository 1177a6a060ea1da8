"""The gallery over HTTP: who was where, corrections, search, erasure, health, and the page that uses all of it."""

import datetime
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.exceptions import HTTPException as AnyHTTPException

from edge_runtime.contract.errors import ReidError
from edge_runtime.gallery.api_models import (
    CheckView,
    ErasureRequest,
    Fault,
    FlowView,
    HealthView,
    MatchView,
    Moment,
    PersonName,
    PersonView,
    ReceiptView,
    SearchRequest,
    SightingView,
    SpaceView,
    Track,
    moment_text,
    to_ns,
)
from edge_runtime.gallery.descriptor_store import Where
from edge_runtime.gallery.gallery import Gallery
from edge_runtime.gallery.gallery_metrics import METRICS_TYPE, GalleryFigures, metrics_text
from edge_runtime.gallery.guard import App, Guard
from edge_runtime.gallery.intake import IntakeState
from edge_runtime.gallery.webhook import WebhookState

logger = logging.getLogger(__name__)

_PAGE = Path(__file__).parent / "page"
_PAGE_FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}
_DAY_S = 86_400
_LITTLE_SPACE = 0.05
Count = Annotated[int, Query(ge=1, le=5000, description="at most so many, the latest ones")]
Since = Annotated[Moment | None, Query(description="from this time on; left out: the last 24 hours")]
Until = Annotated[Moment | None, Query(description="before this time; left out: now")]


@dataclass(frozen=True)
class ApiFacts:
    """What the API shows of the rest of the program, and what it may do. folder: whose disk is watched. webhook: None:
    there is none."""

    intake: Callable[[], IntakeState]
    last_expiry_ns: Callable[[], int | None]
    is_alive: Callable[[], bool]
    folder: Path
    keep_h: float
    flow: bool
    search: bool
    webhook: Callable[[], WebhookState] | None = None


def make_app(gallery: Gallery, facts: ApiFacts, *, token: str | None, is_certified: bool = False) -> App:
    """The ASGI application. token, is_certified: see `Guard`."""
    app = FastAPI(
        title="reid-gallery",
        version="1",
        description="Who was seen where and when, as far as a gallery of descriptors can tell.",
        redirect_slashes=False,
        docs_url=None,  # these pages load scripts from other servers
        redoc_url=None,
    )
    api, faults = _Api(gallery, facts), {code: {"model": Fault} for code in (400, 401, 403, 404, 409, 413, 422, 503)}
    for method, path, handler in api.routes():
        app.add_api_route(path, handler, methods=[method], responses=faults, response_model_exclude_unset=False)
    app.add_api_route("/metrics", api.metrics, methods=["GET"], responses=faults, response_class=PlainTextResponse)
    for path in _PAGE_FILES:
        app.add_api_route(path, _page_file, methods=["GET"], include_in_schema=False)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(AnyHTTPException, _answer_http)
    app.add_exception_handler(ReidError, _answer_store)
    open_paths = frozenset((*_PAGE_FILES, "/healthz"))
    return Guard(app, token=token, open_paths=open_paths, is_certified=is_certified)


class _Api:
    def __init__(self, gallery: Gallery, facts: ApiFacts) -> None:
        self._gallery, self._facts = gallery, facts

    def routes(self) -> tuple[tuple[str, str, Callable[..., object]], ...]:
        """Method, path and what answers."""
        return (
            ("GET", "/people", self.people),
            ("GET", "/people/{person}", self.person),
            ("GET", "/sightings", self.sightings),
            ("GET", "/joins", self.joins),
            ("POST", "/joins/{track}/confirm", self.confirm),
            ("POST", "/joins/{track}/undo", self.undo),
            ("GET", "/tracks/{track}/similar", self.similar),
            ("POST", "/search", self.search),
            ("POST", "/erasures", self.erase),
            ("GET", "/flow", self.flow),
            ("GET", "/spaces", self.spaces),
            ("GET", "/health", self.health),
            ("GET", "/healthz", self.healthz),
        )

    def people(self, since: Since = None, *, until: Until = None, count: Count = 200) -> list[PersonView]:
        """People seen within a time, the latest first."""
        since_ns, until_ns = _span(since, until, now_ns=self._gallery.clock.now_ns())
        return [PersonView.of(one) for one in self._gallery.sightings.people(since_ns, until_ns, count=count)]

    def person(self, person: PersonName, count: Count = 500) -> list[SightingView]:
        """Where and when a person was seen, in order of time."""
        found = self._gallery.sightings.of_person(person, count=count)
        if not found:
            raise HTTPException(404, f"there is no person {person}; everything of it may have been erased")
        return [SightingView.of(one) for one in found]

    def sightings(self, since: Since = None, *, until: Until = None, count: Count = 1000) -> list[SightingView]:
        """All sightings within a time, the latest first."""
        since_ns, until_ns = _span(since, until, now_ns=self._gallery.clock.now_ns())
        return [SightingView.of(one) for one in self._gallery.sightings.within(since_ns, until_ns, count=count)]

    def joins(self, count: Count = 20) -> list[SightingView]:
        """Joins that somebody should look at, the least sure ones first."""
        return [SightingView.of(one) for one in self._gallery.sightings.unsure(count=count)]

    def confirm(self, track: Track) -> SightingView:
        """Say that a join is right."""
        return self._correct(self._gallery.confirm, track)

    def undo(self, track: Track) -> SightingView:
        """Say that a join is wrong: the track becomes a new person's."""
        return self._correct(self._gallery.undo, track)

    def similar(self, track: Track, count: Annotated[int, Query(ge=1, le=200)] = 20) -> list[MatchView]:
        """Tracks that look like this one; needs the purpose `search`."""
        return self.search(SearchRequest(track=track, count=count))

    def search(self, request: SearchRequest) -> list[MatchView]:
        """Tracks and crops that look like a vector or a track, the most alike first; needs the purpose `search`."""
        if not self._facts.search:
            raise HTTPException(403, "search by example is switched off here (purposes: {search: true} turns it on)")
        if (request.vector is None) == (request.track is None):
            raise HTTPException(422, "expected either a vector with its space, or a track")
        _check_order(request.since, request.until)
        space, vector = self._example(request)
        where = Where(
            space=space,
            since_ns=None if request.since is None else to_ns(request.since),
            until_ns=None if request.until is None else to_ns(request.until),
        )
        found = self._gallery.search(vector, where=where, count=request.count)
        return [
            MatchView.model_construct(
                space=match.row.space,
                site=match.row.site,
                node=match.row.node,
                camera=match.row.camera,
                track=match.row.track,
                person=match.row.person,
                captured=moment_text(match.row.capture_ns),
                cosine=round(float(match.cosine), 4),
            )
            for match in found
        ]

    def erase(self, request: ErasureRequest) -> ReceiptView:
        """Erase for good, and give the receipt. Asking again is safe."""
        where = request.where()
        if where.is_everything():
            raise HTTPException(422, "expected at least one of person, tracks, camera, since and until, found none")
        _check_order(request.since, request.until)
        return ReceiptView.of(self._gallery.erase(where))

    def flow(self, since: Since = None, until: Until = None) -> list[FlowView]:
        """How many tracks and people each camera saw in each hour; needs the purpose `flow`."""
        if not self._facts.flow:
            raise HTTPException(403, "counting is switched off here (purposes: {flow: true} turns it on)")
        since_ns, until_ns = _span(since, until, now_ns=self._gallery.clock.now_ns())
        return [FlowView.of(one) for one in self._gallery.sightings.flow(since_ns, until_ns)]

    def spaces(self) -> list[SpaceView]:
        """What is kept of each space."""
        days, sightings = self._gallery.days(), dict(self._gallery.sightings.spaces())
        return [
            SpaceView(
                space=space,
                days=sum(day.space == space for day in days),
                stored_mb=round(sum(day.stored_bytes for day in days if day.space == space) / 1e6, 1),
                sightings=sightings.get(space, 0),
            )
            for space in sorted({day.space for day in days} | sightings.keys())
        ]

    def health(self) -> HealthView:
        """State of the gallery: its checks, what it keeps and for how long, and how it joins tracks."""
        intake, disk = self._facts.intake(), shutil.disk_usage(self._facts.folder)
        checks = self._checks(intake, free=disk.free / disk.total)
        last_expiry_ns = self._facts.last_expiry_ns()
        return HealthView(
            ok=all(check.ok for check in checks),
            checks=checks,
            joined_by=self._gallery.explanation,
            keep_h=self._facts.keep_h,
            flow=self._facts.flow,
            search=self._facts.search,
            disk_free_mb=round(disk.free / 1e6, 1),
            disk_total_mb=round(disk.total / 1e6, 1),
            stored_mb=round(sum(day.stored_bytes for day in self._gallery.days()) / 1e6, 1),
            stored=intake.stored,
            refused=intake.refused,
            duplicates=intake.duplicates,
            last_row=None if intake.last_row_ns is None else moment_text(intake.last_row_ns),
            last_refusal=intake.last_refusal,
            last_expiry=None if last_expiry_ns is None else moment_text(last_expiry_ns),
        )

    def metrics(self) -> Response:
        """The same in figures, for Prometheus."""
        intake, disk = self._facts.intake(), shutil.disk_usage(self._facts.folder)
        webhook, last_expiry_ns = self._facts.webhook, self._facts.last_expiry_ns()
        figures = GalleryFigures(
            intake=intake,
            checks={check.name: check.ok for check in self._checks(intake, free=disk.free / disk.total)},
            stored_bytes=sum(day.stored_bytes for day in self._gallery.days()),
            free_bytes=disk.free,
            sightings=dict(self._gallery.sightings.spaces()),
            clock_ahead_s=self._gallery.clock.ahead_ns() / 1e9,
            last_expiry_s=None if last_expiry_ns is None else last_expiry_ns / 1e9,
            webhook=webhook() if webhook else None,
        )
        return Response(metrics_text(figures), media_type=METRICS_TYPE)

    def healthz(self, response: Response) -> dict[str, bool]:
        """Whether the program works; 503: restart it. A broker that is away is no reason to."""
        is_alive = self._facts.is_alive()
        response.status_code = 200 if is_alive else 503
        return {"ok": is_alive}

    def _checks(self, intake: IntakeState, *, free: float) -> tuple[CheckView, ...]:
        clock_fault = self._gallery.clock.fault()
        checks = (
            CheckView(name="broker", ok=intake.broker is None, detail=intake.broker or "connected"),
            CheckView(name="store", ok=intake.store is None, detail=intake.store or "can be written"),
            CheckView(name="disk", ok=free >= _LITTLE_SPACE, detail=f"{free:.0%} free"),
            CheckView(name="clock", ok=clock_fault is None, detail=clock_fault or "as the messages say"),
            CheckView(
                name="messages",
                ok=intake.dropped == 0,
                detail=f"{intake.refused} refused, {intake.dropped} dropped that came with QoS 0",
            ),
        )
        if self._facts.webhook is None:
            return checks
        webhook = self._facts.webhook()
        detail = f"{webhook.sent} sent, {webhook.waiting} waiting, {webhook.dropped} dropped"
        is_well = webhook.fault is None and webhook.dropped == 0
        return (*checks, CheckView(name="webhook", ok=is_well, detail="; ".join(filter(None, (webhook.fault, detail)))))

    def _correct(self, work: Callable[[str], Any], track: str) -> SightingView:
        try:
            return SightingView.of(work(track))
        except LookupError as error:
            raise HTTPException(404, f"{error.args[0]}; it may have been erased") from error
        except ValueError as error:
            raise HTTPException(409, str(error)) from error

    def _example(self, request: SearchRequest) -> tuple[str, Any]:
        if request.track is not None:
            try:
                sighting, vector = self._gallery.vector_of(request.track)
            except LookupError as error:
                raise HTTPException(404, f"{error.args[0]}; it may have been erased") from error
            return sighting.space, vector
        if request.space is None:
            raise HTTPException(422, "expected the space of the vector: vectors of two spaces cannot be compared")
        length = self._gallery.length_of(request.space)
        if length is None:
            raise HTTPException(404, f"nothing is kept of space {request.space}")
        vector = np.asarray(request.vector, np.float32)
        if len(vector) != length or not vector.any():
            raise HTTPException(422, f"expected {length} numbers, not all 0, for space {request.space}")
        return request.space, vector


def _span(since: datetime.datetime | None, until: datetime.datetime | None, *, now_ns: int) -> tuple[int, int]:
    until_ns = now_ns + _DAY_S * 10**9 if until is None else to_ns(until)
    since_ns = now_ns - _DAY_S * 10**9 if since is None else to_ns(since)
    _check_order(since, until)
    return since_ns, until_ns


def _check_order(since: datetime.datetime | None, until: datetime.datetime | None) -> None:
    if since is not None and until is not None and to_ns(since) >= to_ns(until):
        raise HTTPException(422, "expected `since` before `until`")


def _page_file(request: Request) -> Any:
    name, media_type = _PAGE_FILES[request.url.path]
    headers = {
        "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }
    return Response((_PAGE / name).read_bytes(), media_type=media_type, headers=headers)


def _answer_invalid(_request: Any, error: Any) -> Any:
    places = [(".".join(map(str, fault["loc"][1:])) or str(fault["loc"][0]), fault["msg"]) for fault in error.errors()]
    return _fault(422, "; ".join(f"{place}: {message}" for place, message in places[:5]))


def _answer_http(_request: Any, error: Any) -> Any:
    return _fault(error.status_code, str(error.detail), headers=error.headers)


def _answer_store(_request: Any, error: Any) -> Any:
    logger.warning("a request failed: %s", error)
    return _fault(503, str(error))


def _fault(status: int, error: str, *, headers: dict[str, str] | None = None) -> Any:
    printable = "".join(sign if sign.isprintable() else "?" for sign in error)
    return JSONResponse({"error": printable[:1000]}, status_code=status, headers=headers)
