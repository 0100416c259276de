"""A run folder in bad company: no pickle is ever loaded, and a full disk or memory costs no recorded round."""

import ast
import contextlib
import ctypes
import os
import pickle
import shutil
import sys
from pathlib import Path

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets import session, store

PACKAGE = Path(fl.__file__).parent

# --- no pickle ------------------------------------------------------------------------------------------------------

LOADERS = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
CALLS = {"torch.load", "np.load", "numpy.load", "pd.read_pickle", "pandas.read_pickle"}


def test_the_package_knows_no_pickle():
    assert pickles("import pickle") and pickles("from joblib import load") and pickles("x = torch.load(path)")
    assert pickles("np.load(f, allow_pickle=True)") and not pickles("'no pickle'; safetensors.torch.load(raw)")
    assert {str(path): found for path in PACKAGE.rglob("*.py") if (found := pickles(path.read_text("utf-8")))} == {}


def pickles(source):
    """Where a module imports or calls something that unpickles."""
    found = []
    for node in ast.walk(ast.parse(source)):
        modules = ([a.name for a in node.names] if isinstance(node, ast.Import) else
                   [node.module or ""] if isinstance(node, ast.ImportFrom) else [])
        found += [m for m in modules if m.split(".")[0] in LOADERS]
        if isinstance(node, ast.Attribute) and ast.unparse(node) in CALLS:
            found.append(ast.unparse(node))
    return found


class Malice:
    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


@pytest.mark.parametrize("name", "snapshot.safetensors snapshot.pt data.safetensors events.jsonl spec.json".split())
def test_a_malicious_pickle_does_nothing(tmp_path, half, name):
    poison = pickle.dumps(Malice(tmp_path / "run by the pickle"))
    (half / name).write_bytes(poison + b"\n")
    for work in (session.resume, lambda f: fl.open_run(f).model(), lambda f: fl.open_run(f).history):
        try:
            work(half)
        except fl.BadInput as error:
            assert str(half) in str(error)
    torch.save(Malice(tmp_path / "run by the pickle"), half / name)
    with contextlib.suppress(fl.BadInput):
        session.resume(half)
    assert not (tmp_path / "run by the pickle").exists()
    pickle.loads(poison)   # the pickle is a real one
    assert (tmp_path / "run by the pickle").exists()


# --- a full disk ----------------------------------------------------------------------------------------------------

@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 300 kB, and how to give it another size; needs root on Linux."""
    if not sys.platform.startswith("linux"):
        pytest.skip("a tiny file system can be made on Linux only")
    place, libc = tmp_path / "disk", ctypes.CDLL(None, use_errno=True)
    place.mkdir()

    def size(kilobytes, flags=32):   # MS_REMOUNT
        return libc.mount(b"tmpfs", str(place).encode(), b"tmpfs", flags, f"size={kilobytes}k".encode())

    if size(300, 0):
        pytest.skip(f"no right to mount a tiny file system ({os.strerror(ctypes.get_errno())})")
    try:
        yield place, size
    finally:
        libc.umount2(str(place).encode(), 2)


@pytest.mark.parametrize(("every", "room"), [(0.0, 300), (1e9, 100)], ids=["at a snapshot", "at an event"])
def test_a_full_disk(six_rounds, facts, same_bits, tmp_path, tiny_disk, monkeypatch, every, room):
    disk, size = tiny_disk
    # 14 kB of weights, 1.5 kB a round
    big = six_rounds.changed(**{"net.hidden": (48,), "rounds": 300, "evaluate.every": 1})
    assert not size(room)
    monkeypatch.setattr(session, "KEEP_EVERY", every)
    monkeypatch.setattr(session, "KEEP_SHARE", 1e9)
    with pytest.raises(store.DiskProblem, match="cannot be written: the disk is full; make room or give another"):
        fl.run(big, out=disk / "run", progress=False)
    run = fl.open_run(disk / "run")
    done = len(run.history)
    assert 10 < done < 300 and run.status == "incomplete" and run.history.accuracy[:done - 1].notna().all()
    assert not list((disk / "run").glob("*.part")), "a draft takes the room that events need"
    before = facts(disk / "run")
    shutil.copytree(disk / "run", tmp_path / "elsewhere")
    with pytest.raises(store.DiskProblem, match="the disk is full"):
        session.resume(disk / "run", progress=False)
    assert facts(disk / "run") == before
    short = big.changed(rounds=done + 1)   # enough to prove it
    for folder in (tmp_path / "elsewhere", disk / "run"):
        assert not size(5000)
        (folder / "spec.json").write_text(short.to_json(), "utf-8")
        assert session.resume(folder, progress=False).status == "finished"
        assert facts(folder)[:len(before)] == before
    assert same_bits(tmp_path / "elsewhere", disk / "run")


def test_a_disk_with_no_room_for_a_folder(six_rounds, tiny_disk):
    disk, _ = tiny_disk
    with pytest.raises(OSError), (disk / "filler").open("wb", buffering=0) as file:
        while file.write(b"x" * 4096) == 4096:
            pass
        file.write(b"x")
    with pytest.raises(store.DiskProblem, match="the disk is full"):
        fl.run(six_rounds, out=disk / "run", progress=False)
    assert not (disk / "run").exists(), "half a folder could be neither run into nor resumed"


# --- too little memory ----------------------------------------------------------------------------------------------

OUT_OF_MEMORY = """
import resource, sys, fedlab_widgets as fl
experiment = fl.Experiment(task="digits", partition=fl.IID(clients=40), net=fl.MLP(hidden=(600, 400)), rounds=9,
                           local=fl.SGD(steps=1))   # 45 MB of weights: more than the allocator ever keeps for later

def stop():
    text = open(sys.argv[1] + "/events.jsonl").read()
    if text.count("RoundEnded") == 2:   # from here on the system gives 10 MB more and no byte beyond
        pages = int(open("/proc/self/statm").read().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 10 * 2**20,) * 2)
    return False

run = fl.run(experiment, out=sys.argv[1], executor=fl.Stacked(chunk=40), progress=False, stop=stop)
print(run.status, len(run.history), run.reason, sep="|")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_AS and /proc are Linux")
def test_out_of_memory(python, tmp_path):
    """The system itself refuses the memory: the run fails with a remedy and keeps the rounds before."""
    status, rounds, reason = python(OUT_OF_MEMORY, tmp_path / "run").strip().split("|")
    assert (status, rounds) == ("failed", "2")
    assert reason.startswith("out of memory (") and "executor=fl.Stacked(chunk=1)" in reason
    run = fl.open_run(tmp_path / "run")
    assert run.status == "failed" and run.reason == reason and len(run.history) == 2
    assert "failed, 2 of 9 rounds" in repr(run)
