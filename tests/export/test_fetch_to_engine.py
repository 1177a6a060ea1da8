"""A public network from its address to an accepted INT8 engine, by the commands that a user types."""

import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from edge_runtime.contract.manifest import hash_file, read_manifest
from edge_runtime.daemon import main as reid_edge
from export import adopt, build_engine
from tests.support.foreign_network import HEIGHT_PX, WIDTH_PX, write_foreign_network
from train.evaluate import main as evaluate


def test_a_public_network_becomes_an_accepted_engine(tmp_path: Path, data: Path, images: Path) -> None:
    """fetch, adopt, build: what is stated of it comes from its row, and it is scored like ours."""
    published = tmp_path / "published"
    published.mkdir()
    network = write_foreign_network(published / "net.onnx", classifies=False)
    handler = partial(SimpleHTTPRequestHandler, directory=str(published))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    listed = tmp_path / "list.json"
    listed.write_text(json.dumps({"models": [_row(network, port=server.server_port)]}))
    try:
        assert reid_edge(["fetch", "net", "--to", str(tmp_path), "--models", str(listed)]) == 0
    finally:
        server.shutdown()
        server.server_close()

    models = tmp_path / "models"
    facts = ["--public", "net", "--models", str(listed), "--data", str(data)]
    assert adopt.main([str(tmp_path / "net.onnx"), "--output", str(models), *facts]) == 0
    options = ["--int8", "--calibration", str(images), "--data", str(data), "--backend", "onnxruntime"]
    assert build_engine.main([str(models / "net.onnx"), *options, "--allow-slower"]) == 0

    engine = read_manifest(models / "net_int8_onnxruntime.onnx")
    assert engine.build.precision == "int8"
    assert engine.space_id == read_manifest(models / "net.onnx").space_id
    assert (engine.terms.weights, engine.terms.training_data) == ("Apache-2.0", "patterns, public domain")
    assert evaluate([str(models / "net_int8_onnxruntime.onnx"), "--data", str(data)]) == 0


def _row(network: Path, *, port: int) -> dict[str, object]:
    file = {
        "name": "net.onnx",
        "address": f"http://127.0.0.1:{port}/net.onnx",
        "sha256": hash_file(network),
        "size": network.stat().st_size,
    }
    return {
        "name": "net",
        "task": "re-identification",
        "page": "https://example.org/net",
        "height_px": HEIGHT_PX,
        "width_px": WIDTH_PX,
        "pixels": "imagenet",
        "licence": {"code": "MIT", "weights": "Apache-2.0", "data": "patterns, public domain"},
        "files": [file],
        "digest_from": "the test",
        "next_step": "adopt it",
    }
