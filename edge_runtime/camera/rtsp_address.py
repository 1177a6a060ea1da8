"""Reads an rtsp address. One that could be misread, because its password holds a reserved character, is refused."""

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from edge_runtime.contract.errors import StreamError

_SECRET = re.compile(r"((?:pass|pwd|psw|token|secret|auth)\w*=)[^&/;]+", re.IGNORECASE)
_ENDS_HOST = "/?#"


@dataclass(frozen=True)
class RtspAddress:
    """The parts of an rtsp address.

    location: the address without user and password. name: the same without the query and without a password in the
    path, to be shown. has_secret: it cannot be shown whole.
    """

    location: str
    name: str
    user: str | None
    password: str | None
    has_secret: bool


def read_rtsp_address(uri: str) -> RtspAddress:
    """Read `rtsp://user:password@host:port/path?query`; all but the host may be missing.

    Raises:
        StreamError: there is no host, or a reserved character makes it unclear what belongs to the password. The
            message never repeats the address.
    """
    _check_reserved(uri.partition("://")[2])
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host:
        raise StreamError(
            "expected rtsp://host:port/path as a source, found no valid host or port; correct the address"
        )
    host = f"[{host}]" if ":" in host else host
    plain = f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}"
    location = f"{plain}?{parts.query}" if parts.query else plain
    user, password = (part and unquote(part) for part in (parts.username, parts.password))
    has_secret = bool(password) or _SECRET.search(location) is not None
    return RtspAddress(location, _SECRET.sub(r"\1...", plain), user, password, has_secret)


def _check_reserved(rest: str) -> None:
    """Refuse characters that end the password, or the address, where its author did not mean it. rest: after `://`."""
    before_host = rest.rpartition("@")[0]
    wrong = [character for character in _ENDS_HOST if character in before_host]
    wrong += ["%"] if re.search(r"%(?![0-9A-Fa-f]{2})", before_host) else []
    if wrong:
        how = " and ".join(f"{character} as {_escaped(character)}" for character in wrong)
        raise StreamError(
            f"expected rtsp://user:password@host/path, found an @ behind {' '.join(wrong)}; inside a user or password "
            f"write {how}, and an @ behind the host as {_escaped('@')}"
        )
    if "#" in rest:
        raise StreamError(f"expected rtsp://host/path?query, found a #; write it as {_escaped('#')}")


def _escaped(character: str) -> str:
    return f"%{ord(character):02X}"
