"""Keeps what camera nodes send, joins tracks into people, and shows who was where: a page, an API, identity messages.

Threads: the main thread receives and stores (`Intake.run`). One thread answers HTTP requests, each in a thread of its
own, and one erases what is past its time, once an hour.
"""

import argparse
import json
import logging
import socket
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from edge_runtime.contract.errors import ConfigError, GalleryError, ReidError
from edge_runtime.contract.script import ScriptParser, run_until_stopped
from edge_runtime.gallery.associate import AssociationBySpace
from edge_runtime.gallery.bridge import Bridges, read_bridges
from edge_runtime.gallery.descriptor_store import Store
from edge_runtime.gallery.erasure import AuditLog
from edge_runtime.gallery.gallery import Gallery
from edge_runtime.gallery.gallery_config import GalleryConfig, gallery_config_schema, read_gallery_config
from edge_runtime.gallery.home_assistant import PeopleSensors
from edge_runtime.gallery.identity import identity_schema
from edge_runtime.gallery.intake import Intake
from edge_runtime.gallery.sightings import Sightings
from edge_runtime.gallery.sqlite_store import SqliteStore
from edge_runtime.gallery.webhook import Webhook
from edge_runtime.link.broker import check_files

logger = logging.getLogger(__name__)

_HOUR_S = 3600.0
_RETRY_S = 60.0
_CLOSE_S = 10.0
_EXAMPLES = """\
examples:
  python edge_runtime/gallery/gallery_server.py --config gallery.yaml --check     check the configuration, then end
  python edge_runtime/gallery/gallery_server.py --config gallery.yaml             run until SIGTERM or Ctrl-C

The page is then at http://127.0.0.1:8470/. An installed package has the same command as reid-gallery.

The smallest configuration, as the file gallery.yaml:
  folder: gallery
  keep_h: 72
  broker: {host: localhost}
All settings: --schema. What each means: edge_runtime/gallery/README.md

Exit code: 0 ended by a signal, 1 the store or a file cannot be used, 2 wrong arguments or configuration.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    arguments = _parse(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    if arguments.schema or arguments.messages:
        print(gallery_config_schema() if arguments.schema else json.dumps(identity_schema(), indent=2))
        return 0
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    return run_until_stopped(partial(_check_and_run, arguments))


def _check_and_run(arguments: argparse.Namespace, stop: threading.Event) -> int:
    """Read the configuration and all files that it names, then run unless only that was asked for."""
    config = read_gallery_config(arguments.config)
    check_files(config.broker)
    config.page.read_token()
    config.page.tls_options()
    if config.webhook:
        config.webhook.read_secret()
        config.webhook.read_context()
    if arguments.check:
        print(f"{arguments.config} is right")
    else:
        _run(config, stop)
    return 0


def command() -> None:
    """The installed command `reid-gallery`."""
    sys.exit(main())


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="--config gallery.yaml",
        next_step="edge_runtime/gallery/README.md",
        examples=_EXAMPLES,
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="YAML file with all settings")
    parser.add_argument("--check", action="store_true", help="check the configuration, then end")
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of the configuration, then end")
    parser.add_argument("--messages", action="store_true", help="print the JSON Schema of identity messages, then end")
    arguments = parser.parse_args(argv)
    if arguments.config is None and not arguments.schema and not arguments.messages:
        parser.error("expected --config FILE")
    return arguments


def _run(config: GalleryConfig, stop: threading.Event) -> None:
    gallery = _open_gallery(config)
    webhook = Webhook(config.webhook) if config.webhook else None
    if webhook:
        gallery.sightings.listeners.append(webhook.offer)
    try:
        sensors = PeopleSensors(config.home_assistant, gallery.sightings) if config.home_assistant else None
        intake = Intake(gallery, config.intake, broker=config.broker, sensors=sensors)
        expiry = _Expiry(gallery, stop)
        server = _Server(gallery, config, intake=intake, expiry=expiry, webhook=webhook)
        logger.info("the page is at %s", server.address)
        expiry.start()
        try:
            intake.run(stop)
        finally:
            stop.set()
            server.close()
            expiry.join(_CLOSE_S)
    finally:
        if webhook:
            webhook.close()
        gallery.close()


def _open_gallery(config: GalleryConfig) -> Gallery:
    store = _open_store(config)
    try:
        sightings = Sightings(config.folder / "people.sqlite")
        bridges = Bridges(read_bridges(config.folder))
        return Gallery(
            store,
            sightings,
            associate=AssociationBySpace(config.association, folder=config.folder, bridges=bridges),
            log=AuditLog(config.folder / "erasures.jsonl"),
            keep_s=config.keep_h * 3600,
            bridges=bridges,
        )
    except ReidError:
        store.close()
        raise


def _open_store(config: GalleryConfig) -> Store:
    if config.postgres is None:
        return SqliteStore(config.folder)
    try:
        from edge_runtime.gallery.postgres_store import PostgresStore
    except ImportError as error:
        raise ConfigError(
            f"a gallery in PostgreSQL needs psycopg: pip install 'reid-edge[postgres]' ({error})"
        ) from error
    return PostgresStore(config.postgres)


class _Expiry(threading.Thread):
    """Erases what is past its time, at the start and then every hour; after a fault, again a minute later."""

    def __init__(self, gallery: Gallery, stop: threading.Event) -> None:
        super().__init__(name="expiry", daemon=True)
        self._gallery, self._stop_event = gallery, stop
        self.last_ns: int | None = None

    def run(self) -> None:
        """See the class."""
        has_failed, clock_fault = False, None
        while not self._stop_event.is_set():
            fault = self._gallery.clock.fault()
            if (fault is None) != (clock_fault is None):
                logger.warning("%s", fault or "the clock of this machine is right again")
            clock_fault = fault
            try:
                receipt = self._gallery.expire(self._gallery.clock.now_ns())
            except GalleryError as error:
                if not has_failed:
                    logger.error("cannot erase what is past its time: %s; trying again", error)
                has_failed = True
            else:
                has_failed, self.last_ns = False, time.time_ns()
                if receipt:
                    logger.info("%s rows were past their time and are erased", receipt.rows)
            self._stop_event.wait(_RETRY_S if has_failed else _HOUR_S)


class _Server:
    """Answers HTTP requests from construction until `close`.

    Raises:
        ConfigError: host and port cannot be used, or FastAPI or uvicorn is not installed.
    """

    def __init__(
        self, gallery: Gallery, config: GalleryConfig, *, intake: Intake, expiry: _Expiry, webhook: Webhook | None
    ) -> None:
        try:
            import uvicorn

            from edge_runtime.gallery.api import ApiFacts, make_app
        except ImportError as error:
            raise ConfigError(
                f"the page needs FastAPI and uvicorn: pip install 'reid-edge[gallery]' ({error})"
            ) from error
        page = config.page
        facts = ApiFacts(
            intake=intake.state,
            last_expiry_ns=lambda: expiry.last_ns,
            is_alive=lambda: intake.is_alive() and expiry.is_alive(),
            folder=config.folder,
            keep_h=config.keep_h,
            flow=config.purposes.flow,
            search=config.purposes.search,
            webhook=webhook.state if webhook else None,
        )
        app = make_app(gallery, facts, token=page.read_token(), is_certified=page.client_ca_file is not None)
        try:
            family = socket.AF_INET6 if ":" in page.host else socket.AF_INET
            self._socket = socket.create_server((page.host, page.port), family=family)
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"the page cannot be served on {page.host}:{page.port}: {error}; choose another address"
            ) from error
        host = f"[{page.host}]" if ":" in page.host else page.host
        self.address = f"http{'s' if page.certificate_file else ''}://{host}:{self._socket.getsockname()[1]}/"
        settings: dict[str, Any] = {"log_config": None, "access_log": False, "lifespan": "off"} | page.tls_options()
        self._server = uvicorn.Server(uvicorn.Config(app, timeout_graceful_shutdown=2, **settings))
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="page", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._server.should_exit = True
        self._thread.join(_CLOSE_S)
        self._socket.close()


if __name__ == "__main__":
    command()
