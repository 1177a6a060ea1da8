"""Origin of an artefact: commit, machine and time at which it was made, and the artefact it was made from."""

import platform
import subprocess
from datetime import datetime, timezone
from pathlib import Path

from edge_runtime.contract.manifest import Artefact, Build, Calibration, Evidence, Manifest, hash_file

UNKNOWN_COMMIT = "unknown"


def read_commit() -> str:
    """The commit of this checkout, with `-changed` appended if files differ from it; `unknown` outside a checkout."""
    folder = Path(__file__).resolve().parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=-changed"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return UNKNOWN_COMMIT
    return described.stdout.strip()


def read_cpu_name() -> str:
    """Model name of the processor, as reported by the operating system."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def read_utc() -> str:
    """The current time in UTC, in the format of manifests and records: 2026-01-31T12:34:56Z."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def derive_manifest(
    parent: Manifest,
    artefact: Artefact,
    *,
    build: Build,
    calibration: Calibration | None = None,
    evidence: Evidence | None = None,
) -> Manifest:
    """The manifest of an artefact made from `parent`: same weights, input and descriptor, own file and scores."""
    return parent.model_copy(
        update={
            "commit": read_commit(),
            "created": read_utc(),
            "artefact": artefact,
            "build": build,
            "calibration": calibration,
            "evidence": evidence,
        }
    )


def describe_file(path: Path, *, parent: Manifest, kind: str, opset: int | None) -> Artefact:
    """The manifest's artefact entry of a new file that was made from `parent`; the batch sizes are the parent's."""
    changes = {
        "kind": kind,
        "file": path.name,
        "sha256": hash_file(path),
        "parent_sha256": parent.artefact.sha256,
        "opset": opset,
    }
    return Artefact.model_validate(parent.artefact.model_dump() | changes)
