"""Every notebook of the course runs from top to bottom (with a small budget), and is committed without widget state."""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def failures(request, tmp_path_factory):
    """What went wrong in each notebook that is asked for: name -> texts. One process runs them all, a kernel each."""
    folder = tmp_path_factory.mktemp("course")
    asked = sorted({item.callspec.params["path"] for item in request.session.items
                    if item.name.startswith("test_runs[")})
    copies = [folder / path.name for path in asked]
    for path, copy in zip(asked, copies, strict=True):
        copy.write_bytes(path.read_bytes())
    command = [sys.executable, "-m", "pytest", "-q", "--nbval-lax", "-p", "no:cacheprovider", "--rootdir", str(folder),
               "-c", os.devnull, "--junitxml", str(folder / "found.xml"), *map(str, copies)]
    done = subprocess.run(command, cwd=folder, env=os.environ | {"FEDLAB_FAST": "1"}, capture_output=True, text=True)
    cells = list(ElementTree.parse(folder / "found.xml").iter("testcase"))
    ran = {copy.stem: [c for c in cells if c.get("classname", "").split(".")[-1] == copy.stem
                       or copy.name in c.get("classname", "")] for copy in copies}
    assert all(ran.values()), f"no cell of some notebook ran: {done.stdout[-3000:]}{done.stderr[-1000:]}"
    wrong = lambda cell: (*cell.iter("failure"), *cell.iter("error"))   # noqa: E731
    return {name: [f"{f.get('message')} {f.text}" for cell in its for f in wrong(cell)] for name, its in ran.items()}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_runs(path, failures):
    assert not failures[path.stem], "\n".join(failures[path.stem])[-4000:]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_is_committed_clean(path):
    note = nbformat.read(path, as_version=4)
    nbformat.validate(note)
    assert path.stat().st_size < 300_000 and "widgets" not in note.metadata
    assert all(not cell.get("outputs") for cell in note.cells)


def test_there_are_notebooks():
    assert NOTEBOOKS
