"""The commands `reid-edge install` and `reid-edge rollback`."""

import argparse
import http.client
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from edge_runtime.config import Config, read_config
from edge_runtime.contract.bundle import read_bundle_id
from edge_runtime.contract.errors import BundleError, ConfigError, DeviceError, EngineError, ManifestError, RolloutError
from edge_runtime.contract.script import ScriptParser, run
from edge_runtime.rollout.installed_engines import InstalledEngines, engines_folder, open_engines
from edge_runtime.rollout.running_daemon import RunningDaemon
from edge_runtime.rollout.taking_in import take_in

_REFUSED, _NOT_READY = 2, 3
_EXIT_CODES = """\
exit code: 0 done, or done before; 1 a fault of this machine, so try again later: disk, restart, another install, a node
that is not ready; 2 refused: the bundle, its engine or the configuration is wrong; 3 the daemon did not become ready.
After 1 and 2 the engine before is in use, or the new one if only the restart failed; after 3 the engine before is in
use again, if there is one."""


def install(argv: list[str]) -> int:
    """Take an engine from a bundle into use. Returns the exit code."""
    parser = _parser(
        "install",
        purpose="Takes the engine of a signed bundle into use, in one step, once it was checked, built and tried here.",
        example="shop.bundle --config site.yaml --wait-ready 120",
    )
    parser.add_argument("bundle", type=Path, help="a file of reid-bundle")
    _add_options(parser, ready="; if it is not, take the engine before into use again")
    return _run(partial(_install, parser.parse_args(argv)))


def rollback(argv: list[str]) -> int:
    """Take the engine before into use again. Returns the exit code."""
    parser = _parser(
        "rollback",
        purpose="Takes the engine that was in use before the last install into use again.",
        example="--config site.yaml",
    )
    parser.add_argument("bundle", type=Path, nargs="?", help="go back only if the engine in use came from this bundle")
    _add_options(parser, ready="")
    return _run(partial(_roll_back, parser.parse_args(argv)))


def _parser(name: str, *, purpose: str, example: str) -> ScriptParser:
    return ScriptParser(
        prog=f"reid-edge {name}",
        purpose=purpose,
        shortest=example,
        next_step="edge_runtime/README.md, updating",
        examples=f"example: reid-edge {name} {example}\n\n{_EXIT_CODES}",
    )


def _add_options(parser: argparse.ArgumentParser, *, ready: str) -> None:
    parser.add_argument("--config", type=Path, required=True, help="the daemon's configuration")
    parser.add_argument(
        "--wait-ready",
        type=float,
        metavar="SECONDS",
        help=f"wait so long until /readyz answers 200 with this engine{ready}",
    )


def _run(act: Callable[[], int]) -> int:
    """Call it; see the exit codes above."""

    def refuse() -> int:
        try:
            return act()
        except DeviceError:  # the GPU is busy, for now
            raise
        except (BundleError, ConfigError, EngineError, ManifestError) as error:
            print(f"error: {error}", file=sys.stderr)
            return _REFUSED

    return run(refuse)


def _install(arguments: argparse.Namespace) -> int:
    os.umask(0o022)  # the daemon is another user, and reads what is made here
    config = read_config(arguments.config)
    daemon, keys = _daemon(config, arguments.wait_ready), config.rollout.trusted_keys
    with open_engines(engines_folder(config.engine.model)) as engines:
        bundle_id = read_bundle_id(arguments.bundle, keys=keys)
        before = engines.manifest()
        if before and engines.came_from(bundle_id):
            print(f"{arguments.bundle}: its engine is in use already", flush=True)
            return _start_using(engines, daemon, else_go_back=True)
        _check_is_ready(daemon)
        with engines.new_folder(bundle_id) as folder:
            manifest = take_in(arguments.bundle, folder, keys=keys)
            engines.use(folder)
        print(f"in use: {manifest.model_id}, {manifest.build.precision}", flush=True)
        if before and before.space_id != manifest.space_id:
            print("another space: its descriptors cannot be compared with those of the engine before", flush=True)
        return _start_using(engines, daemon, else_go_back=True)


def _roll_back(arguments: argparse.Namespace) -> int:
    config, bundle = read_config(arguments.config), arguments.bundle
    daemon = _daemon(config, arguments.wait_ready)
    with open_engines(engines_folder(config.engine.model)) as engines:
        if bundle and not engines.came_from(read_bundle_id(bundle, keys=config.rollout.trusted_keys)):
            print(f"nothing to go back from: the engine in use did not come from {bundle}")
            if engines.current is None:
                return 0
        elif not engines.go_back():
            raise ConfigError("there is no engine before the one in use; install the bundle that you want")
        else:
            print("the engine before is in use again", flush=True)
        return _start_using(engines, daemon, else_go_back=False)


def _daemon(config: Config, ready_within_s: float | None) -> RunningDaemon:
    if ready_within_s is not None and config.health.port == 0:
        raise ConfigError("--wait-ready asks /readyz: set `health: {port: ...}` in the configuration, or leave it out")
    return RunningDaemon(config.rollout.restart, config.health, ready_within_s)


def _check_is_ready(daemon: RunningDaemon) -> None:
    """A node that is not ready now would not be ready with another engine either, which would then be blamed for it.

    A daemon that does not run may be waiting for this engine.
    """
    answer = None if daemon.ready_within_s is None else daemon.readiness()
    if answer and answer.status != http.client.OK:
        raise RolloutError(f"the node is not ready now: {answer.faults}; mend this first, or leave --wait-ready out")


def _start_using(engines: InstalledEngines, daemon: RunningDaemon, *, else_go_back: bool) -> int:
    """Let the daemon run the engine in use. Returns the exit code.

    else_go_back: where the daemon does not become ready, take the engine before into use again.

    Raises:
        RolloutError: the engine is damaged; or nobody waits for the daemon, and it cannot be restarted.
    """
    manifest = engines.manifest()
    if manifest is None:
        raise RolloutError("the engine in use is damaged; install a bundle")
    try:
        daemon.run_with(manifest.artefact.sha256)
    except RolloutError as error:
        if daemon.ready_within_s is None:
            raise
        print(f"error: {error}", file=sys.stderr, flush=True)
    else:
        return 0
    if else_go_back and engines.go_back():
        print("error: the engine before is in use again", file=sys.stderr, flush=True)
        _start_using(engines, daemon, else_go_back=False)
    elif else_go_back:
        print("error: there is no engine before it, so it stays in use", file=sys.stderr)
    return _NOT_READY
