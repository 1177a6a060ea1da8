"""A certificate authority of our own, and the certificates and passwords that a broker may ask for."""

import datetime
import ipaddress
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge_runtime.link.broker_settings import BrokerSettings

USER, PASSWORD = "camera-node", "correct horse battery staple"


@dataclass(frozen=True)
class Secrets:
    """Files of a certificate authority, a server and a client, and of a user's name and password."""

    ca: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path
    user: Path
    password: Path
    password_file: Path
    """What mosquitto reads: hashed."""

    def broker_lines(self) -> list[str]:
        """Configuration of a mosquitto that wants TLS and a password."""
        return [
            f"cafile {self.ca}",
            f"certfile {self.server}",
            f"keyfile {self.server_key}",
            "allow_anonymous false",
            f"password_file {self.password_file}",
        ]

    def reach(self, settings: BrokerSettings) -> BrokerSettings:
        """How to reach such a broker. settings: the same without secrets."""
        return replace(settings, ca_file=self.ca, user_file=self.user, password_file=self.password)


def make_secrets(folder: Path, *, address: str = "127.0.0.1", days: int = 0) -> Secrets:
    """A certificate authority of our own, certificates valid for an hour, and a user with a password.

    address: the server's certificate names it. days: how much later than now that certificate is valid.
    """
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = _certificate("reid-edge test CA", key=ca_key, issuer="reid-edge test CA", issuer_key=ca_key, is_ca=True)
    _write(folder / "ca.pem", certificate=ca)
    for name in ("server", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = "localhost" if name == "server" else USER
        certificate = _certificate(
            subject, key=key, issuer="reid-edge test CA", issuer_key=ca_key, is_ca=False, address=address, days=days
        )
        _write(folder / f"{name}.pem", certificate=certificate, key=key)
    (folder / "user").write_text(USER + "\n")
    (folder / "password").write_text(PASSWORD + "\n")
    hashed = folder / "hashed"
    subprocess.run(["mosquitto_passwd", "-c", "-b", str(hashed), USER, PASSWORD], check=True, capture_output=True)
    return Secrets(
        folder / "ca.pem",
        folder / "server.pem",
        folder / "server.pem.key",
        folder / "client.pem",
        folder / "client.pem.key",
        folder / "user",
        folder / "password",
        hashed,
    )


def _certificate(
    subject: str,
    *,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    is_ca: bool,
    address: str = "127.0.0.1",
    days: int = 0,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(address))]
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def _write(path: Path, *, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey | None = None) -> None:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    if key is not None:
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.with_name(path.name + ".key").write_bytes(pem)
