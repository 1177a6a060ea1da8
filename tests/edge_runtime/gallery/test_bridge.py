"""Bridges: from pairs to a map, its judgement, and what a gallery does with it."""

import dataclasses
import time
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.contract.descriptor import encode, normalise
from edge_runtime.contract.errors import GalleryError
from edge_runtime.gallery.associate import AssociationBySpace
from edge_runtime.gallery.bridge import Bridge, Bridges, bridge_path, move_along, read_bridges, write_bridge
from edge_runtime.gallery.bridge_fitting import BridgeLimits, fit_bridge
from edge_runtime.gallery.bridged_search import search_across
from edge_runtime.gallery.decisions import DecidedTracks, JoiningSettings
from edge_runtime.gallery.descriptor_store import Match, Store, Where
from edge_runtime.gallery.erasure import AuditLog
from edge_runtime.gallery.gallery import Gallery
from edge_runtime.gallery.prototypes import FinishedTrack
from edge_runtime.gallery.sightings import Sightings
from edge_runtime.gallery.space_pairs import read_pairs
from edge_runtime.link.broker import Received
from edge_runtime.link.messages import Birth, DescriptorMessage, ModelCard, Vector
from edge_runtime.link.topics import descriptor_topic
from edge_runtime.link.wire_format import encode_message
from edge_runtime.receiver.receiver import Accepted, Receiver
from tests.edge_runtime.gallery.conftest import Place
from tests.support.fixed_cosine import FixedCosine
from tests.support.gallery_rows import sample_row, track_id
from tests.support.sample_messages import descriptor_message
from tests.support.two_spaces import NEW_SPACE, OLD_SPACE, Looks, as_pairs, make_bridge, make_looks

SECOND_NS = 1_000_000_000
NEVER_NS = 2**62


def test_the_map_that_relates_two_spaces_is_found() -> None:
    """People whom the bridge has not seen come out where the new model puts them."""
    bridge, strangers = make_bridge(old_noise=0.01), make_looks(50, 1, seed=2, old_noise=0.01, new_noise=0.01)
    cosines = np.einsum("nd,nd->n", bridge.map.move(strangers.old), strangers.new)
    assert cosines.min() > 0.97


def test_the_manifest_says_what_is_found_before_and_after() -> None:
    """Worse eyes keep less; the intervals hold their values, and one number calibrates the scores."""
    sharp, blurred = make_bridge(old_noise=0.01).manifest, make_bridge(old_noise=1.5).manifest
    assert sharp.found.kept.value > 0.9 > blurred.found.kept.value
    for one in (sharp.found.before, sharp.found.native, sharp.found.after, sharp.found.kept):
        assert one.low <= one.value <= one.high
    assert sharp.found.kept.value == pytest.approx(sharp.found.after.value / sharp.found.native.value)
    assert (sharp.pairs, sharp.tracks) == (600, 150)
    assert blurred.penalty > sharp.penalty


def test_a_bridge_below_its_limit_is_refused_in_one_sentence() -> None:
    """Two models that see nothing in common."""
    looks = make_looks(150, 4, seed=1)
    strange = dataclasses.replace(as_pairs(looks), old=make_looks(150, 4, seed=7).old[::-1].copy())
    with pytest.raises(GalleryError, match=r"keeps .* % .* expected 50 % or more .*; give it more than 600 pairs, or"):
        fit_bridge(strange, BridgeLimits(), now_ns=0)


@pytest.mark.parametrize(("people", "moments"), [(20, 4), (150, 1)])
def test_too_few_pairs_are_refused(people: int, moments: int) -> None:
    """Or too few tracks with two moments, by which it is judged."""
    with pytest.raises(GalleryError, match=r"expected .* found .*; let nodes describe with both models for longer"):
        fit_bridge(as_pairs(make_looks(people, moments, seed=1)), BridgeLimits(), now_ns=0)


