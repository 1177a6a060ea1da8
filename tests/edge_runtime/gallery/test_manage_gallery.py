"""The script that looks into a gallery's store, erases, and moves it."""

import dataclasses
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime.contract.descriptor import encode
from edge_runtime.contract.errors import GalleryError
from edge_runtime.gallery.bridge import read_bridges, write_bridge
from edge_runtime.gallery.descriptor_store import Where
from edge_runtime.gallery.manage_gallery import main
from edge_runtime.gallery.sightings import PersonSighting, Sightings
from edge_runtime.gallery.sqlite_store import SqliteStore
from tests.conftest import ROOT
from tests.support.gallery_rows import sample_row, track_id
from tests.support.two_spaces import NEW_SPACE, OLD_SPACE, make_looks

NEVER_NS = 2**62
SCRIPT = ROOT / "edge_runtime" / "gallery" / "manage_gallery.py"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store of ten rows, two of them of person p-1."""
    place = tmp_path / "gallery"
    with SqliteStore(place) as store:
        for seq in range(10):
            person = "p-1" if seq < 2 else None
            store.add([sample_row(seq, who=seq, person=person, expires_at_ns=NEVER_NS)])
    return place


def run_script(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run it as a user does, in the folder above the store."""
    return subprocess.run(
        [sys.executable, SCRIPT, *words], cwd=folder.parent, capture_output=True, text=True, timeout=120
    )


def test_it_lists_spaces_and_days(folder: Path) -> None:
    """With rows and size."""
    done = run_script(folder, "list", "gallery")
    assert done.returncode == 0
    assert done.stdout.split()[:4] == ["a" * 16, "2027-01-15", "10", "rows"]


def test_a_person_is_erased_and_it_is_proved(folder: Path) -> None:
    """The receipt is printed and in the log; the files were searched for the bytes."""
    done = run_script(folder, "erase", "gallery", "--person", "p-1", "--prove", "gallery")
    assert done.returncode == 0, done.stderr
    receipt, _, proof = done.stdout.partition("\n}\n")
    assert json.loads(receipt + "}")["rows"] == 2
    assert proof.strip() == "searched for 2 of 2 erased vectors: 0 pieces found"
    assert run_script(folder, "check-log", "erasures.jsonl").stdout == "the log is whole\n"


def test_sightings_go_with_the_descriptors(folder: Path) -> None:
    """Who was where is as personal as the vector."""
    sightings = Sightings(folder / "people.sqlite")
    row = sample_row(0)
    common = {"space": row.space, "site": row.site, "node": row.node, "camera": row.camera, "start_ns": row.capture_ns}
    for seq in range(2):
        one = {"track": track_id(seq), "capture_ns": row.capture_ns, "crops": 1, "expires_at_ns": NEVER_NS}
        sightings.record([PersonSighting(**common, **one, person=f"p-{seq}")], messages=[])
    sightings.close()
    assert run_script(folder, "erase", "gallery", "--person", "p-1").returncode == 0
    sightings = Sightings(folder / "people.sqlite")
    assert [one.person for one in sightings.since(0)] == ["p-0"]
    sightings.close()


def test_a_left_over_is_found_and_is_a_failure(folder: Path) -> None:
    """A copy that somebody made is named, with exit code 1."""
    backup = folder.parent / "backups"
    backup.mkdir()
    [day] = folder.rglob("*.sqlite")
    source, target = sqlite3.connect(day), sqlite3.connect(backup / "monday")
    source.backup(target)
    source.close()
    target.close()
    done = run_script(folder, "erase", "gallery", "--track", track_id(3), "--prove", "gallery", "backups")
    assert done.returncode == 1
    assert "backups/monday: byte" in done.stderr


