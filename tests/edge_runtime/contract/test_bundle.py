"""A bundle is taken as a whole from a trusted signer, or not at all; nothing of it is written before that is known."""

import io
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_runtime.contract.bundle import BundleCard, CosineLimits, read_bundle_id, unpack_bundle, write_bundle
from edge_runtime.contract.errors import BundleError, ConfigError, ReidError
from tests.support.rollout_node import make_key

CARD = BundleCard(name="shop-1", network="a.onnx", limits={"fp32": CosineLimits(mean=0.9, least=0.8)})
CONTENT = {"a.onnx": b"network" * 300, "a.onnx.json": b"{}", "proof.npz": b"proof"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two pairs of keys and a bundle, `good`."""
    folder = tmp_path_factory.mktemp("bundle")
    for name in ("release", "other"):
        make_key(folder, name=name)
    write(folder, folder / "good")
    return folder


def write(home: Path, path: Path, *, key: str = "release.key", **files: bytes) -> str:
    """A bundle of `CONTENT` and these files."""
    sources = {}
    for number, (name, content) in enumerate({**CONTENT, **files}.items()):
        sources[name] = home / f"source{number}"
        sources[name].write_bytes(content)
    return write_bundle(path, card=CARD, files=sources, key_file=home / key)


def unpack(home: Path, path: Path, *keys: str) -> Path:
    """Unpack it into a new folder, which is returned; the folder is deleted before."""
    folder = home / "unpacked"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    unpack_bundle(path, folder, keys=[home / key for key in keys or ("release.pem",)])
    return folder


def unpacked(home: Path) -> list[str]:
    """What the last call of `unpack` has written."""
    return sorted(path.name for path in (home / "unpacked").iterdir())


def test_what_is_packed_is_unpacked(home: Path) -> None:
    """The same files give the same bytes, and one name for both sides."""
    again = home / "again"
    assert write(home, again) == read_bundle_id(again, keys=[home / "release.pem"])
    assert again.read_bytes() == (home / "good").read_bytes()
    folder = unpack(home, home / "good", "other.pem", "release.pem")
    assert {name: (folder / name).read_bytes() for name in CONTENT} == CONTENT
    assert BundleCard.model_validate_json((folder / "bundle.json").read_bytes()) == CARD


def test_standard_tools_check_it(home: Path) -> None:
    """As the manual says: tar, openssl and sha256sum."""
    folder = home / "by_hand"
    folder.mkdir()
    subprocess.run(["tar", "-xf", home / "good", "-C", folder], check=True)
    checks = (
        f"openssl pkeyutl -verify -pubin -inkey {home}/release.pem -rawin -in SHA256SUMS -sigfile SHA256SUMS.sig",
        "sha256sum --check SHA256SUMS",
    )
    for check in checks:
        subprocess.run(check.split(), cwd=folder, check=True)


def test_another_key_unpacks_nothing(home: Path) -> None:
    """Nor does a configuration without a key, or with a file that is none."""
    with pytest.raises(BundleError, match=r"was not signed with the key of .*other\.pem"):
        unpack(home, home / "good", "other.pem")
    assert unpacked(home) == []
    with pytest.raises(ConfigError, match="trusted_keys"):
        read_bundle_id(home / "good", keys=[])
    with pytest.raises(ConfigError, match=r"expected a public key in .*release\.key"):
        unpack(home, home / "good", "release.key")
    with pytest.raises(ConfigError, match="cannot read the trusted key"):
        unpack(home, home / "good", "none.pem")
    weak = home / "rsa.pem"
    subprocess.run(["openssl", "genrsa", "-out", home / "rsa.key", "1024"], check=True, capture_output=True)
    subprocess.run(
        ["openssl", "rsa", "-in", home / "rsa.key", "-pubout", "-out", weak], check=True, capture_output=True
    )
    with pytest.raises(ConfigError, match="ed25519 public key"):
        unpack(home, home / "good", "rsa.pem")
    with pytest.raises(BundleError, match=r"expected an ed25519 key in .*rsa\.key, found another kind"):
        write(home, home / "weak", key="rsa.key")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damaged_byte_and_no_cut_is_taken(home: Path, data: st.DataObject) -> None:
    """One sentence, whatever was changed; bytes that are padding may differ, and then the files are the right ones."""
    content = bytearray((home / "good").read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[place] ^= data.draw(st.integers(1, 255))
    else:
        del content[place:]
    damaged = home / "damaged"
    damaged.write_bytes(content)
    try:
        folder = unpack(home, damaged)
    except BundleError as error:
        reason = str(error)
    else:
        reason = "damaged is whole"
        assert {name: (folder / name).read_bytes() for name in CONTENT} == CONTENT
    assert re.search(r"damaged (is|was|holds|lacks)", reason)


def repack(home: Path, change: str) -> Path:
    """The good bundle with one member more or other, as somebody without the key could make it."""
    path = home / "repacked"
    with tarfile.open(home / "good") as old, tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as new:
        for member in old.getmembers():
            read = old.extractfile(member)
            assert read is not None
            content = read.read()
            if member.name == "a.onnx" and change == "missing":
                continue
            if member.name == "a.onnx" and change == "link":
                member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc/passwd", 0
            if member.name == "a.onnx" and change == "folder":
                member.type, member.size = tarfile.DIRTYPE, 0
            if member.name == "a.onnx" and change == "huge":
                member.size, content = 8 * 2**30 - 1, b"x"
                new.fileobj.write(member.tobuf(tarfile.USTAR_FORMAT))  # type: ignore[union-attr]
                continue
            new.addfile(member, io.BytesIO(content))
        extra = {"outside": "../outside", "absolute": f"{home}/outside", "twice": "a.onnx", "more": "more.txt"}.get(
            change
        )
        if extra:
            member = tarfile.TarInfo(extra)
            member.size = 4
            new.addfile(member, io.BytesIO(b"evil"))
    return path


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("outside", r"'../outside', which is not in its list"),
        ("absolute", "outside', which is not in its list"),
        ("twice", "'a.onnx', which is not in its list or comes twice"),
        ("more", "'more.txt', which is not in its list"),
        ("link", "no plain file"),
        ("folder", "no plain file"),
        ("huge", "is cut or was changed"),
        ("missing", "lacks a.onnx: it was cut"),
    ],
)
def test_a_tar_that_was_made_anew_is_refused(home: Path, change: str, reason: str) -> None:
    """Nothing is written outside the folder, and no link is made."""
    with pytest.raises(BundleError, match=reason):
        unpack(home, repack(home, change))
    assert not (home / "outside").exists()
    assert not any(path.is_symlink() for path in (home / "unpacked").iterdir())


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/b", ".hidden", "SHA256SUMS", "a b", ""])
def test_a_signed_name_must_be_plain_too(home: Path, name: str) -> None:
    """Whoever signs may be wrong."""
    with pytest.raises(BundleError, match="plain file name"):
        write(home, home / "named", **{name: b""})


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04" + b"x" * 2000, b"\0" * 1024, b"\xff" * 2000])
def test_another_file_is_no_bundle(home: Path, content: bytes) -> None:
    """One sentence, no traceback."""
    (home / "foreign").write_bytes(content)
    with pytest.raises(ReidError, match=r"foreign is no bundle"):
        unpack(home, home / "foreign")
    with pytest.raises(BundleError, match="cannot read"):
        unpack(home, home / "none")


def test_a_bundle_of_a_later_version_is_named(home: Path) -> None:
    """A card with an unknown field is not guessed at."""
    card = CARD.model_copy(update={"schema_version": 2})
    sources = dict.fromkeys(CONTENT, home / "source0")
    write_bundle(home / "later", card=card, files=sources, key_file=home / "release.key")
    with pytest.raises(BundleError, match="made for another version of reid-edge"):
        unpack(home, home / "later")
    write_bundle(home / "bare", card=CARD, files={"a.onnx": home / "source0"}, key_file=home / "release.key")
    with pytest.raises(BundleError, match=r"lacks a.onnx.json, proof.npz"):
        unpack(home, home / "bare")
