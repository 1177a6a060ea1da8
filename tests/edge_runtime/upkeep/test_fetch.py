"""`reid-edge fetch` against a server on loopback: right files, wrong ones, cut connections, and none at all."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmarks.measuring.small_disk import mount_small_disk
from edge_runtime.contract.errors import ConfigError, FetchError
from edge_runtime.contract.model_list import PUBLIC_MODELS, PublicModel, read_public_models
from edge_runtime.daemon import main as reid_edge
from edge_runtime.upkeep.fetch import fetch_file, fetch_model

CONTENT = bytes(range(256)) * 2000  # 512 kB


class _Server(ThreadingHTTPServer):
    """cut: bytes after which each answer ends. ranges: the Range headers that came."""

    cut: int | None = None
    ranges: list[str | None]


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/net.onnx")
            self.end_headers()
            return
        if self.path not in ("/net.onnx", "/net.bin", "/plain"):
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.path != "/plain" else 0
        body = CONTENT[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if self.server.cut is None else body[: self.server.cut])

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[_Server]:
    """Serves CONTENT at /net.onnx and /net.bin, at /plain without ranges, and a redirect at /moved."""
    made = _Server(("127.0.0.1", 0), _Handler)
    made.ranges = []
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def row(server: _Server, *paths: str, digest: str | None = None) -> PublicModel:
    """A network of the files at these paths."""
    address = f"http://127.0.0.1:{server.server_port}"
    sha256 = digest or hashlib.sha256(CONTENT).hexdigest()
    return PublicModel.model_validate_json(
        json.dumps(
            {
                "name": "net",
                "task": "re-identification",
                "page": "https://example.org",
                "height_px": 32,
                "width_px": 16,
                "pixels": "imagenet",
                "licence": {"code": "MIT", "weights": "Apache-2.0", "data": "undisclosed"},
                "files": [
                    {"name": Path(path).name, "address": address + path, "sha256": sha256, "size": len(CONTENT)}
                    for path in paths
                ],
                "digest_from": "the test",
                "next_step": "python export/adopt.py net.onnx",
            }
        )
    )


def write_list(folder: Path, *rows: PublicModel) -> Path:
    """A list in the form of export/models.json."""
    path = folder / "list.json"
    path.write_text(json.dumps({"models": [one.model_dump(mode="json") for one in rows]}))
    return path


def test_files_come_with_their_licence(server: _Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both files of a network, under their names, and nothing else; what one may do with them is printed first."""
    listed = write_list(tmp_path, row(server, "/net.onnx", "/net.bin"))
    assert reid_edge(["fetch", "net", "--to", str(tmp_path / "models"), "--models", str(listed)]) == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "models").iterdir()} == {
        "net.onnx": CONTENT,
        "net.bin": CONTENT,
    }
    printed = capsys.readouterr().out
    assert printed.index("weights: Apache-2.0; trained on: undisclosed") < printed.index("net.onnx\n")
    assert "next: python export/adopt.py net.onnx" in printed


def test_what_is_there_is_not_fetched_again(server: _Server, tmp_path: Path) -> None:
    """The right file costs no download; another one is not replaced."""
    fetch_model(row(server, "/net.onnx"), tmp_path)
    fetch_model(row(server, "/net.onnx"), tmp_path)
    assert len(server.ranges) == 1
    (tmp_path / "net.onnx").write_bytes(b"mine")
    with pytest.raises(FetchError, match="is another file than"):
        fetch_model(row(server, "/net.onnx"), tmp_path)
    assert (tmp_path / "net.onnx").read_bytes() == b"mine"


def test_another_digest_is_refused(server: _Server, tmp_path: Path) -> None:
    """Nothing is left that could be taken for the network."""
    with pytest.raises(FetchError, match="gives another file: expected SHA-256 0000"):
        fetch_model(row(server, "/net.onnx", digest="0" * 64), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_cut_connection_is_continued(server: _Server, tmp_path: Path) -> None:
    """Within one call while each try brings something, and by the next call after that."""
    server.cut = 100_000
    with pytest.raises(FetchError, match=r"net\.onnx\.partial is continued by the next call"):
        fetch_model(row(server, "/net.onnx"), tmp_path)
    assert server.ranges == [None, "bytes=100000-", "bytes=200000-"]
    server.cut = None
    fetch_model(row(server, "/net.onnx"), tmp_path)
    assert server.ranges[-1] == "bytes=300000-"
    assert (tmp_path / "net.onnx").read_bytes() == CONTENT


def test_a_server_that_cannot_continue_starts_anew(server: _Server, tmp_path: Path) -> None:
    """It answers with the whole file, which replaces the part."""
    (tmp_path / "plain.partial").write_bytes(CONTENT[:1000])
    fetch_model(row(server, "/plain"), tmp_path)
    assert (tmp_path / "plain").read_bytes() == CONTENT


def test_a_redirect_is_followed(server: _Server, tmp_path: Path) -> None:
    """Releases are kept elsewhere than their address says; a file may be named."""
    fetch_model(row(server, "/moved"), tmp_path / "mine.onnx")
    assert (tmp_path / "mine.onnx").read_bytes() == CONTENT


def test_a_missing_file_is_said(server: _Server, tmp_path: Path) -> None:
    """404."""
    with pytest.raises(FetchError, match=r"/gone\.onnx answers 404 Not Found"):
        fetch_model(row(server, "/gone.onnx"), tmp_path)


def test_no_network_is_said(server: _Server, tmp_path: Path) -> None:
    """Nobody answers at that address."""
    one = row(server, "/net.onnx")
    server.shutdown()
    server.server_close()
    with pytest.raises(FetchError, match=r"cannot fetch .*Connection refused.*is there a network\?$"):
        fetch_model(one, tmp_path)


@pytest.mark.machine
def test_a_full_disk_is_said(server: _Server, tmp_path: Path) -> None:
    """On a real disk of 64 kB; the part stays for when there is room."""
    disk = tmp_path / "small"
    with mount_small_disk(disk, size="64k") as is_mounted:
        if not is_mounted:
            pytest.skip("needs the right to mount a small disk")
        with pytest.raises(FetchError, match="No space left on device; make room"):
            fetch_file(row(server, "/net.onnx").files[0], disk / "net.onnx")
        assert not (disk / "net.onnx").exists()


def test_an_unknown_name_is_answered_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence and exit code 1."""
    assert reid_edge(["fetch", "nothing"]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith("error: there is no public network nothing; known: person-reidentification-retail-0248,")


def test_bare_it_lists_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    """With the terms of weights and images."""
    assert reid_edge(["fetch"]) == 0
    printed = capsys.readouterr().out
    assert all(f"{one.name} " in printed and one.licence.data in printed for one in read_public_models())


def test_the_list_is_whole() -> None:
    """Names stand once; every address is encrypted; every re-identification network says what pixels it wants."""
    rows = read_public_models(PUBLIC_MODELS)
    assert len({one.name for one in rows}) == len(rows)
    assert {file.address.scheme for one in rows for file in one.files} == {"https"}
    assert all((one.pixels is None) == (one.task == "person detection") for one in rows)


def test_a_wrong_list_is_refused(tmp_path: Path) -> None:
    """The fault is named."""
    (tmp_path / "list.json").write_text('{"models": [{"name": "x"}]}')
    with pytest.raises(ConfigError, match=r"is no list of networks: models\.0\.task: Field required"):
        read_public_models(tmp_path / "list.json")
