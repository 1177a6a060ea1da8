"""What the catalog says about a data set, and a user's copy of one."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edge_runtime.contract.errors import DataError

Kind = Literal["re-identification", "classification", "attributes"]


@dataclass(frozen=True)
class DataSet:
    """One row of the catalog: everything about one published data set.

    paper: its publishers, who can be asked for a copy. terms: conditions of use; they go into the manifests of
    networks trained on it. counts: how many of what a complete copy holds, by the names that `counts` of `ReidData`,
    `ClassificationData` or `AttributeData` gives them; empty for a union, whose members are checked. read: reads a
    copy, and returns the one of these three that belongs to its kind. archive_folders: what the published archive
    unpacks to; a folder of this name is taken for this data set. splits: how many random splits `Copy.split` can
    choose from. note: what else a user must know.
    """

    name: str
    kind: Kind
    title: str
    paper: str
    terms: str
    counts: dict[str, int]
    read: Callable[["Copy"], Any]
    archive_folders: tuple[str, ...] = ()
    splits: int = 1
    note: str = ""

    @property
    def where_to_get(self) -> str:
        """A sentence that says whom to ask for the data set."""
        return " ".join(filter(None, [f"{self.title} is available from its authors: {self.paper}.", self.note]))

    def check_counts(self, found: dict[str, int], *, where: Path) -> None:
        """Compare what was read with what was published; all differences are named at once.

        Raises:
            DataError: a count differs.
        """
        faults = [
            f"{count} {what} (found {found[what]})"
            for what, count in self.counts.items()
            if what in found and found[what] != count
        ]
        if faults:
            raise DataError(
                f"{self.title}: expected {', '.join(faults)} in {where}; the copy is incomplete or another version"
            )


@dataclass(frozen=True)
class Copy:
    """A user's copy of a data set, as its reader gets it.

    folder: the one that the user named. split: which of the random splits, counted from 0. cache: where a reader may
    write extracted images; None means into `folder`.
    """

    data_set: DataSet
    folder: Path
    split: int = 0
    cache: Path | None = None

    @property
    def root(self) -> Path:
        """The folder that the archive unpacked to, also where the user named the folder around it."""
        return find_inner_folder(self.folder, *self.data_set.archive_folders)


def find_inner_folder(folder: Path, *names: str) -> Path:
    """The first of these subfolders that exists, or else the folder itself."""
    return next((folder / name for name in names if (folder / name).is_dir()), folder)
