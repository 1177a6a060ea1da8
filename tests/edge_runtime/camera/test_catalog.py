"""Addresses, and the table of their kinds."""

import contextlib
from urllib.parse import unquote

import pytest

from edge_runtime.camera.address import Address, CameraScheme
from edge_runtime.camera.catalog import SCHEMES, parse_address
from edge_runtime.camera.pipeline import pipeline_text
from edge_runtime.contract.errors import StreamError

FILE, RTSP, V4L2, CSI = (
    next(scheme for scheme in SCHEMES if prefix in scheme.prefixes) for prefix in ("file", "rtsp", "v4l2", "csi")
)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("clips/a b.mp4", Address(FILE, "clips/a b.mp4", "clips/a b.mp4")),
        ("file:///data/a%20b.mp4", Address(FILE, "/data/a b.mp4", "/data/a b.mp4")),
        ("rtsp://10.0.0.7/stream1", Address(RTSP, "rtsp://10.0.0.7/stream1", "rtsp://10.0.0.7/stream1")),
        ("rtsps://[::1]:322/a", Address(RTSP, "rtsps://[::1]:322/a", "rtsps://[::1]:322/a")),
        ("v4l2:///dev/video0", Address(V4L2, "/dev/video0", "v4l2:///dev/video0")),
        ("csi://1", Address(CSI, "1", "csi://1")),
    ],
)
def test_each_form_of_address_is_understood(uri: str, expected: Address) -> None:
    """A source is a path, a file URI, an rtsp address, a v4l2 device or a csi sensor."""
    assert parse_address(uri) == expected


@pytest.mark.parametrize(
    "uri",
    [
        "http://u:secret@host/x",
        "ftp://secret",
        "rtsp://",
        "rtsp://u:secret@:554/x",
        "rtsp://u:secret@host:port/x",
        "file://host/x",
        "v4l2://video0",
        "v4l2:///etc/passwd",
        "v4l2:///dev/video0 ! fakesink",
        "csi://a",
        "csi://",
    ],
)
def test_other_addresses_are_refused_without_repeating_them(uri: str) -> None:
    """The error shows nothing of the address but its scheme, since the rest may hold a password."""
    with pytest.raises(StreamError, match=r"expected .* found") as caught:
        parse_address(uri)
    assert "secret" not in str(caught.value)


def test_an_unknown_scheme_is_answered_with_the_known_ones() -> None:
    """The list comes from the table."""
    with pytest.raises(StreamError) as caught:
        parse_address("gopher://10.0.0.7/stream")
    assert str(caught.value).startswith("expected a path, file:///path, rtsp://host/path, v4l2:///dev/video0")
    assert str(caught.value).endswith(" as a source, found gopher:...; correct the camera's address")
    assert all(scheme.example in str(caught.value) for scheme in SCHEMES)


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.prefixes[0])
def test_every_scheme_is_complete(scheme: CameraScheme) -> None:
    """Everything that is needed between address and frame is there: form, presence, pipeline, faults and times."""
    address = parse_address(scheme.example)
    assert address.scheme is scheme
    assert scheme.example.partition("://")[0] in scheme.prefixes
    with contextlib.suppress(StreamError):
        scheme.check_present(address)
    text = pipeline_text(address, hardware="nvvidconv", paced=True)
    assert text.startswith(scheme.source_text(address) + " ! ")
    assert (address.user is None) or "name=camera" in text
    assert (scheme.arrival_uncertainty_ns > 0) == scheme.is_live
    assert scheme.remedy


def test_no_two_schemes_share_a_prefix() -> None:
    """Otherwise the second one could never be chosen."""
    prefixes = [prefix for scheme in SCHEMES for prefix in scheme.prefixes]
    assert len(prefixes) == len(set(prefixes))


@pytest.mark.parametrize(
    ("password", "how"),
    [
        ("ab/cd-secret", "write / as %2F"),
        ("12/34-secret", "write / as %2F"),
        ("ab#cd-secret", "write # as %23"),
        ("12#34-secret", "write # as %23"),
        ("ab?cd-secret", "write ? as %3F"),
        ("a/b?c#d-secret", "write / as %2F and ? as %3F and # as %23"),
        ("50%off-secret", "write % as %25"),
    ],
)
def test_a_reserved_character_in_a_password_is_named(password: str, how: str) -> None:
    """Instead of a host that is half of the password; before anything runs, and without repeating it."""
    with pytest.raises(StreamError) as caught:
        parse_address(f"rtsp://admin:{password}@127.0.0.1:554/camera")
    assert how in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("password", ["a:b", "ab@cd", "plain", "a%2Fb%23c%3Fd%25e%40f"])
def test_other_characters_of_a_password_are_taken_as_they_are(password: str) -> None:
    """A colon and an @ are clear; what is escaped is decoded."""
    address = parse_address(f"rtsp://admin:{password}@127.0.0.1:554/camera")
    assert (address.user, address.password) == ("admin", unquote(password))
    assert address.location == "rtsp://127.0.0.1:554/camera"


def test_a_sharp_in_an_address_is_not_dropped_in_silence() -> None:
    """Everything behind it would be."""
    with pytest.raises(StreamError, match="found a #; write it as %23"):
        parse_address("rtsp://10.0.0.7/live#main")


@pytest.mark.parametrize(
    ("uri", "has_secret"),
    [
        ("rtsp://10.0.0.7/live", False),
        ("rtsp://admin@10.0.0.7/live", False),
        ("rtsp://admin:pw@10.0.0.7/live", True),
        ("rtsp://10.0.0.7/live?user=admin&password=pw", True),
        ("rtsp://10.0.0.7/user=admin&password=hidden&channel=1", True),
        ("rtsp://10.0.0.7/live?channel=1", False),
    ],
)
def test_a_password_anywhere_in_an_address_is_seen(uri: str, has_secret: bool) -> None:
    """Cameras want it before the host, in the query or in the path; the name that is shown holds none."""
    address = parse_address(uri)
    assert address.has_secret == has_secret
    assert not any(secret in address.name for secret in ("pw", "hidden"))


def test_a_camera_that_refuses_tcp_is_asked_over_udp() -> None:
    """And the other way round: a camera may be exchanged for another one."""
    address, fault = parse_address("rtsp://10.0.0.7/live"), "You might need to allow more transport protocols or"
    udp = RTSP.after_fault(address, fault)
    assert " protocols=udp " in udp.scheme.source_text(udp)
    assert RTSP.after_fault(udp, fault) == address
    assert RTSP.after_fault(address, "no answer") == address


def test_credentials_are_kept_apart() -> None:
    """User and password are decoded, and appear neither in the pipeline nor in what is shown; nor does the query."""
    address = parse_address("rtsp://bob:s3%40cret@cam:554/live?channel=1&key=abc")
    assert (address.user, address.password) == ("bob", "s3@cret")
    assert address.name == "rtsp://cam:554/live"
    text = pipeline_text(address, hardware=None, paced=True)
    assert 'location="rtsp://cam:554/live?channel=1&key=abc"' in text
    assert not any(secret in text + repr(address) for secret in ("bob", "s3@cret", "s3%40cret"))
    assert "key" not in repr(address)
