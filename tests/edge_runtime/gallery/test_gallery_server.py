"""The gallery as a process: from the broker to people, and what it survives."""

import contextlib
import json
import resource
import sqlite3
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.measuring.small_disk import mount_small_disk
from edge_runtime.gallery import gallery_server
from edge_runtime.gallery.descriptor_store import Where
from edge_runtime.gallery.identity import IdentityMessage, identity_schema
from edge_runtime.gallery.sqlite_store import SqliteStore
from edge_runtime.link.broker import Connection
from tests.conftest import ROOT
from tests.edge_runtime.gallery.test_webhook import SECRET, Endpoint
from tests.support.gallery_site import SPACE, GalleryProcess, person_vector, send, walks
from tests.support.mqtt_broker import Broker, free_port, make_secrets

pytest.importorskip("fastapi", reason="needs FastAPI and uvicorn: pip install '.[gallery]'")

MakeGallery = Callable[..., GalleryProcess]


@pytest.fixture
def make_gallery(broker: Broker, tmp_path: Path) -> Iterator[MakeGallery]:
    """Make galleries that end with the test."""
    made: list[GalleryProcess] = []

    def make(**settings: object) -> GalleryProcess:
        made.append(GalleryProcess(tmp_path, broker.settings, **settings))
        return made[-1]

    yield make
    for one in made:
        if not one.has_ended():
            one.stop()
        assert "Traceback" not in one.log.read_text()


@pytest.fixture
def identities(broker: Broker) -> Iterator[Callable[[], list[IdentityMessage]]]:
    """A subscriber to identity messages; gives what has arrived so far."""
    connection = Connection(broker.settings, client_id="dashboard", session_s=600)
    connection.subscribe(["reid/v1/+/identity/+"])
    arrived: list[IdentityMessage] = []

    def collect() -> list[IdentityMessage]:
        while received := connection.step(0.1)[1]:
            arrived.extend(IdentityMessage.model_validate_json(one.payload) for one in received)
        return arrived

    yield collect
    with contextlib.suppress(Exception):
        connection.close()


def tracks_of(gallery: GalleryProcess) -> int:
    """How many tracks have a person."""
    return sum(person["tracks"] for person in gallery.get("/people?count=1000"))


def test_messages_become_people_that_can_be_corrected_and_erased(
    broker: Broker, make_gallery: MakeGallery, identities: Callable[[], list[IdentityMessage]]
) -> None:
    """The whole way: tracks, people, identity messages, undo and confirm, erasure with its receipt, a quiet end."""
    gallery = make_gallery(purposes={"search": True})
    gallery.start()
    send(broker.settings, walks(12, people=2))
    gallery.wait_until(lambda: [person["tracks"] for person in gallery.get("/people")] == [6, 6])
    first, second = (person["person"] for person in gallery.get("/people"))
    seen = gallery.get(f"/people/{first}")
    assert [one["camera"] for one in seen] == ["door", "till", "door", "till", "door", "till"]
    assert {one["state"] for one in seen[1:]} == {"joined"}
    assert seen[1]["since"] < seen[1]["until"]
    assert all(one["probability"] > 0.5 and one["borrowed"] == 1 for one in seen[1:])
    assert "still borrowed from another site" in gallery.get("/health")["joined_by"]
    track = seen[-1]["track"]
    status, alone = gallery.ask("POST", f"/joins/{track}/undo")
    assert (status, alone["state"]) == (200, "undone")
    assert gallery.ask("POST", f"/joins/{seen[1]['track']}/confirm")[1]["state"] == "confirmed"
    assert gallery.ask("POST", f"/joins/{track}/undo")[0] == 409
    found = gallery.get(f"/tracks/{track}/similar?count=3")
    assert [one["person"] for one in found] == [alone["person"], first, first]
    status, receipt = gallery.ask("POST", "/erasures", {"person": second})
    assert (status, receipt["rows"]) == (200, 6)
    assert gallery.ask("GET", f"/people/{second}")[0] == 404
    gallery.wait_until(lambda: any(one.event == "rename" for one in identities()))
    (renamed,) = [one for one in identities() if one.event == "rename"]
    assert (renamed.track, renamed.person, renamed.previous) == (track, alone["person"], first)
    assert gallery.stop() == 0


