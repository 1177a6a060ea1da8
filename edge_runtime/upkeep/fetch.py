"""Lists public networks with their licences, and fetches one by address and digest.

A download that was cut is continued by the next call. What has another digest is not kept.
"""

import argparse
import http.client
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from edge_runtime.contract.errors import ConfigError, FetchError
from edge_runtime.contract.manifest import hash_file
from edge_runtime.contract.model_list import (
    PUBLIC_MODELS,
    PublicFile,
    PublicModel,
    find_public_model,
    read_public_models,
)
from edge_runtime.contract.script import ScriptParser

_BLOCK = 1 << 16
_TRIES = 3
_BAR = 30
_TIMEOUT_S = 30.0


def main(argv: list[str]) -> int:
    """List the networks, or fetch the one that is named. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    if arguments.name is None:
        print(_listing(read_public_models(arguments.models)))
        return 0
    row = find_public_model(arguments.name, arguments.models)
    print(_terms(row))
    for path in fetch_model(row, arguments.to):
        print(path)
    print(f"weights: {row.licence.weights}\nnext: {row.next_step}")
    return 0


def fetch_model(row: PublicModel, place: Path | None = None) -> list[Path]:
    """Download all files of a network that are not there yet. Returns their paths.

    place: a folder, or for a network of one file also the file to write; None for the current folder.

    Raises:
        ConfigError: the place cannot be.
        FetchError: see `fetch_file`.
    """
    targets = _targets(row, place)
    for file, target in zip(row.files, targets, strict=True):
        fetch_file(file, target)
    return targets


def fetch_file(file: PublicFile, target: Path, *, timeout_s: float = _TIMEOUT_S) -> None:
    """Download one file; `target` appears when its digest was found right. Nothing is done if it is there already.

    Raises:
        FetchError: there is no such file or no network, the connection was cut several times, another file came, or
            `target` is there and is another file.
    """
    if target.exists():
        if hash_file(target) == file.sha256:
            print(f"{target} is there already, with the right digest")
            return
        raise FetchError(f"{target} is there and is another file than {file.name}; move it away, or give another --to")
    partial = target.with_name(target.name + ".partial")
    try:
        _download(file, partial, timeout_s=timeout_s)
        found = hash_file(partial)
        if found != file.sha256:
            partial.unlink()
            raise FetchError(
                f"{file.address} gives another file: expected SHA-256 {file.sha256}, found {found}; nothing was kept. "
                "It was replaced there, or changed on its way"
            )
        partial.replace(target)
    except urllib.error.HTTPError as error:
        raise FetchError(f"{file.address} answers {error.code} {error.reason}; it may have moved") from error
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
        reason = getattr(error, "reason", None) or error or type(error).__name__
        kept = f"; {partial} is continued by the next call" if partial.exists() else ""
        raise FetchError(f"cannot fetch {file.address}: {reason}; is there a network?{kept}") from error
    except OSError as error:
        raise FetchError(
            f"cannot write {partial}: {error.strerror or error}; make room, or give another --to"
        ) from error


def _download(file: PublicFile, partial: Path, *, timeout_s: float) -> None:
    """Fill the partial file, going on where it ends; a cut connection is tried again while it brings anything."""
    for attempt in range(_TRIES):
        before = partial.stat().st_size if partial.exists() else 0
        if before >= file.size:  # whole, or of another network: the digest says which
            return
        try:
            _append(file, partial, start=before, timeout_s=timeout_s)
        except (http.client.IncompleteRead, ConnectionError, TimeoutError):
            if attempt == _TRIES - 1 or partial.stat().st_size == before:
                raise
            continue
        if partial.stat().st_size >= file.size:
            return
    raise http.client.IncompleteRead(b"", file.size - partial.stat().st_size)


def _append(file: PublicFile, partial: Path, *, start: int, timeout_s: float) -> None:
    request = urllib.request.Request(str(file.address), headers={"User-Agent": "reid-edge"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    with urllib.request.urlopen(request, timeout=timeout_s) as answer:
        goes_on = answer.status == http.client.PARTIAL_CONTENT
        with partial.open("ab" if goes_on else "wb") as output:
            done = output.tell()
            for block in _blocks(answer):
                output.write(block[: file.size - done + 1])  # one byte too many is enough to see another file
                done += len(block)
                _show(file, done)
                if done > file.size:
                    break
    _show(file, None)


def _blocks(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    while block := answer.read(_BLOCK):
        yield block


def _show(file: PublicFile, done: int | None) -> None:
    """Draw the progress on a terminal; None ends the line."""
    if not sys.stderr.isatty():
        return
    if done is None:
        print(file=sys.stderr)
        return
    share = min(done / file.size, 1.0)
    bar = "#" * round(_BAR * share)
    print(f"\r{file.name} [{bar:{_BAR}}] {100 * share:3.0f} % of {file.size / 1e6:.1f} MB", end="", file=sys.stderr)


def _targets(row: PublicModel, place: Path | None) -> list[Path]:
    folder = place is None or place.is_dir() or len(row.files) > 1
    parent = (place or Path()) if folder else place.parent if place else Path()
    if place is not None and len(row.files) > 1 and place.is_file():
        raise ConfigError(f"{row.name} has {len(row.files)} files: expected a folder for --to, found the file {place}")
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the folder {parent}: {error.strerror}; give another --to") from error
    return [parent / file.name for file in row.files] if folder or place is None else [place]


def _terms(row: PublicModel) -> str:
    licence = row.licence
    return (
        f"{row.name}: {row.task}, {row.size / 1e6:.1f} MB, {row.page}\n"
        f"code: {licence.code}; weights: {licence.weights}; trained on: {licence.data}"
    )


def _listing(rows: tuple[PublicModel, ...]) -> str:
    width = max(len(row.name) for row in rows)
    lines = [
        f"{row.name:{width}}  {row.task:17}  {row.size / 1e6:6.1f} MB  weights: {row.licence.weights}; "
        f"trained on: {row.licence.data}"
        for row in rows
    ]
    return "\n".join([*lines, "what they score here: export/README.md; fetch one: reid-edge fetch NAME"])


def _parser() -> argparse.ArgumentParser:
    parser = ScriptParser(
        prog="reid-edge fetch",
        purpose=(__doc__ or "").partition("\n\n")[0],
        shortest="person-reidentification-retail-0288",
        next_step="export/README.md, bring your own network",
        examples="example: reid-edge fetch person-reidentification-retail-0288 --to models",
    )
    parser.add_argument("name", nargs="?", help="the network; without a name, they are listed")
    parser.add_argument("--to", type=Path, metavar="PLACE", help="a folder, or the file to write (default: here)")
    parser.add_argument(
        "--models",
        type=Path,
        default=PUBLIC_MODELS,
        metavar="FILE",
        help="another list, in the form of export/models.json",
    )
    return parser
