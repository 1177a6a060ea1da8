"""A throw-away MQTT broker on a free loopback port, and the certificates and passwords it may ask for."""

import datetime
import ipaddress
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge_runtime.link.broker import BrokerSettings

USER, PASSWORD = "camera-node", "correct horse battery staple"


class Broker:
    """A mosquitto of our own. `stop` and `start` keep its port and what it has stored."""

    def __init__(self, folder: Path, *, lines: list[str], host: str = "127.0.0.1") -> None:
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            pytest.skip("needs mosquitto: apt-get install mosquitto")
        self._program = program
        self.folder, self.port, self.host = folder, free_port(), host
        self.log = folder / "mosquitto.log"
        self._process: subprocess.Popen[bytes] | None = None
        # Defaults of mosquitto that lose messages for a receiver that is away are raised, as on a real site.
        common = [
            f"listener {self.port} {host}",
            "persistence true",
            f"persistence_location {folder}/",
            "max_queued_messages 100000",
            "user root",
        ]
        (folder / "mosquitto.conf").write_text("\n".join([*common, *lines]) + "\n")

    @property
    def settings(self) -> BrokerSettings:
        """How to reach it without TLS or credentials."""
        return BrokerSettings(host=self.host, port=self.port, connect_timeout_s=3.0)

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        with self.log.open("ab") as log:
            command = [self._program, "-c", str(self.folder / "mosquitto.conf"), "-v"]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET) as probe:
                if probe.connect_ex((self.host, self.port)) == 0:
                    return
            assert self._process.poll() is None, self.log.read_text()
            time.sleep(0.02)
        pytest.fail(f"mosquitto did not start: {self.log.read_text()}")

    def stop(self) -> None:
        """Stop it; it writes what it holds to its file."""
        if self._process is not None:
            self.resume()
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def pause(self) -> None:
        """Let it hang: connections stay, nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def reload(self) -> None:
        """Make it read its access list anew."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)


def free_port() -> int:
    """A TCP port on loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