def test_a_kill_at_any_moment_loses_nothing_and_doubles_nothing(
    broker: Broker, make_gallery: MakeGallery, identities: Callable[[], list[IdentityMessage]]
) -> None:
    """Three kills while messages come: each row is stored once, and its person is the one that was published."""
    gallery, many = make_gallery(), walks(600, people=4)
    gallery.start()
    sender = threading.Thread(target=send, args=(broker.settings, many))
    sender.start()
    for pause_s in (0.15, 0.25, 0.1):
        time.sleep(pause_s)
        gallery.kill()
        gallery.start()
    sender.join(60)
    gallery.wait_until(lambda: tracks_of(gallery) == 600)
    gallery.wait_until(lambda: len({one.track for one in identities()}) == 600)
    assert gallery.stop() == 0
    with SqliteStore(gallery.folder) as store:
        rows = list(store.rows(Where()))
    assert sorted(row.track for row in rows) == [walk.track for walk in many]
    latest = {one.track: one.person for one in identities() if one.event != "end"}
    assert {row.track: row.person for row in rows} == latest
    assert all(
        row.vector == person_vector(int(row.track[-12:], 16) % 4, seed=int(row.track[-12:], 16)).encoded()
        for row in rows
    )


def test_an_absent_broker_is_waited_for(broker: Broker, make_gallery: MakeGallery) -> None:
    """The page works meanwhile and says so; after the broker's restart everything goes on."""
    broker.stop()
    gallery = make_gallery()
    gallery.start()
    assert [one["ok"] for one in gallery.get("/health")["checks"]][:1] == [False]
    broker.start()
    gallery.wait_until(lambda: gallery.get("/health")["checks"][0]["ok"])
    send(broker.settings, walks(4, people=2))
    gallery.wait_until(lambda: tracks_of(gallery) == 4)
    assert gallery.log.read_text().count("trying again") == 1


