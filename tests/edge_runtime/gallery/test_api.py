"""The API over real HTTP: who may ask, and that bad input is one sentence and never a server error."""

import dataclasses
import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_runtime.gallery.erasure import AuditLog
from edge_runtime.gallery.gallery import Gallery
from edge_runtime.gallery.intake import IntakeState
from edge_runtime.gallery.sightings import Sightings
from edge_runtime.gallery.sqlite_store import SqliteStore
from tests.edge_runtime.gallery.test_gallery import take
from tests.support.fixed_cosine import FixedCosine
from tests.support.gallery_rows import track_id
from tests.support.gallery_site import SPACE, walks

pytest.importorskip("fastapi", reason="needs FastAPI and uvicorn: pip install '.[gallery]'")

from edge_runtime.gallery.api import ApiFacts, make_app
from edge_runtime.gallery.webhook import WebhookState

STATE = IntakeState(
    broker=None,
    store=None,
    last_row_ns=None,
    stored=0,
    refused=0,
    duplicates=0,
    unsent=0,
    dropped=0,
    last_refusal=None,
)


@dataclass(frozen=True)
class Site:
    """A gallery that is served."""

    gallery: Gallery
    port: int

    def ask(
        self, method: str, path: str, body: bytes | None = None, *, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            kind = {} if body is None else {"Content-Type": "application/json"}
            connection.request(method, path, body, {**kind, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def send(self, path: str, request: object) -> tuple[int, Any]:
        """POST of JSON: status and JSON."""
        status, _, body = self.ask("POST", path, json.dumps(request).encode())
        return status, json.loads(body)


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> ApiFacts:
    """Settings of an API on which search and counts are switched on."""
    return ApiFacts(
        intake=lambda: STATE,
        last_expiry_ns=lambda: None,
        is_alive=lambda: True,
        folder=tmp_path_factory.mktemp("api"),
        keep_h=72.0,
        flow=True,
        search=True,
    )


def serve(facts: ApiFacts, folder: Path, *, token: str | None = None) -> Iterator[Site]:
    """Serve a gallery with twelve tracks of three people."""
    import uvicorn

    gallery = Gallery(
        SqliteStore(folder / "gallery"),
        Sightings(folder / "people.sqlite"),
        associate=FixedCosine(),
        log=AuditLog(folder / "erasures.jsonl"),
        keep_s=86_400.0,
    )
    take(gallery, walks(12, people=3))
    listener = socket.create_server(("127.0.0.1", 0))
    app = make_app(gallery, facts, token=token)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield Site(gallery, listener.getsockname()[1])
    server.should_exit = True
    thread.join(20)
    listener.close()
    gallery.close()


@pytest.fixture(scope="module")
def site(facts: ApiFacts) -> Iterator[Site]:
    """One for all tests that do not change much."""
    yield from serve(facts, facts.folder)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
WORDS = st.sampled_from(
    [
        SPACE,
        track_id(0),
        track_id(99),
        "p-1",
        "2026-11-27T14:00:00Z",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00+14:00",
    ]
)
VALUES = WORDS | JSON | st.lists(st.floats() | st.integers(), min_size=8, max_size=8)
NAMES = ("space", "vector", "track", "tracks", "since", "until", "count", "person", "camera", "extra")
BODIES = st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, VALUES))
PATHS = st.sampled_from(
    [
        *("/people", "/people/{}", "/sightings", "/joins", "/joins/{}/confirm", "/joins/{}/undo"),
        *("/tracks/{}/similar", "/search", "/erasures", "/flow", "/spaces", "/health", "/healthz"),
        *("/", "/page.js", "/{}", "/openapi.json"),
    ]
)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD"]),
    path=PATHS,
    part=WORDS | st.text(max_size=30),
    query=st.dictionaries(st.sampled_from(["since", "until", "count", "x"]), WORDS | st.text(max_size=20), max_size=3),
    body=st.none() | BODIES | JSON | st.binary(max_size=60),
)
def test_whatever_is_asked_there_is_no_server_error(
    site: Site, method: str, path: str, part: str, query: dict[str, str], body: object
) -> None:
    """Any path, query and body: an answer, or one sentence that can be printed."""
    place = path.format(quote(part, safe="")) + "?" + "&".join(f"{key}={quote(text)}" for key, text in query.items())
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    status, headers, answer = site.ask(method, place, data)
    assert status < 500, (method, place, data, answer)
    if status >= 400 and method != "HEAD":
        found = json.loads(answer)
        assert list(found) == ["error"]
        assert found["error"].isprintable()
    assert "content-type" in {name.lower() for name in headers} or method == "HEAD"


