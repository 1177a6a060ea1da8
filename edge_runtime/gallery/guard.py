"""Who may ask: the token, and protection of an API without a token from other pages in the same browser."""

import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

_MOST_BYTES = 1 << 20
_LOCAL = ("localhost", "127.0.0.1", "::1")
Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Guard:
    """An ASGI application around another one, which lets only good requests through.

    token: None: none is asked for; then only requests that name this machine as their host are answered, so that no
    foreign name that leads here can be used. open_paths: answered without the token. is_certified: whoever asks has
    shown a certificate, so any host may be named.
    Refused in any case: requests that a page of another site has sent, and bodies of more than 1 MiB.
    """

    def __init__(self, app: App, *, token: str | None, open_paths: frozenset[str], is_certified: bool = False) -> None:
        self._app, self._open_paths, self._is_certified = app, open_paths, is_certified
        self._expected = None if token is None else f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: PLR0917 - ASGI says so
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        refusal = self._refusal(scope["path"], headers)
        if refusal is None:
            body = await _read(receive)
            if body is not None:
                await self._app(scope, _replay(body, receive), send)
                return
            refusal = (413, f"expected a body of at most {_MOST_BYTES} bytes")
        await _answer(send, refusal[0], error=refusal[1])

    def _refusal(self, path: str, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        host, origin = headers.get(b"host", b"").decode("latin-1"), headers.get(b"origin", b"").decode("latin-1")
        if self._expected is None and not self._is_certified and _host_name(host) not in _LOCAL:
            return 403, "expected a request to localhost: without a token only this machine is answered"
        if origin and _netloc(origin) != host:
            return 403, "expected a request from the gallery's own page, found one from a page of another site"
        if self._expected is None or path in self._open_paths:
            return None
        if not hmac.compare_digest(headers.get(b"authorization", b""), self._expected):
            return 401, "expected the header `Authorization: Bearer TOKEN` with the token of this gallery"
        return None


def _netloc(url: str) -> str | None:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return None


def _host_name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


async def _read(receive: Receive) -> bytes | None:
    """The body; None if it is too long."""
    body, has_more = b"", True
    while has_more:
        message = await receive()
        body += message.get("body", b"")
        has_more = message.get("more_body", False)
        if len(body) > _MOST_BYTES:
            return None
    return body


def _replay(body: bytes, receive: Receive) -> Receive:
    waiting = [body]

    async def receive_again() -> Message:
        return {"type": "http.request", "body": waiting.pop()} if waiting else await receive()

    return receive_again


async def _answer(send: Send, status: int, *, error: str) -> None:
    body = json.dumps({"error": error}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
