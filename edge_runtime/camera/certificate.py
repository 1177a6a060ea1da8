"""Which certificate a camera may show, and in words what is wrong with the one that it has shown.

GStreamer's threads call `_PinnedDatabase.do_verify_chain` and `CertificateCheck._note_refusal`, once per connection.
"""

import hashlib
from typing import Any

from gi.repository import Gio, GLib

from edge_runtime.camera.address import Trust
from edge_runtime.contract.errors import StreamError

_FAULTS = {
    Gio.TlsCertificateFlags.UNKNOWN_CA: "no known authority has signed it",
    Gio.TlsCertificateFlags.BAD_IDENTITY: "it is for another name or address",
    Gio.TlsCertificateFlags.NOT_ACTIVATED: "it is not valid yet",
    Gio.TlsCertificateFlags.EXPIRED: "it has expired",
    Gio.TlsCertificateFlags.REVOKED: "it was revoked",
    Gio.TlsCertificateFlags.INSECURE: "its algorithm is not safe",
}


class CertificateCheck:
    """Checks the certificate of one connection.

    Raises:
        StreamError: the file of the authority cannot be read.
    """

    def __init__(self, element: Any, trust: Trust) -> None:
        """element: the rtspsrc that connects."""
        self.fault: str | None = None
        self._trust = trust
        if trust.fingerprint is not None:
            element.set_property("tls-database", _PinnedDatabase(trust.fingerprint))
        elif trust.ca_file is not None:
            element.set_property("tls-database", _read_authorities(str(trust.ca_file)))
        element.connect("accept-certificate", self._note_refusal)

    def _note_refusal(self, _element: Any, _connection: Any, certificate: Any, faults: Any) -> bool:
        """Called for a certificate that is not trusted; describes it and refuses it."""
        found = _fingerprint(certificate)
        if self._trust.fingerprint is not None:
            self.fault = f"the camera's certificate has another fingerprint than expected: sha256 {found}"
            return False
        reasons = [text for flag, text in _FAULTS.items() if faults & flag] or ["it is not trusted"]
        self.fault = (
            f"the camera's certificate is refused: {', '.join(reasons)}; if it is the camera's own, set its "
            f"`fingerprint: {found}`, or `ca_file` to the authority that signed it"
        )
        return False


class _PinnedDatabase(Gio.TlsDatabase):  # type: ignore[misc]  # gi has no types
    """Trusts one certificate and nothing else, whatever its name and dates are."""

    def __init__(self, fingerprint: str) -> None:
        super().__init__()
        self._expected = fingerprint

    def do_verify_chain(self, chain: Any, *_: Any) -> Any:
        """See `Gio.TlsDatabase.verify_chain`."""
        is_known = _fingerprint(chain) == self._expected
        return Gio.TlsCertificateFlags(0) if is_known else Gio.TlsCertificateFlags.UNKNOWN_CA


def _fingerprint(certificate: Any) -> str:
    return hashlib.sha256(bytes(certificate.get_property("certificate"))).hexdigest()


def _read_authorities(path: str) -> Any:
    try:
        return Gio.TlsFileDatabase.new(path)
    except GLib.Error as error:
        raise StreamError(
            f"cannot read {path}: expected certificates of authorities in PEM; {error.message}; correct ca_file"
        ) from error
