"""The webhook, against a real HTTP server."""

import contextlib
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edge_runtime.contract.errors import ConfigError
from edge_runtime.gallery import webhook as webhook_module
from edge_runtime.gallery.sightings import PersonSighting, Sightings
from edge_runtime.gallery.webhook import Webhook, WebhookSettings, sign
from tests.support.mqtt_broker import Secrets, make_secrets

SECRET = b"0123456789abcdef0123"


class Endpoint:
    """A server that keeps what it is sent. answers: the next statuses; 200 when there are none left."""

    def __init__(self, *, secrets: Secrets | None = None) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                endpoint.may_answer.wait(30)
                endpoint.requests.append((dict(self.headers), body))
                with contextlib.suppress(OSError):
                    self.send_response(endpoint.answers.pop(0) if endpoint.answers else 200)
                    self.send_header("Location", "/elsewhere")
                    self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if secrets:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(secrets.server, secrets.server_key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http{'s' if secrets else ''}://127.0.0.1:{self._server.server_address[1]}/people?door=1"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self.may_answer.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """A server without TLS."""
    with contextlib.closing(Endpoint()) as made:
        yield made


@pytest.fixture
def settings(endpoint: Endpoint, tmp_path: Path) -> WebhookSettings:
    """To that server."""
    (tmp_path / "secret").write_bytes(SECRET + b"\n")
    return WebhookSettings(url=endpoint.url, secret_file=tmp_path / "secret", timeout_s=0.5)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_module, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(webhook_module, "_LONGEST_PAUSE_S", 0.05)


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for it."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_message_arrives_signed(endpoint: Endpoint, settings: WebhookSettings) -> None:
    """The receiver makes the same signature of time and body, and of no other body."""
    with contextlib.closing(Webhook(settings)) as webhook:
        webhook.offer(b'{"event": "start"}')
        wait_until(lambda: webhook.state().sent == 1)
    [(headers, body)] = endpoint.requests
    assert body == b'{"event": "start"}'
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Reid-Signature"] == sign(body, sent=headers["X-Reid-Sent"], secret=SECRET)
    assert headers["X-Reid-Signature"] != sign(body + b" ", sent=headers["X-Reid-Sent"], secret=SECRET)


def test_what_fails_is_tried_again_in_order(
    endpoint: Endpoint, settings: WebhookSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """An error and a redirection are no delivery; each change is one line in the log, without the secret."""
    endpoint.answers += [503, 302]
    with contextlib.closing(Webhook(settings)) as webhook:
        webhook.offer(b"1")
        webhook.offer(b"2")
        wait_until(lambda: webhook.state().sent == 2)
        assert webhook.state().fault is None
    assert [body for _, body in endpoint.requests] == [b"1", b"1", b"1", b"2"]
    assert [record.getMessage() for record in caplog.records] == [
        "the webhook answers 503, expected 200 to 299; trying again",
        "the webhook takes messages again",
    ]
    assert SECRET.decode() not in caplog.text


def test_a_server_that_does_not_answer_holds_nobody_up(endpoint: Endpoint, settings: WebhookSettings) -> None:
    """The queue stays bounded and keeps the latest; all the rest is counted."""
    endpoint.may_answer.clear()
    with contextlib.closing(Webhook(replace(settings, queue=3, tries=1, timeout_s=5.0))) as webhook:
        webhook.offer(b"first")
        wait_until(lambda: webhook.state().waiting == 0)
        for number in range(100):
            webhook.offer(b"%d" % number)
        state = webhook.state()
        assert (state.waiting, state.dropped) == (3, 97)
        endpoint.may_answer.set()
        wait_until(lambda: webhook.state().sent == 4)
    assert [body for _, body in endpoint.requests] == [b"first", b"97", b"98", b"99"]


def test_after_its_tries_a_message_is_dropped(endpoint: Endpoint, settings: WebhookSettings) -> None:
    """The next one has its turn."""
    endpoint.answers += [400, 400]
    with contextlib.closing(Webhook(replace(settings, tries=2))) as webhook:
        webhook.offer(b"bad")
        webhook.offer(b"good")
        wait_until(lambda: webhook.state().sent == 1)
        assert webhook.state().dropped == 1
    assert endpoint.requests[-1][1] == b"good"


def test_the_server_must_prove_who_it_is(settings: WebhookSettings, tmp_path: Path) -> None:
    """With ca_file it arrives over TLS; a server whose certificate no known authority signed gets nothing."""
    files = make_secrets(tmp_path)
    with contextlib.closing(Endpoint(secrets=files)) as endpoint:
        trusting = replace(settings, url=endpoint.url, ca_file=files.ca)
        with contextlib.closing(Webhook(trusting)) as webhook:
            webhook.offer(b"1")
            wait_until(lambda: webhook.state().sent == 1)
        with contextlib.closing(Webhook(replace(trusting, ca_file=None, tries=1))) as webhook:
            webhook.offer(b"2")
            wait_until(lambda: webhook.state().dropped == 1)
            assert "certificate verify failed" in str(webhook.state().fault)
        assert [body for _, body in endpoint.requests] == [b"1"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://example.org/x", "must begin with https"),
        ("https://user:password@example.org/x", "holds a user or password"),
        ("https://example.org:port/x", "no address"),
        ("https:///x", "names no host"),
    ],
)
def test_a_wrong_address_is_one_sentence(settings: WebhookSettings, url: str, said: str) -> None:
    """Before anything is sent; a password in it is not repeated."""
    with pytest.raises(ConfigError, match=said) as error:
        replace(settings, url=url)
    assert "password@" not in str(error.value)


def test_a_short_secret_is_refused(settings: WebhookSettings) -> None:
    """Somebody could guess it."""
    settings.secret_file.write_bytes(b"short")
    with pytest.raises(ConfigError, match="16 characters or more, found 5"):
        Webhook(settings)
    with pytest.raises(ConfigError, match="cannot read"):
        Webhook(replace(settings, secret_file=settings.secret_file.with_name("none")))


def test_listeners_are_told_of_messages_that_are_kept(tmp_path: Path) -> None:
    """After the change is on the disk, and each once."""
    sightings, told = Sightings(tmp_path / "people.sqlite"), list[bytes]()
    sightings.listeners.append(told.append)
    one = PersonSighting("a" * 16, "shop", "gate", "door", "t", 0, 1, 1, 10, person="p-1")
    sightings.record([one], messages=[("t", "topic", b"start")])
    assert told == [one.payload for one in sightings.unsent(after=0, count=9)] == [b"start"]
    sightings.close()
