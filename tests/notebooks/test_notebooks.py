"""Every notebook of the course runs from top to bottom (with a small budget), and is committed without widget state."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_runs(path, tmp_path):
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    command = [sys.executable, "-m", "pytest", "-q", "--nbval-lax", "-p", "no:cacheprovider", "--rootdir",
               str(tmp_path), "-c", os.devnull, str(copy)]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | {"FEDLAB_FAST": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_is_committed_clean(path):
    note = nbformat.read(path, as_version=4)
    nbformat.validate(note)
    assert path.stat().st_size < 300_000 and "widgets" not in note.metadata
    assert all(not cell.get("outputs") for cell in note.cells)


def test_there_are_notebooks():
    assert NOTEBOOKS
