"""The lab with networking cut: server, kernel and browser in a network namespace that has loopback and nothing else."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser]
UP = 'ip link set lo up && exec "$@"'


def cut_off() -> list[str]:
    """The words before a command that take the network away from it; skips where the system does not allow that."""
    if not shutil.which("unshare") or not shutil.which("ip"):
        pytest.skip("needs unshare and ip (Debian: util-linux and iproute2)")
    words = ["unshare", "-n" if os.geteuid() == 0 else "-rn", "sh", "-c", UP, "sh"]
    tried = subprocess.run([*words, "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"no network namespaces here: {tried.stderr.strip()}")
    return words


def test_everything_works_with_networking_cut():
    here = f"{Path(__file__)}::test_from_opening_to_what_if"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", "0", "-s", "-q", "-rs", here]
    done = subprocess.run([*cut_off(), *command], env=os.environ | {"FEDLAB_CUT_OFF": "1"}, capture_output=True,
                          text=True, timeout=600, cwd=Path(__file__).parents[2])
    print(done.stdout[-3000:])
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout[-3000:] + done.stderr[-2000:]


@pytest.mark.skipif("FEDLAB_CUT_OFF" not in os.environ, reason="for the child process of the test above")
def test_from_opening_to_what_if(notebook):
    assert [name for _, name in socket.if_nameindex()] == ["lo"]
    with pytest.raises(OSError), socket.create_connection(("192.0.2.1", 443), timeout=3):
        pass
    page = notebook("offline", ["import fedlab_widgets as fl\nlab = fl.Lab(out='runs-offline')\nlab"], height=2400)
    page.button("Start").wait_for(timeout=120_000)
    page.wait_for("b.dataset.seq >= 0")
    page.choose("full speed")
    page.button("Start").click()
    page.wait_for("b.dataset.state === 'done' && b.dataset.n === '30'", 180)
    page.page.get_by_text("The model did not change. Nobody's prediction changed.").wait_for(timeout=90_000)
    page.output("After round 30").wait_for(timeout=30_000)
    page.shot("offline")
    assert page.outside == [], "the page asked for something outside"
