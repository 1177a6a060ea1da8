"""The bundle that a roll-out brings to a node: one signed tar with a network and what a node judges it by.

    SHA256SUMS        digest and name of every other file, as `sha256sum` writes it
    SHA256SUMS.sig    64 bytes: the ed25519 signature of SHA256SUMS (RFC 8032)
    bundle.json       the card, see `BundleCard`
    proof.npz         see `EngineProof`
    ...               networks with their manifests; acceptance.npz where the node builds

So everybody can check one with tar, openssl and sha256sum. Only plain files with plain names are read, and none before
the signature was found right.
"""

import hashlib
import io
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from pydantic import Field, ValidationError

from edge_runtime.contract.errors import BundleError, ConfigError
from edge_runtime.contract.manifest import Precision, hash_file
from edge_runtime.contract.script import replace_file
from edge_runtime.contract.settings import FilePath
from edge_runtime.contract.strict_model import StrictModel

PROOF_FILE, ACCEPTANCE_FILE = "proof.npz", "acceptance.npz"
_SUMS, _SIGNATURE, _CARD = "SHA256SUMS", "SHA256SUMS.sig", "bundle.json"
_LARGEST_HEAD = 64 * 1024
_BLOCK = 1 << 20
PLAIN_NAME = r"[A-Za-z0-9]\w*(?:[.-]\w+)*"
_SUM_LINE = re.compile(rf"([0-9a-f]{{64}})  ({PLAIN_NAME})")


@dataclass(frozen=True)
class RolloutSettings:
    """Which bundles this node takes, and how its daemon is started anew with another engine.

    trusted_keys: PEM files of ed25519 public keys; a bundle must be signed with one of them.
    restart: the command and its arguments; empty if somebody else restarts the daemon.
    """

    trusted_keys: tuple[FilePath, ...] = ()
    restart: tuple[str, ...] = ("systemctl", "restart", "reid-edge")


class CosineLimits(StrictModel):
    """What an engine must keep of each descriptor of the proof: mean cosine, and that of the worst one."""

    mean: float
    least: float


class DeviceBuild(StrictModel):
    """What a node builds of the network: options of `export/build_engine.py`."""

    precision: Literal["fp16", "bf16", "int8", "best"]
    backend: Literal["auto", "onnxruntime", "openvino", "tensorrt"] = "auto"


class BundleCard(StrictModel):
    """What a bundle holds.

    name: for people. network: the file that a node runs as it is, or builds its engine from if there is a `build`.
    limits: for the precision that the engine on the node has.
    """

    schema_version: Literal[1] = 1
    name: str = Field(pattern=rf"^{PLAIN_NAME}$")
    network: str = Field(pattern=rf"^{PLAIN_NAME}$")
    build: DeviceBuild | None = None
    limits: dict[Precision, CosineLimits]


@dataclass(frozen=True)
class Bundle:
    """A bundle whose signature was right, unpacked into a folder.

    id: the first 16 digits of the digest of SHA256SUMS, which covers everything in it.
    """

    id: str
    card: BundleCard
    folder: Path


def write_bundle(path: Path, *, card: BundleCard, files: Mapping[str, Path], key_file: Path) -> str:
    """Write and sign a bundle, atomically; the same files and key give the same bytes. Returns its id.

    files: by their name in the bundle; the card is added. key_file: an ed25519 private key, PEM without a password.

    Raises:
        BundleError: the key cannot be used, a name is not plain, or the file cannot be written.
    """
    text = (card.model_dump_json(indent=2) + "\n").encode()
    digests = {_CARD: hashlib.sha256(text).hexdigest()} | {name: hash_file(file) for name, file in files.items()}
    sums = "".join(f"{digest}  {name}\n" for name, digest in digests.items()).encode()
    _parse_sums(sums)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in ((_SUMS, sums), (_SIGNATURE, _sign(sums, key_file)), (_CARD, text)):
            _add(tar, name, content=content)
        for name, file in files.items():
            _add(tar, name, content=file.read_bytes())
    try:
        replace_file(path, packed.getvalue())
    except OSError as error:
        raise BundleError(f"cannot write {path}: {error.strerror}; give another --output") from error
    return _id(sums)


def read_bundle_id(path: Path, *, keys: Sequence[Path]) -> str:
    """The id of a bundle that was signed with one of the keys; its other files are not looked at.

    Raises:
        BundleError, ConfigError: see `unpack_bundle`.
    """
    with _opened(path) as file:
        return _id(_read_sums(file, path, keys=keys))