def test_a_bridge_is_written_and_read_again(tmp_path: Path) -> None:
    """To the bit."""
    bridge = make_bridge()
    assert write_bridge(tmp_path, bridge) == bridge_path(tmp_path, OLD_SPACE, to_space=NEW_SPACE)
    [again] = read_bridges(tmp_path)
    assert again.manifest == bridge.manifest
    assert np.array_equal(again.map.weights, bridge.map.weights)


def test_a_changed_bridge_is_refused(tmp_path: Path) -> None:
    """Its manifest would speak of another map."""
    bridge = make_bridge()
    write_bridge(
        tmp_path, dataclasses.replace(bridge, map=dataclasses.replace(bridge.map, weights=bridge.map.weights * 2))
    )
    with pytest.raises(GalleryError, match="its numbers are not those of its manifest; fit it again"):
        read_bridges(tmp_path)
    bridge_path(tmp_path, OLD_SPACE, to_space=NEW_SPACE).write_bytes(b"half a file")
    with pytest.raises(GalleryError, match="is no bridge"):
        read_bridges(tmp_path)


def test_bridges_do_not_lead_in_a_circle() -> None:
    """Nor two ways out of one space."""
    bridge = make_bridge()
    back = dataclasses.replace(
        bridge, manifest=bridge.manifest.model_copy(update={"from_space": NEW_SPACE, "to_space": OLD_SPACE})
    )
    with pytest.raises(GalleryError, match="lead in a circle"):
        Bridges([bridge, back])
    with pytest.raises(GalleryError, match="expected one bridge out of each space"):
        Bridges([bridge, bridge])


def add_rows(store: Store, looks: Looks, *, is_new: np.ndarray) -> None:
    """Store each moment in one of the two spaces."""
    store.add(
        [
            sample_row(
                seq,
                track=track_id(seq),
                space=NEW_SPACE if new else OLD_SPACE,
                vector=encode(looks.new[seq] if new else looks.old[seq], codec="f16"),
                expires_at_ns=NEVER_NS,
            )
            for seq, new in enumerate(is_new)
        ]
    )


def find(store: Store, bridges: Bridges, query: np.ndarray, *, space: str = NEW_SPACE, count: int = 1) -> list[Match]:
    """Search as the gallery does, a second after the bridges began."""
    return search_across(store, query, bridges=bridges, where=Where(space=space), count=count, now_ns=SECOND_NS)


def test_old_rows_are_found_by_new_queries(store: Store) -> None:
    """In the order of the moved vectors, each with the space it came from; without a bridge none is found."""
    looks, bridges = make_looks(40, 1, seed=3), Bridges([make_bridge()])
    add_rows(store, looks, is_new=np.zeros(40, bool))
    found = find(store, bridges, looks.new[7], count=40)
    cosines = bridges.path(OLD_SPACE, 0)[0].map.move(looks.old) @ looks.new[7]
    assert [match.row.seq for match in found[:10]] == np.argsort(-cosines)[:10].tolist()
    assert {match.row.space for match in found} == {OLD_SPACE}
    assert find(store, Bridges(), looks.new[7]) == []


def test_a_gallery_of_mixed_origin_finds_no_fewer_than_its_better_part(store: Store) -> None:
    """First places of queries: native and moved rows in one order, against the rows of each space alone."""
    bridges = Bridges([make_bridge(old_noise=1.5)])
    looks = make_looks(120, 3, seed=4, old_noise=1.5)
    is_query = np.arange(360) % 3 == 0
    gallery = Looks(looks.old[~is_query], looks.new[~is_query], looks.people[~is_query])
    add_rows(store, gallery, is_new=np.arange(240) % 2 == 0)

    def first_places(bridges: Bridges, space: str, queries: np.ndarray) -> int:
        best = [find(store, bridges, query, space=space)[0].row.seq for query in queries]
        return int((gallery.people[best] == looks.people[is_query]).sum())

    native = first_places(Bridges(), NEW_SPACE, looks.new[is_query])
    old = first_places(Bridges(), OLD_SPACE, looks.old[is_query])
    mixed = first_places(bridges, NEW_SPACE, looks.new[is_query])
    assert mixed >= max(native, old)