def test_a_locked_file_is_waited_for_and_nothing_is_acknowledged(broker: Broker, make_gallery: MakeGallery) -> None:
    """One line in the log; the rows come when the other program is done, even if the gallery is killed before."""
    gallery = make_gallery()
    gallery.start()
    now_ns = time.time_ns()
    send(broker.settings, walks(2, people=2, now_ns=now_ns))
    gallery.wait_until(lambda: tracks_of(gallery) == 2)
    (day, *_) = sorted((gallery.folder / SPACE).glob("*.sqlite"))
    holder = sqlite3.connect(day, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    send(broker.settings, walks(20, people=2, now_ns=now_ns + 10**9)[2:], client_id="again")
    gallery.wait_until(lambda: not gallery.get("/health")["checks"][1]["ok"])
    assert "locked" in gallery.get("/health")["checks"][1]["detail"]
    gallery.kill()
    holder.execute("ROLLBACK")
    holder.close()
    gallery.start()
    gallery.wait_until(lambda: tracks_of(gallery) == 20)
    assert gallery.log.read_text().count("nothing is acknowledged") == 1


def test_a_node_without_a_birth_does_not_stop_the_others(broker: Broker, make_gallery: MakeGallery) -> None:
    """More messages than may be unacknowledged: they are refused after a while, and the others' rows come."""
    gallery = make_gallery()
    gallery.start()
    connection = Connection(broker.settings, client_id="stranger", session_s=0)
    waiting = {
        connection.publish("reid/v1/shop/stranger/door/track", payload, qos=1)
        for walk in walks(300, people=1)
        for payload in walk.payloads()
    }
    while waiting:
        waiting -= {one.packet_id for one in connection.step(1.0)[0]}
    connection.close()
    send(broker.settings, walks(4, people=2))
    gallery.wait_until(lambda: tracks_of(gallery) == 4)
    assert gallery.get("/health")["refused"] >= 500


def test_a_token_is_needed_where_others_can_ask(
    broker: Broker, make_gallery: MakeGallery, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a file the configuration is refused; with it, requests without the token are, but the page opens."""
    gallery = make_gallery(page={"host": "0.0.0.0", "port": 0})
    assert gallery_server.main(["--config", str(gallery.config)]) == 2
    assert "token_file" in capsys.readouterr().err
    (tmp_path / "token").write_text("0123456789abcdef\n")
    gallery = make_gallery(page={"host": "0.0.0.0", "port": gallery.port, "token_file": "token"})
    gallery.port = json.loads(gallery.config.read_text())["page"]["port"]
    gallery.start()
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "0123456789abcdef"}):
        status, found = gallery.ask("GET", "/people", headers=headers)
        assert (status, "Bearer TOKEN" in found["error"]) == (401, True)
    assert gallery.ask("GET", "/people", headers={"Authorization": "Bearer 0123456789abcdef"}) == (200, [])


def test_a_certificate_is_as_good_as_a_token(broker: Broker, make_gallery: MakeGallery, tmp_path: Path) -> None:
    """Over TLS; whoever has none of the right authority gets no answer, not even of the page."""
    mine, other = tmp_path / "mine", tmp_path / "other"
    for folder in (mine, other):
        folder.mkdir()
    files, strangers = make_secrets(mine), make_secrets(other)
    page = {"host": "0.0.0.0", "port": free_port(), "client_ca_file": "mine/ca.pem"}
    page |= {"certificate_file": "mine/server.pem", "key_file": "mine/server.pem.key"}
    gallery = make_gallery(page=page)
    gallery.port = json.loads(gallery.config.read_text())["page"]["port"]
    contexts = [ssl.create_default_context(cafile=files.ca) for _ in range(3)]
    gallery.context, stranger, nobody = contexts
    gallery.context.load_cert_chain(files.client, files.client_key)
    stranger.load_cert_chain(strangers.client, strangers.client_key)
    gallery.start()
    assert gallery.ask("GET", "/people", headers={"Host": "gallery.shop"}) == (200, [])
    for gallery.context in (stranger, nobody):
        assert gallery.ask("GET", "/") == (0, None)


def test_the_webhook_gets_what_the_broker_gets(
    broker: Broker, make_gallery: MakeGallery, identities: Callable[[], list[IdentityMessage]], tmp_path: Path
) -> None:
    """Each decision, signed."""
    (tmp_path / "secret").write_bytes(SECRET)
    with contextlib.closing(Endpoint()) as endpoint:
        gallery = make_gallery(webhook={"url": endpoint.url, "secret_file": "secret"})
        gallery.start()
        send(broker.settings, walks(4, people=2))
        gallery.wait_until(lambda: len(endpoint.requests) >= 4)
        gallery.wait_until(lambda: len(identities()) >= 4)
        found = [IdentityMessage.model_validate_json(body) for _, body in endpoint.requests]
        assert found[:4] == identities()[:4]
        assert "webhook" in {check["name"] for check in gallery.get("/health")["checks"]}


def test_home_assistant_finds_a_sensor_for_each_camera(broker: Broker, make_gallery: MakeGallery) -> None:
    """What it needs to show the number, and the number; also if Home Assistant is started later."""
    gallery, got = make_gallery(home_assistant={"every_s": 5}), dict[str, Any]()
    gallery.start()
    # All within one hour of the clock.
    now_ns = time.time_ns()
    hour_ns = now_ns // (3600 * 10**9) * 3600 * 10**9
    many = [walk for walk in walks(40, people=2, now_ns=now_ns) if walk.end_ns > hour_ns][-4:]
    send(broker.settings, many)
    gallery.wait_until(lambda: tracks_of(gallery) == len(many))
    connection = Connection(broker.settings, client_id="home", session_s=0)
    connection.subscribe(["homeassistant/sensor/#", "reid/v1/+/count/+"])

    def tracks() -> int:
        got.update({one.topic: json.loads(one.payload) for one in connection.step(0.1)[1]})
        return sum(one["tracks"] for topic, one in got.items() if "/count/" in topic)

    gallery.wait_until(lambda: tracks() == len(many))
    cards = [one for topic, one in got.items() if topic.endswith("/config")]
    assert {card["device"]["name"] for card in cards} == {f"shop gate {walk.camera}" for walk in many}
    for card in cards:
        assert got[card["state_topic"]].keys() == {"people", "tracks"}
        assert card["unique_id"] in {f"reid_gallery_{topic.split('/')[3]}_people" for topic in got}
        assert card["expire_after"] == 25
    connection.close()


def test_the_committed_schema_is_the_one_of_the_messages() -> None:
    """`gallery_server.py --messages` prints it."""
    committed = ROOT / "edge_runtime" / "gallery" / "identity.schema.json"
    assert json.loads(committed.read_text()) == identity_schema()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("folder: [", "not YAML"),
        ("folder: gallery\nkeep_h: -1\nbroker: {host: x}", "keep_h"),
        ("folder: gallery\nbroker: {host: x}", "keep_h"),
        ("folder: gallery\nkeep_h: 1\nbroker: {host: x}\nextra: 1", "unknown key"),
        ("folder: gallery\nkeep_h: 1\nbroker: {host: x}\nintake: {sites: [a/b]}", "cannot be part of an MQTT topic"),
        ("folder: gallery\nkeep_h: 1\nbroker: {host: x}\npostgres: mysql://x", "postgres"),
        ("folder: gallery\nkeep_h: 1\nbroker: {host: x}\npage: {token_file: absent}", "absent"),
        ("folder: gallery\nkeep_h: 1\nbroker: {host: x}\npage: {certificate_file: absent}", "absent"),
        ("folder: gallery\nkeep_h: 1\nbroker: {host: x}\npage: {client_ca_file: x}", "without certificate_file"),
        ("folder: gallery\nkeep_h: 1\nbroker: {host: x}\nwebhook: {url: 'http://x/', secret_file: x}", "https"),
        ("folder: g\nkeep_h: 1\nbroker: {host: x}\npurposes: {flow: false}\nhome_assistant: {}", "flow: true"),
        ("folder: gallery\nkeep_h: 1\nbroker: {host: x}\nwebhook: {url: 'https://x/', secret_file: x}", "cannot read"),
    ],
)
def test_a_wrong_configuration_is_one_sentence(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and what is wrong."""
    (tmp_path / "gallery.yaml").write_text(text)
    assert gallery_server.main(["--config", str(tmp_path / "gallery.yaml"), "--check"]) == 2
    sentences = capsys.readouterr().err.splitlines()
    assert len(sentences) == 1
    assert said in sentences[0]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[bool]:
    """The gallery's folder on a disk of eight mebibytes; False where we may not mount one."""
    with mount_small_disk(tmp_path / "gallery", size="8m") as is_mounted:
        yield is_mounted


@contextlib.contextmanager
def full_disk(gallery: GalleryProcess, *, is_small: bool) -> Iterator[None]:
    """Fill the disk; where it is not ours, forbid the process to write beyond the first bytes of any file."""
    if not is_small:
        _, hard = resource.prlimit(gallery.pid, resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
        yield
        resource.prlimit(gallery.pid, resource.RLIMIT_FSIZE, (hard, hard))
        return
    hog = gallery.folder / "hog"
    with contextlib.suppress(OSError), hog.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    yield
    hog.unlink()


def test_a_full_disk_is_waited_for_and_nothing_is_lost(
    broker: Broker, make_gallery: MakeGallery, small_disk: bool
) -> None:
    """The store says so, people can still be looked at, and all rows come when there is room again."""
    gallery, many = make_gallery(), walks(400, people=4)
    gallery.start()
    send(broker.settings, many[:20])
    gallery.wait_until(lambda: tracks_of(gallery) == 20)
    with full_disk(gallery, is_small=small_disk):
        send(broker.settings, many[20:])
        gallery.wait_until(lambda: not gallery.get("/health")["checks"][1]["ok"])
        assert 20 <= tracks_of(gallery) < 400
    gallery.wait_until(lambda: tracks_of(gallery) == 400)
    assert gallery.get("/health")["checks"][1]["ok"]