def test_time_and_camera_choose_rows(folder: Path) -> None:
    """A time has its zone; a camera its site and node."""
    words = (
        "--since",
        "2027-01-15T00:00:05+00:00",
        "--camera",
        "shop/gate/door",
        "--until",
        "2027-01-15T00:00:07+00:00",
    )
    assert run_script(folder, "erase", "gallery", *words).returncode == 0
    with SqliteStore(folder) as store:
        assert [row.seq for row in store.rows(Where())] == [0, 1, 2, 3, 4, 7, 8, 9]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["erase", "gallery"], "expected at least one condition"),
        (["erase", "gallery", "--since", "2027-01-15T00:00"], "expected a time with its zone"),
        (["erase", "gallery", "--since", "yesterday"], "expected a time such as"),
        (["erase", "gallery", "--camera", "door"], "expected SITE/NODE/CAMERA, found 'door'"),
        (["list", "postgresql://gallery@127.0.0.1:1/gallery"], "PostgreSQL refused the gallery"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_cannot_be_done_is_one_sentence(folder: Path, words: list[str], sentence: str) -> None:
    """No traceback; nothing is changed."""
    done = run_script(folder, *words)
    assert done.returncode != 0
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    with SqliteStore(folder) as store:
        assert store.digest(Where()).rows == 10


def test_a_store_is_moved_by_one_command(folder: Path) -> None:
    """To any other store; a second run finds everything there."""
    assert run_script(folder, "migrate", "gallery", "moved").stdout == "10 rows added; both stores hold the same rows\n"
    assert run_script(folder, "migrate", "gallery", "moved").stdout == "0 rows added; both stores hold the same rows\n"
    with SqliteStore(folder) as source, SqliteStore(folder.parent / "moved") as target:
        assert list(source.rows(Where())) == list(target.rows(Where()))


def test_expired_rows_go(folder: Path) -> None:
    """With a receipt; where nothing has expired it says so."""
    with SqliteStore(folder) as store:
        store.add([sample_row(10, expires_at_ns=1)])
    assert json.loads(run_script(folder, "expire", "gallery").stdout)["rows"] == 1
    assert run_script(folder, "expire", "gallery").stdout == "nothing has expired\n"


def test_typed_bare_it_teaches(folder: Path) -> None:
    """Three lines: what it is for, the shortest command, where to read on."""
    done = run_script(folder)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 3
    assert "manage_gallery.py list gallery" in done.stderr


@pytest.fixture
def described_twice(tmp_path: Path) -> Path:
    """A store of 240 moments of sixty people, each described by two models."""
    looks, place = make_looks(60, 4, seed=1, old_noise=1.5), tmp_path / "gallery"
    with SqliteStore(place) as store:
        for seq, person in enumerate(looks.people):
            common = {"track": track_id(int(person)), "kind": "crop", "capture_ns": sample_row(seq).capture_ns}
            for number, space, vector in (
                (2 * seq, OLD_SPACE, looks.old[seq]),
                (2 * seq + 1, NEW_SPACE, looks.new[seq]),
            ):
                encoded = encode(vector, codec="f16")
                store.add([sample_row(number, **common, space=space, vector=encoded, expires_at_ns=NEVER_NS)])
    return place


def test_a_bridge_is_fitted_listed_and_dropped(described_twice: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What it keeps, from how many pairs, until when; a way back would lead in a circle."""
    ends = ["--from", OLD_SPACE, "--to", NEW_SPACE]
    assert main(["bridge", str(described_twice), *ends, "--days", "3", "--least-kept", "0.1"]) == 0
    assert "240 pairs of 60 tracks" in capsys.readouterr().out
    [bridge] = read_bridges(described_twice)
    assert bridge.manifest.expires_ns - bridge.manifest.created_ns == 3 * 86_400 * 10**9
    assert main(["bridges", str(described_twice)]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"{OLD_SPACE} -> {NEW_SPACE}")
    assert "holds until" in told
    with pytest.raises(GalleryError, match="lead in a circle"):
        main(["bridge", str(described_twice), "--from", NEW_SPACE, "--to", OLD_SPACE, "--least-kept", "0"])
    assert main(["drop-bridge", str(described_twice), *ends]) == 0
    assert read_bridges(described_twice) == []
    with pytest.raises(GalleryError, match="there is no bridge"):
        main(["drop-bridge", str(described_twice), *ends])


def test_an_expired_bridge_is_deleted_with_the_rows(described_twice: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`expire` takes both."""
    main(["bridge", str(described_twice), "--from", OLD_SPACE, "--to", NEW_SPACE, "--least-kept", "0.1"])
    [path] = described_twice.glob("bridge-*.npz")
    [bridge] = read_bridges(described_twice)
    over = dataclasses.replace(bridge, manifest=bridge.manifest.model_copy(update={"expires_ns": 1}))
    write_bridge(described_twice, over)
    assert main(["expire", str(described_twice), "--log", str(described_twice / "erasures.jsonl")]) == 0
    assert "which has expired" in capsys.readouterr().out
    assert not path.exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--to", "c" * 16], "expected 200 pairs of 50 tracks or more to learn a bridge from, found 0 of 0"),
        (["--to", NEW_SPACE, "--least-kept", "1"], "expected 100 % or more by the lower end of its interval"),
        (["--to", NEW_SPACE, "--folder", "nowhere"], "expected the gallery's folder, in which bridges are kept"),
    ],
)
def test_a_bridge_that_is_no_good_is_not_written(described_twice: Path, words: list[str], sentence: str) -> None:
    """One sentence; the gallery goes on without it."""
    with pytest.raises(GalleryError, match=sentence):
        main(["bridge", str(described_twice), "--from", OLD_SPACE, *words])
    assert read_bridges(described_twice) == []


@pytest.mark.parametrize("words", [["--least-kept", "nan"], ["--least-kept", "2"], ["--days", "0"], ["--days", "soon"]])
def test_limits_of_a_bridge_are_numbers_in_range(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Expected, found."""
    with pytest.raises(SystemExit, match="2"):
        main(["bridge", "gallery", "--from", OLD_SPACE, "--to", NEW_SPACE, *words])
    assert "expected a number from" in capsys.readouterr().err
