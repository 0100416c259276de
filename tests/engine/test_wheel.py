"""The installed wheel works away from the checkout, offline, in an empty home, with the data inside."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
BIN = "Scripts" if os.name == "nt" else "bin"
NO_NETWORK = """
import socket

def refuse(self, address, *rest):
    if self.family != getattr(socket, "AF_UNIX", None):
        raise OSError("the network is cut for this test")
    return old(self, address, *rest)

old, socket.socket.connect = socket.socket.connect, refuse
"""
pytestmark = pytest.mark.skipif(not (CHECKOUT / "pyproject.toml").is_file(), reason="there is no checkout to build")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built by pip from the checkout. hatchling comes from this environment, else from the package index."""
    if importlib.util.find_spec("pip") is None:
        pytest.skip("there is no pip here")
    out = tmp_path_factory.mktemp("wheel")
    here = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
    done = subprocess.run([sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--wheel-dir", str(out), *here],
                          cwd=CHECKOUT, capture_output=True, text=True)
    if done.returncode and not here and "hatchling" in done.stderr and "No matching distribution" in done.stderr:
        pytest.skip("hatchling is not installed and the package index cannot be reached")
    assert done.returncode == 0, done.stderr
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A call into an environment that has this one's libraries, the wheel and no checkout; the network is cut."""
    place = tmp_path_factory.mktemp("installed")
    venv.create(place / "venv", with_pip=False, symlinks=os.name != "nt")
    python = place / "venv" / BIN / ("python.exe" if os.name == "nt" else "python")
    found = subprocess.run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True,
                           capture_output=True, check=True)
    site = Path(found.stdout.strip())
    subprocess.run([sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index",
                    str(wheel)], check=True, capture_output=True)
    # A line of a .pth file adds a folder, after the venv's own, without reading the .pth files in it: so the libraries
    # are there, and an editable checkout is not.
    (site / "libraries.pth").write_text("\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}))
    (site / "sitecustomize.py").write_text(NO_NETWORK)
    shared = Path("share") / "jupyter" / "labextensions"   # as the libraries are, those of this environment
    shutil.copytree(Path(sys.prefix) / shared, place / "venv" / shared)
    (place / "home").mkdir()
    (place / "empty").mkdir()
    cut = ["unshare", "-rn"]
    if not shutil.which("unshare") or subprocess.run([*cut, "true"], capture_output=True).returncode:
        cut = []   # then sitecustomize alone has to do
    kept = {k: v for k, v in os.environ.items() if k in ("SYSTEMROOT", "SYSTEMDRIVE", "TEMP", "LD_LIBRARY_PATH")}
    env = kept | {"PATH": os.defpath, "HOME": str(place / "home"), "USERPROFILE": str(place / "home")}

    def call(*words):
        done = subprocess.run([*cut, *map(str, words)], cwd=place / "empty", env=env, capture_output=True, timeout=300)
        return done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8")

    call.python, call.fedlab, call.place = python, python.with_name("fedlab"), place
    return call


def test_what_the_wheel_holds(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {re.sub(r"/.*|-.*", "", n) for n in names} == {"fedlab_widgets"}, "the package, its .dist-info, nothing else"
    modules = {p.relative_to(CHECKOUT).as_posix() for p in (CHECKOUT / "fedlab_widgets").rglob("*.py")}
    data = {"fedlab_widgets/" + p.relative_to(CHECKOUT).as_posix() for p in (CHECKOUT / "data").rglob("*.*")}
    assert modules <= set(names) and data <= set(names)
    assert "fedlab_widgets/data/SOURCES.md" in data and any("adult" in n for n in data)
    assert not [n for n in names if n.endswith((".pyc", ".pkl", ".pt")) or "/tests/" in n]
    assert any(n.endswith("entry_points.txt") for n in names) and any(n.endswith("LICENSE") for n in names)
    assert wheel.stat().st_size < 30e6


def test_the_environment_is_what_it_should_be(installed):
    status, out, _ = installed(installed.python, "-c", "import fedlab_widgets; print(fedlab_widgets.__file__)")
    assert status == 0 and Path(out.strip()).is_relative_to(installed.place / "venv")
    status, _, err = installed(installed.python, "-c", "import socket; socket.create_connection(('192.0.2.1', 80), 2)")
    assert status == 1 and ("the network is cut" in err or "unreachable" in err)


def test_run_and_doctor_offline_from_an_empty_home(installed):
    status, out, err = installed(installed.fedlab, "run", "--rounds", "2", "--out", "mine")
    assert status == 0, err
    assert "fedavg in mine finished: 2 of 2 rounds" in out
    status, out, err = installed(installed.fedlab, "doctor")
    assert status == 0, out + err
    assert f"in {installed.place / 'venv'}" in out and "data set adult: 48,842 rows" in out
    assert [p.name for p in (installed.place / "empty").iterdir()] == ["mine"]
    assert not list((installed.place / "home").iterdir()), "nothing is cached or written beside the run folder"