def test_a_cosine_through_a_bridge_is_calibrated(store: Store) -> None:
    """It is the moved cosine on the manifest's line, so that it may stand beside native ones."""
    looks, bridge = make_looks(10, 1, seed=3), make_bridge()
    add_rows(store, looks, is_new=np.zeros(10, bool))
    [found] = find(store, Bridges([bridge]), looks.new[2])
    moved = float(bridge.map.move(looks.old[found.row.seq][None])[0] @ looks.new[2])
    line = bridge.manifest.found.across
    assert found.cosine == pytest.approx(line.slope * moved + line.offset, abs=2e-3)
    assert abs(found.cosine - moved) > 2e-3


def test_an_expired_bridge_is_not_used(store: Store) -> None:
    """Neither by a search nor by the association."""
    looks, bridges = make_looks(10, 1, seed=3), Bridges([make_bridge(keep_s=0.5)])
    add_rows(store, looks, is_new=np.zeros(10, bool))
    assert find(store, bridges, looks.new[2]) == []
    assert bridges.path(OLD_SPACE, SECOND_NS // 4) != []
    assert bridges.path(OLD_SPACE, SECOND_NS // 2) == []


def make_track(number: int, vector: np.ndarray, *, camera: str, start_s: float) -> FinishedTrack:
    """A track of two seconds."""
    return FinishedTrack(
        track_id=track_id(number),
        camera=camera,
        start_ns=int(start_s * SECOND_NS),
        end_ns=int((start_s + 2) * SECOND_NS),
        mean=vector,
        prototypes=np.zeros((0, len(vector)), np.float32),
        dispersion=0.0,
        crops=3,
    )


def walk_past(associate: AssociationBySpace, looks: Looks, people: range) -> list[tuple[str, str]]:
    """People pass an old camera one by one, and a new one a minute later. Returns their names there."""
    old = {}
    for person in people:
        track = make_track(person, looks.old[2 * person], camera="door", start_s=10.0 * person)
        [old[person]] = associate.add(OLD_SPACE, [track])
    new = {}
    for person in people:
        track = make_track(1000 + person, looks.new[2 * person + 1], camera="till", start_s=10.0 * person + 600)
        [new[person]] = associate.add(NEW_SPACE, [track])
    return [(old[person].person, new[person].person) for person in people]


def test_open_people_of_the_old_space_are_joined_with_tracks_of_the_new(tmp_path: Path) -> None:
    """Most people keep their names; without a bridge, or with an expired one, nobody does."""
    looks, settings = make_looks(30, 2, seed=5), JoiningSettings()
    bridges = Bridges([make_bridge()])
    for name, associate in {
        "with": AssociationBySpace(settings, folder=tmp_path, bridges=bridges, clock=lambda: 0),
        "without": AssociationBySpace(settings, folder=tmp_path, clock=lambda: 0),
        "expired": AssociationBySpace(settings, folder=tmp_path, bridges=bridges, clock=lambda: NEVER_NS),
    }.items():
        kept = sum(old == new for old, new in walk_past(associate, looks, range(30)))
        assert kept >= 20 if name == "with" else kept == 0, (name, kept)


def test_people_from_before_the_bridge_are_joined_after_the_restart(tmp_path: Path) -> None:
    """The gallery gives the association what was decided in the old space; a bridge was accepted meanwhile."""
    looks, bridges = make_looks(30, 2, seed=5), Bridges([make_bridge()])
    tracks = [make_track(one, looks.old[2 * one], camera="door", start_s=10.0 * one) for one in range(30)]
    associate = AssociationBySpace(JoiningSettings(), folder=tmp_path, bridges=bridges, clock=lambda: 0)
    names = [f"p-{one}" for one in range(30)]
    associate.restore(OLD_SPACE, DecidedTracks(tracks, names, (), now_ns=600 * SECOND_NS))
    joined = 0
    for one in range(30):
        track = make_track(1000 + one, looks.new[2 * one + 1], camera="till", start_s=10.0 * one + 600)
        [made] = associate.add(NEW_SPACE, [track])
        joined += made.person == names[one]
    assert joined >= 20


def as_messages(looks: Looks, *, now_ns: int) -> list[tuple[str, DescriptorMessage]]:
    """Every moment as the two messages of a node that describes with both models; and one in the old space alone."""
    sent = []
    for number, person in enumerate(looks.people):
        common = {"boot": "5" * 16, "track": track_id(int(person)), "capture_ns": now_ns + number, "publish_ns": now_ns}
        for seq, space, vector in (
            (3 * number, OLD_SPACE, looks.old[number]),
            (3 * number + 1, NEW_SPACE, looks.new[number]),
            (3 * number + 2, OLD_SPACE, looks.old[number]),
        ):
            late = {"capture_ns": now_ns + 10**6 + number} if seq % 3 == 2 else {}
            encoded = Vector.of(encode(vector, codec="f16"))
            message = descriptor_message(**(common | late), seq=seq, space=space, descriptor=encoded)
            sent.append((descriptor_topic("shop", "gate", camera="door", space=space), message))
    return sent


def test_pairs_come_over_the_wire(place: Place, tmp_path: Path) -> None:
    """Two messages of one moment are a pair, whatever came between them; a moment described once is none."""
    looks, now_ns = make_looks(60, 4, seed=6), time.time_ns()
    cards = tuple(ModelCard(model_id=space, space_id=space) for space in (OLD_SPACE, NEW_SPACE))
    birth = Birth(boot="5" * 16, node_card={}, models=cards).model_dump_json().encode()
    receiver, accepted = Receiver(), []
    sent = [("reid/v1/shop/gate/birth", birth)]
    sent += [(topic, encode_message(message)) for topic, message in as_messages(looks, now_ns=now_ns)]
    for topic, payload in sent:
        accepted += [
            one for one in receiver.take(Received(topic, payload, is_retained=False)) if isinstance(one, Accepted)
        ]
    gallery = Gallery(
        place.open(),
        Sightings(tmp_path / "people.sqlite"),
        associate=FixedCosine(),
        log=AuditLog(tmp_path / "erasures.jsonl"),
        keep_s=3600.0,
    )
    assert gallery.take(accepted) == 3 * len(looks.people)
    pairs = read_pairs(gallery.store, OLD_SPACE, to_space=NEW_SPACE)
    gallery.close()
    assert len(pairs.tracks) == len(looks.people)
    assert np.allclose(pairs.old, normalise(looks.old.astype(np.float16)), atol=1e-6)
    assert np.allclose(pairs.new, normalise(looks.new.astype(np.float16)), atol=1e-6)
    assert pairs.tracks.tolist() == looks.people.tolist()
    bridge = fit_bridge(pairs, BridgeLimits(), now_ns=now_ns)
    assert bridge.manifest.found.kept.value > 0.7


def test_two_bridges_carry_one_after_the_other() -> None:
    """From the oldest space to the newest; while the second holds no more, only over the first."""
    first = make_bridge()
    newest = "0" * 15 + "c"
    ends = {"from_space": NEW_SPACE, "to_space": newest, "expires_ns": SECOND_NS}
    turned = dataclasses.replace(first.map, weights=np.eye(80, dtype=np.float32)[::-1], from_mean=first.map.to_mean)
    second = Bridge(first.manifest.model_copy(update=ends), turned)
    bridges, looks = Bridges([first, second]), make_looks(5, 1, seed=3)
    assert [one.manifest.to_space for one in bridges.path(OLD_SPACE, 0)] == [NEW_SPACE, newest]
    assert [one.manifest.to_space for one in bridges.path(OLD_SPACE, SECOND_NS)] == [NEW_SPACE]
    assert set(bridges.into(newest, 0)) == {OLD_SPACE, NEW_SPACE}
    moved = move_along(bridges.path(OLD_SPACE, 0), looks.old)
    assert np.allclose(moved, turned.move(first.map.move(looks.old)))