@pytest.mark.parametrize(
    ("path", "request_", "status", "said"),
    [
        ("/search", {}, 422, "either a vector with its space, or a track"),
        ("/search", {"vector": [1.0] * 8}, 422, "expected the space"),
        ("/search", {"vector": [1.0] * 7, "space": SPACE}, 422, "expected 8 numbers"),
        ("/search", {"vector": [0.0] * 8, "space": SPACE}, 422, "not all 0"),
        ("/search", {"vector": [1e300] * 8, "space": SPACE}, 422, "less than or equal"),
        ("/search", {"vector": [1.0], "space": "f" * 16}, 404, "nothing is kept of space"),
        ("/search", {"track": track_id(99)}, 404, "may have been erased"),
        ("/erasures", {}, 422, "at least one of person"),
        ("/erasures", {"since": 5}, 422, "a time with its zone"),
        ("/erasures", {"since": "0.5"}, 422, "a time with its zone"),
        ("/erasures", {"until": "-1e9"}, 422, "a time with its zone"),
        ("/erasures", {"since": "2026-11-27T14:00:00"}, 422, "timezone"),
        ("/erasures", {"since": "2026-11-27T14:00:00Z", "until": "2026-11-27T14:00:00Z"}, 422, "before"),
        ("/erasures", {"persons": "p-1"}, 422, "persons"),
        (f"/joins/{track_id(99)}/undo", None, 404, "may have been erased"),
        ("/joins/x/undo", None, 422, "track"),
    ],
)
def test_a_wrong_request_is_one_sentence(site: Site, path: str, request_: object, status: int, said: str) -> None:
    """What was expected, and where."""
    found = site.send(path, request_)
    assert found[0] == status
    assert said in found[1]["error"]


def test_the_description_says_what_is_answered(site: Site) -> None:
    """Figures for Prometheus are text, all else is JSON; a number is no time, in a query neither."""
    paths = json.loads(site.ask("GET", "/openapi.json")[2])["paths"]
    kinds = {path: list(one["get"]["responses"]["200"]["content"]) for path, one in paths.items() if "get" in one}
    assert kinds.pop("/metrics") == ["text/plain"]
    assert set(map(tuple, kinds.values())) == {("application/json",)}
    assert site.ask("GET", "/metrics")[1]["content-type"].startswith("text/plain")
    for path in ("/people", "/sightings", "/flow"):
        assert site.ask("GET", f"{path}?until=0.5")[0] == 422


def test_a_vector_finds_what_is_like_it(site: Site) -> None:
    """The tracks of one person come first."""
    _, vector = site.gallery.vector_of(track_id(1))
    status, found = site.send("/search", {"space": SPACE, "vector": vector.tolist(), "count": 4})
    assert status == 200
    assert {one["track"] for one in found} == {track_id(number) for number in (1, 4, 7, 10)}
    assert found[0]["cosine"] == 1.0


def test_metrics_have_the_promised_names(facts: ApiFacts, tmp_path: Path) -> None:
    """Dashboards live from them: none is renamed by accident. The text is read by Prometheus' own parser."""
    from prometheus_client.parser import text_string_to_metric_families

    webhook = WebhookState(fault="away", waiting=3, sent=2, dropped=1)
    for site in serve(dataclasses.replace(facts, webhook=lambda: webhook), tmp_path):
        status, headers, body = site.ask("GET", "/metrics")
        assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        samples = {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(body.decode())
            for sample in family.samples
        }
    assert {name.removeprefix("reid_gallery_") for name, *_ in samples} == {
        *("rows_stored_total", "messages_refused_total", "messages_duplicate_total", "messages_dropped_total"),
        *("identity_messages_unsent", "stored_bytes", "disk_free_bytes", "clock_ahead_seconds", "sightings"),
        *("check_ok", "webhook_sent_total", "webhook_dropped_total", "webhook_waiting"),
    }
    assert samples["reid_gallery_sightings", SPACE] == 12
    assert samples["reid_gallery_check_ok", "webhook"] == 0
    assert samples["reid_gallery_check_ok", "clock"] == 1


