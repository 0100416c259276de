"""`fedlab lab`: a writable copy of the course, and a JupyterLab that answers on it."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

import fedlab_widgets as fl
from fedlab_widgets.course import FIRST, course_folder


def test_the_course_is_copied_and_what_is_there_stays(tmp_path):
    folder = course_folder(tmp_path / "mine")
    assert (folder / FIRST).is_file() and len(list(folder.glob("*.ipynb"))) >= 3
    (folder / FIRST).write_text("mine now")
    assert (course_folder(folder) / FIRST).read_text() == "mine now"


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(fl.BadInput, match="give another folder"):
        course_folder(tmp_path / "file")


@pytest.mark.skipif(os.name == "nt", reason="ends the server with a signal to its process group")
def test_jupyterlab_answers_on_the_first_notebook_and_ends_with_the_command(tmp_path):
    command = [sys.executable, "-m", "fedlab_widgets", "lab", str(tmp_path / "course"), "--no-browser"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True,
                               env=os.environ | {"HOME": str(tmp_path), "PYTHONUNBUFFERED": "1"})
    try:
        found, end = None, time.monotonic() + 90
        while found is None and time.monotonic() < end:
            found = re.search(rf"(http://127\.0\.0\.1:\d+)/lab/tree/{FIRST}\?(token=\w+)", process.stderr.readline())
        assert found
        address = f"{found[1]}/api/contents/{FIRST}?{found[2]}"
        for _ in range(50):
            with contextlib.suppress(OSError):
                assert urllib.request.urlopen(address, timeout=5).status == 200
                break
            time.sleep(0.2)
        else:
            pytest.fail("the page never answered")
        page = urllib.request.urlopen(f"{found[1]}/lab?{found[2]}", timeout=20).read().decode()
        assert re.search(r'"news":\s*{"disabled":\s*true}', page)   # no pop-up over the lab
        process.terminate()
        process.communicate(timeout=60)   # its pipe too: nobody who holds it is left
        with pytest.raises(OSError):
            urllib.request.urlopen(address, timeout=5)
    finally:
        with contextlib.suppress(ProcessLookupError):   # the group ended with the server
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
