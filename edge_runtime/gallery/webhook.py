"""Identity messages to an address of your own, as signed POST requests. It never holds the gallery up."""

import hashlib
import hmac
import http.client
import logging
import random
import ssl
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import Field

from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.settings import FilePath

logger = logging.getLogger(__name__)

_LOCAL = ("localhost", "127.0.0.1", "::1")
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
_LEAST_SECRET = 16


@dataclass(frozen=True)
class WebhookSettings:
    """Where identity messages are sent by POST.

    url: https; http only to this machine. secret_file: holds a line of 16 characters or more, with which each request
    is signed. ca_file: of the server's certificate, where the system does not know it. queue: most messages that wait;
    the oldest are dropped. tries: how often one is sent before it is dropped.
    """

    url: Annotated[str, Field(pattern=r"^https?://[^\s]+$")]
    secret_file: FilePath
    ca_file: FilePath | None = None
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    queue: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    tries: Annotated[int, Field(ge=1, le=100)] = 10

    def __post_init__(self) -> None:
        """Check the address.

        Raises:
            ConfigError: it is no address, holds a password, or would be sent over a network without TLS.
        """
        parts = _split(self.url)
        if parts.username or parts.password:
            raise ConfigError("the webhook's url holds a user or password; the signature by secret_file is enough")
        if parts.scheme == "http" and parts.hostname not in _LOCAL:
            raise ConfigError(
                f"the webhook's host {parts.hostname} is not this machine, so its url must begin with https"
            )

    def read_secret(self) -> bytes:
        """The key of the signatures.

        Raises:
            ConfigError: the file cannot be read, or holds too little.
        """
        try:
            secret = self.secret_file.read_bytes().strip()
        except OSError as error:
            raise ConfigError(f"cannot read {self.secret_file}: {error.strerror}; it signs the webhook") from error
        if len(secret) < _LEAST_SECRET:
            raise ConfigError(
                f"{self.secret_file}: expected {_LEAST_SECRET} characters or more, found {len(secret)}; "
                "try: openssl rand -hex 32"
            )
        return secret

    def read_context(self) -> ssl.SSLContext:
        """How to check the server's certificate.

        Raises:
            ConfigError: ca_file is none.
        """
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"cannot use {self.ca_file} as ca_file of the webhook: {error}") from error


@dataclass(frozen=True)
class WebhookState:
    """How it goes. fault: why the last request failed, None: it did not. sent, dropped: since the start."""

    fault: str | None
    waiting: int
    sent: int
    dropped: int


class Webhook:
    """Sends in a thread of its own from construction until `close`. `offer` and `state` may be called by any thread.

    Messages wait in memory only: whoever needs each of them subscribes to the broker.

    Raises:
        ConfigError: a file of the settings cannot be used.
    """

    def __init__(self, settings: WebhookSettings) -> None:
        self._settings, self._secret, self._url = settings, settings.read_secret(), _split(settings.url)
        self._context = settings.read_context() if self._url.scheme == "https" else None
        self._waiting: deque[bytes] = deque()
        self._changed, self._stop = threading.Condition(), threading.Event()
        self._fault: str | None = None
        self._sent = self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)
        self._thread.start()

    def offer(self, payload: bytes) -> None:
        """Send this soon; returns at once."""
        with self._changed:
            if len(self._waiting) >= self._settings.queue:
                self._waiting.popleft()
                self._dropped += 1
            self._waiting.append(payload)
            self._changed.notify()

    def state(self) -> WebhookState:
        """How it goes."""
        with self._changed:
            return WebhookState(self._fault, len(self._waiting), self._sent, self._dropped)

    def close(self) -> None:
        """Stop; what waits is lost."""
        self._stop.set()
        with self._changed:
            self._changed.notify()
        self._thread.join(self._settings.timeout_s + 1.0)

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._changed:
                while not self._waiting and not self._stop.is_set():
                    self._changed.wait()
                payload = self._waiting.popleft() if self._waiting else None
            if payload is not None:
                self._deliver(payload)

    def _deliver(self, payload: bytes) -> None:
        pause_s = _FIRST_PAUSE_S
        for _ in range(self._settings.tries):
            fault = self._post(payload)
            self._note(fault)
            if fault is None:
                with self._changed:
                    self._sent += 1
                return
            if self._stop.wait(random.uniform(0.5, 1.0) * pause_s):
                return
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        with self._changed:
            self._dropped += 1

    def _post(self, payload: bytes) -> str | None:
        """Send it once. Returns why it did not arrive. A redirection is not followed."""
        port, timeout_s = self._url.port, self._settings.timeout_s
        host = self._url.hostname or ""
        if self._context is None:
            connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
        else:
            connection = http.client.HTTPSConnection(host, port, timeout=timeout_s, context=self._context)
        path = (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")
        try:
            connection.request("POST", path, payload, self._headers(payload))
            answer = connection.getresponse()
            return None if 200 <= answer.status < 300 else f"the webhook answers {answer.status}, expected 200 to 299"
        except (OSError, http.client.HTTPException) as error:
            return f"the webhook {host} cannot be reached: {error}"
        finally:
            connection.close()

    def _headers(self, payload: bytes) -> dict[str, str]:
        sent = str(int(time.time()))
        return {
            "Content-Type": "application/json",
            "X-Reid-Sent": sent,
            "X-Reid-Signature": sign(payload, sent=sent, secret=self._secret),
        }

    def _note(self, fault: str | None) -> None:
        if (fault is None) != (self._fault is None):
            logger.warning("%s", f"{fault}; trying again" if fault else "the webhook takes messages again")
        with self._changed:
            self._fault = fault


def sign(payload: bytes, *, sent: str, secret: bytes) -> str:
    """The header `X-Reid-Signature`: HMAC-SHA256 of `sent` (seconds since 1970), a full stop and the body, in hex."""
    return hmac.new(secret, sent.encode() + b"." + payload, hashlib.sha256).hexdigest()


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ConfigError(f"the webhook's url is no address: {error}; expected https://HOST/PATH") from error
    if not parts.hostname:
        raise ConfigError("the webhook's url names no host; expected https://HOST/PATH")
    return parts