def test_what_is_switched_off_is_not_answered(facts: ApiFacts, tmp_path: Path) -> None:
    """Search and counts are decisions of their own; people can be erased in any case."""
    for site in serve(dataclasses.replace(facts, search=False, flow=False), tmp_path):
        assert site.send("/search", {"track": track_id(0)})[0] == 403
        assert site.ask("GET", f"/tracks/{track_id(0)}/similar")[0] == 403
        assert site.ask("GET", "/flow")[0] == 403
        assert site.send("/erasures", {"tracks": [track_id(0)]})[0] == 200


def test_pages_of_other_sites_cannot_ask(site: Site) -> None:
    """Neither from the browser of the same machine, nor by a foreign name that leads here."""
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}, {"Host": ""}):
        assert site.ask("GET", "/people", headers=headers)[0] == 403, headers
    assert site.ask("GET", "/people", headers={"Origin": f"http://127.0.0.1:{site.port}"})[0] == 200


def test_a_huge_body_is_refused(site: Site) -> None:
    """More than 1 MiB is read by nobody."""
    status, _, body = site.ask("POST", "/erasures", b" " * (2 << 20))
    assert status == 413
    assert b"at most" in body


def test_the_page_loads_nothing_from_elsewhere(site: Site) -> None:
    """Its three files name no other server, and the browser is told so."""
    for path in ("/", "/page.js", "/page.css"):
        status, headers, body = site.ask("GET", path)
        assert status == 200
        assert "default-src 'self'" in headers["content-security-policy"]
        assert b"//" not in body.replace(b"// Every", b"")
        assert b"innerHTML" not in body


def luminance(colour: str) -> float:
    """Relative luminance of a colour such as #1b6ac9, by WCAG 2.2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(("scheme", "background"), [("light", "#ffffff"), ("dark", "#121212")])
def test_text_of_the_page_can_be_read(site: Site, scheme: str, background: str) -> None:
    """WCAG's AA: 4.5 to 1 for text, 3 to 1 for what shows the focus, on the page of a browser in light and in dark."""
    css = site.ask("GET", "/page.css")[2].decode()
    roots = re.findall(r":root \{([^}]*)\}", css)
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", "".join(roots if scheme == "dark" else roots[:1])))
    for name, least in (("note", 4.5), ("bad", 4.5), ("focus", 3.0)):
        light, dark = sorted((luminance(colours[name]), luminance(background)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= least, name
    assert "GrayText" not in css


def test_each_control_of_the_page_has_a_name(site: Site) -> None:
    """Fields stand in a label, buttons hold text, sections and tables have headings: a screen reader says them."""
    html = site.ask("GET", "/")[2].decode()
    fields = re.findall(r"<(?:input|select)\b", html)
    assert len(fields) == len(re.findall(r"<label>[^<]+<(?:input|select)\b", html)) > 5
    assert all(text.strip() for text in re.findall(r"<button[^>]*>([^<]*)</button>", html))
    headings = set(re.findall(r'<h2 id="([^"]+)"', html))
    assert set(re.findall(r'<section[^>]* aria-labelledby="([^"]+)"', html)) == headings
    assert html.count("<section") == len(headings)
    assert html.count("<th ") == html.count('<th scope="col"') > 10
    assert 'lang="en"' in html


def test_a_store_that_fails_is_said(facts: ApiFacts, tmp_path: Path) -> None:
    """503, in one sentence: ask again."""
    for site in serve(facts, tmp_path):
        site.gallery.sightings.close()
        time.sleep(0)
        status, _, body = site.ask("GET", "/people")
        assert status == 503
        assert "cannot be used" in json.loads(body)["error"]