def unpack_bundle(path: Path, folder: Path, *, keys: Sequence[Path]) -> Bundle:
    """Unpack a bundle that was signed with one of the keys into an empty folder, and check each file's digest.

    Raises:
        BundleError: it is no bundle, was not signed with any of the keys, is cut or was changed.
        ConfigError: there is no key, or a file holds none.
        OSError: the folder cannot be written.
    """
    with _opened(path) as file:
        sums = _read_sums(file, path, keys=keys)
        missing = _parse_sums(sums)
        while member := _next_member(file, path):
            expected = missing.pop(member.name, None)
            if expected is None:
                raise BundleError(f"{path} holds {member.name!r}, which is not in its list or comes twice; {_AGAIN}")
            if _copy(file, folder / member.name, size=member.size) != expected:
                raise BundleError(f"{member.name} in {path} is cut or was changed after it was signed; {_AGAIN}")
    if missing:
        raise BundleError(f"{path} lacks {', '.join(missing)}: it was cut; {_AGAIN}")
    return Bundle(_id(sums), _read_card(folder, path), folder)


_AGAIN = "nothing was changed here, copy the bundle again"


def _read_card(folder: Path, path: Path) -> BundleCard:
    try:
        card = BundleCard.model_validate_json((folder / _CARD).read_bytes())
    except (FileNotFoundError, ValidationError) as error:
        raise BundleError(f"{path} was made for another version of reid-edge: {_CARD} is not understood") from error
    if absent := [name for name in (card.network, f"{card.network}.json", PROOF_FILE) if not (folder / name).is_file()]:
        raise BundleError(f"{path} lacks {', '.join(absent)}; make it again with reid-bundle")
    return card


def _id(sums: bytes) -> str:
    return hashlib.sha256(sums).hexdigest()[:16]


def _parse_sums(sums: bytes) -> dict[str, str]:
    """Digest by name. A name has no folder and begins with a letter or digit."""
    lines = [_SUM_LINE.fullmatch(line) for line in sums.decode("ascii", "replace").splitlines()]
    found = {line[2]: line[1] for line in lines if line}
    if len(found) != len(lines) or {_SUMS, _SIGNATURE} & found.keys():
        raise BundleError(f"expected lines of a digest and a plain file name, each once, in {_SUMS}; found others")
    return found


def _read_sums(file: BinaryIO, path: Path, *, keys: Sequence[Path]) -> bytes:
    """The list of digests, which is the first file, after its signature, the second one, was found right."""
    head = []
    for name in (_SUMS, _SIGNATURE):
        member = _next_member(file, path)
        if member is None or member.name != name or member.size > _LARGEST_HEAD:
            raise BundleError(f"{path} is no bundle: expected the file {name}; make one with reid-bundle")
        head.append(file.read(member.size))
        file.seek(-member.size % tarfile.BLOCKSIZE, io.SEEK_CUR)
    sums, signature = head
    if not keys:
        raise ConfigError("expected `rollout: {trusted_keys: [...]}` in the configuration to check the bundle with")
    if not any(_is_signed(sums, signature, key_file=key) for key in keys):
        names = ", ".join(str(key) for key in keys)
        raise BundleError(f"{path} was not signed with the key of {names}, or was changed; nothing was unpacked")
    return sums


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}; name a file of reid-bundle") from error
    with file:
        yield file


def _next_member(file: BinaryIO, path: Path) -> tarfile.TarInfo | None:
    """The header of the next file, which then begins where `file` stands; None at the end.

    Headers are read one by one, not by `tarfile.open`: that follows extensions of the format (links, sparse files,
    headers of any length) before anybody knows who wrote them.
    """
    block = file.read(tarfile.BLOCKSIZE)
    if not block.strip(b"\0"):
        return None
    try:
        member = tarfile.TarInfo.frombuf(block, "ascii", "strict")
    except (tarfile.TarError, ValueError) as error:
        raise BundleError(f"{path} is no bundle, or is damaged; {_AGAIN}") from error
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.size < 0:
        raise BundleError(f"{path} holds {member.name!r}, which is no plain file; a bundle has no links and folders")
    return member


def _copy(file: BinaryIO, target: Path, *, size: int) -> str:
    """Write the next `size` bytes, or what is left, and skip the padding. Returns their digest."""
    digest, left = hashlib.sha256(), size
    with target.open("xb") as output:
        while block := file.read(min(left, _BLOCK)):
            digest.update(block)
            output.write(block)
            left -= len(block)
    file.seek(-size % tarfile.BLOCKSIZE, io.SEEK_CUR)
    return digest.hexdigest()


def _add(tar: tarfile.TarFile, name: str, *, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def _sign(message: bytes, key_file: Path) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(key_file.read_bytes(), password=None)
    except OSError as error:
        raise BundleError(f"cannot read the key {key_file}: {error.strerror}; {_NEW_KEY}") from error
    except (ValueError, TypeError) as error:  # TypeError: it has a password
        raise BundleError(f"expected a private key without a password in {key_file}; {_NEW_KEY}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BundleError(f"expected an ed25519 key in {key_file}, found another kind; {_NEW_KEY}")
    return key.sign(message)


_NEW_KEY = "make one with `openssl genpkey -algorithm ed25519 -out release.key`"


def _is_signed(message: bytes, signature: bytes, *, key_file: Path) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(key_file.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read the trusted key {key_file}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"expected a public key in {key_file}: openssl pkey -in KEY -pubout -out FILE") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"expected an ed25519 public key in {key_file}, found another kind")
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True
