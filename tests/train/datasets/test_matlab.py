"""MATLAB files: their libraries are needed only where they are read, and what is no such file is said so."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from edge_runtime.contract.errors import DataError
from train.datasets.matlab import open_matlab73, read_matlab, read_texts


def test_no_library_is_loaded_before_it_is_needed() -> None:
    """A camera scores ONNX files without SciPy, h5py and torch."""
    names = "('scipy', 'h5py', 'torch')"
    program = f"import sys, train.datasets.catalog; print([name for name in {names} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.strip() == "[]"


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the extra that holds it."""
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DataError, match="needs h5py; install the extra `train`"):
        open_matlab73(tmp_path / "a.mat")
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(DataError, match="needs SciPy; install the extra `train`"):
        read_matlab(tmp_path / "a.mat")


def test_a_column_of_cells_is_a_list_of_texts(tmp_path: Path) -> None:
    """As the lists of CUHK03 and PA-100K are kept."""
    cells = np.empty((2, 1), object)
    cells[:, 0] = ["one.png", "two.png"]
    savemat(tmp_path / "a.mat", {"files": cells})
    assert read_texts(read_matlab(tmp_path / "a.mat")["files"]) == ["one.png", "two.png"]


@pytest.mark.parametrize("length", [0, 20, 56, 150, 600])
def test_a_file_cut_short_is_refused(tmp_path: Path, length: int) -> None:
    """An interrupted copy; every cut ends in a sentence."""
    savemat(tmp_path / "a.mat", {"numbers": np.arange(500)}, do_compression=True)
    whole = (tmp_path / "a.mat").read_bytes()
    (tmp_path / "a.mat").write_bytes(whole[:length])
    assert length < len(whole)
    with pytest.raises(DataError, match=r"a\.mat cannot be read as a MATLAB file"):
        read_matlab(tmp_path / "a.mat")
