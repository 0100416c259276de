"""A run folder in bad company: no pickle is ever loaded, and a full disk or memory costs no recorded round."""

import ast
import contextlib
import ctypes
import os
import pickle
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets import session, store, table

PACKAGE = Path(fl.__file__).parent

# --- no pickle ------------------------------------------------------------------------------------------------------

LOADERS = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
CALLS = {"torch.load", "np.load", "numpy.load", "pd.read_pickle", "pandas.read_pickle"}


def test_the_package_knows_no_pickle():
    assert pickles("import pickle") and pickles("from joblib import load") and pickles("x = torch.load(path)")
    assert pickles("np.load(f, allow_pickle=True)") and not pickles("'no pickle'; safetensors.torch.load(raw)")
    # Between a run and its own Ray workers, who speak nothing else; never to or from a file.
    sources = {str(path.relative_to(PACKAGE)): path.read_text("utf-8") for path in PACKAGE.rglob("*.py")}
    assert {name: found for name, text in sources.items() if (found := pickles(text))} == {"parcel.py": ["pickle"]}
    assert {name for name, text in sources.items() if "from .parcel import" in text} == {"cluster.py"}


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


def test_a_full_disk_under_what_clients_remember(six_rounds, facts, same_bits, whole, tmp_path, tiny_disk, monkeypatch):
    """4 clients x 4 840 bytes of control variates find no room; the run folder is elsewhere, and goes on later."""
    disk, size = tiny_disk
    monkeypatch.setattr(tempfile, "tempdir", str(disk))
    monkeypatch.setattr(table, "HELD", 0)
    assert not size(8)
    with pytest.raises(fl.BadInput, match="rounds = 6: by then clients remember about 19.4 kB .* 8.19 kB are free"):
        fl.run(six_rounds, out=tmp_path / "run", progress=False)
    assert not size(300) and not (tmp_path / "run").exists()
    with pytest.raises(store.DiskProblem, match=f"{disk} cannot be written: the disk is full; .* TMPDIR .*resume"):
        fl.run(six_rounds, out=tmp_path / "run", progress=False, stop=lambda: bool(size(8)))   # somebody else fills it
    run = fl.open_run(tmp_path / "run")
    assert run.status == "incomplete" and len(run.history) == 0
    assert not size(300)
    assert session.resume(tmp_path / "run", progress=False).status == "finished"
    assert facts(tmp_path / "run") == facts(whole.path) and same_bits(tmp_path / "run", whole.path)


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
experiment = fl.Experiment(task="digits", partition=fl.IID(clients=80), net=fl.MLP(hidden=(600, 400)), rounds=9,
                           local=fl.SGD(steps=1))   # 90 MB of weights: more than the allocator ever keeps for later

limited = []

def stop():
    text = open(sys.argv[1] + "/events.jsonl").read()
    if text.count("RoundEnded") == 2 and not limited:   # from here on the system gives so much more and no byte beyond
        limited.append(True)
        pages = int(open("/proc/self/statm").read().split()[0])
        limit = pages * resource.getpagesize() + int(sys.argv[2]) * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    return False

run = fl.run(experiment, out=sys.argv[1], executor=fl.Stacked(chunk=80, workers=1), progress=False, stop=stop)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
print(run.status, len(run.history), run.reason, sep="|")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_AS and /proc are Linux")
def test_out_of_memory(python, tmp_path):
    """The system itself refuses the memory, even for one client: a remedy, and the rounds before are kept."""
    status, rounds, reason = python(OUT_OF_MEMORY, tmp_path / "run", 10).strip().split("|")
    assert (status, rounds) == ("failed", "2")
    assert reason.startswith("out of memory (") and "executor=fl.Stacked(chunk=1, workers=1)" in reason
    run = fl.open_run(tmp_path / "run")
    assert run.status == "failed" and run.reason == reason and len(run.history) == 2
    assert "failed, 2 of 9 rounds" in repr(run)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_AS and /proc are Linux")
def test_out_of_memory_with_all_clients_goes_on_with_fewer(python, tmp_path):
    """What does not fit is done again with half the clients side by side, and the bits stay."""
    status, rounds, _ = python(OUT_OF_MEMORY, tmp_path / "run", 130).strip().split("|")
    assert (status, rounds) == ("finished", "9")
    run = fl.open_run(tmp_path / "run")
    said = [event.text for event in run.events if isinstance(event, fl.events.Warned)]
    assert said[0] == "out of memory with 80 clients side by side: the round is done again with 40"
    whole = fl.run(run.experiment, out=tmp_path / "whole", executor=fl.Stacked(chunk=80), progress=False)
    for a, b in zip(run.model().parameters(), whole.model().parameters(), strict=True):
        assert torch.equal(a, b)
