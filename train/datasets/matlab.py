"""MATLAB files up to version 7, and of version 7.3. SciPy and h5py are imported only when a data set needs them."""

import zlib
from pathlib import Path
from typing import Any

from edge_runtime.contract.errors import DataError


def read_matlab(path: Path) -> dict[str, Any]:
    """The variables of a MATLAB file up to version 7, as NumPy arrays.

    Raises:
        DataError: the file is missing or of another kind, or SciPy is not installed.
    """
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ImportError as error:
        raise DataError(f"reading {path} needs SciPy; install the extra `train`") from error
    if not path.is_file():
        raise DataError(f"expected the file {path}, which is missing")
    try:
        return dict(loadmat(path))
    except (MatReadError, zlib.error, ValueError, TypeError, IndexError, NotImplementedError, OSError) as error:
        raise DataError(f"{path} cannot be read as a MATLAB file: {error}; get it again") from error


def open_matlab73(path: Path) -> Any:
    """Open a MATLAB 7.3 file, which is HDF5; use it in a `with`.

    Raises:
        DataError: the file is missing or of another kind, or h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise DataError(f"reading {path} needs h5py; install the extra `train`") from error
    if not path.is_file():
        raise DataError(f"expected the file {path}, which is missing")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise DataError(f"{path} cannot be read as a MATLAB 7.3 (HDF5) file: {error}; get it again") from error


def read_texts(cells: Any) -> list[str]:
    """The strings of a cell array, flattened."""
    return [str(cell.item() if hasattr(cell, "item") else cell) for cell in cells.flatten()]
