"""The run folder: what is recorded stays, damage is told in a sentence, and no pickle is ever loaded."""

import ast
import contextlib
import ctypes
import itertools
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import fedlab_widgets as fl
from fedlab_widgets import engine, events, session, store
from fedlab_widgets.tasks import arrays
from fedlab_widgets.world import pick_device, world_of

QUICK = fl.Experiment(name="quick", task=fl.Digits(), partition=fl.IID(clients=4), net=fl.MLP(hidden=(16,)), rounds=6,
                      local=fl.SGD(correct=(fl.ControlVariate(),)), aggregate=fl.Mean(weights="uniform"))
PACKAGE = Path(fl.__file__).parent


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An undisturbed run, never to be changed."""
    return fl.run(QUICK, out=tmp_path_factory.mktemp("whole") / "run", progress=False)


@pytest.fixture
def half(tmp_path):
    """The same run, stopped after round 3."""
    return stopped(QUICK, tmp_path / "half", 3)


def stopped(experiment, folder, rounds):
    def stop():
        return (folder / "events.jsonl").read_text("utf-8").count("RoundEnded") >= rounds

    run = fl.run(experiment, out=folder, progress=False, stop=stop)
    assert run.status == "stopped" and len(run.history) == rounds
    return folder


def facts(folder):
    """What a run says of its rounds, without wall times."""
    return [e.fixed() for e in fl.open_run(folder).events if isinstance(e, (events.RoundEnded, events.Evaluated))]


def same_bits(folder, reference):
    a, b = (load_file(Path(f) / "snapshot.safetensors") for f in (folder, reference))
    return a.keys() == b.keys() and all(a[k].numpy().tobytes() == b[k].numpy().tobytes() for k in a)


def python(code, *args, cwd=None, status=0, before=None):
    """A fresh process that runs `code`; what it printed."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code, *map(str, args)], cwd=cwd, capture_output=True,
                          text=True, encoding="utf-8", preexec_fn=before, timeout=120)
    assert done.returncode == status, done.stderr
    return done.stdout


# --- events ---------------------------------------------------------------------------------------------------------

def test_recorded_events_come_back_equal(whole):
    kinds = {type(e) for e in whole.events}
    assert {events.Started, events.RoundEnded, events.Evaluated, events.Stopped} <= kinds
    for event in whole.events:
        again = events.from_json(event.to_json())
        assert again == event and again.fixed() == event.fixed()


@given(st.text(), st.integers(0, 10**6), st.floats(allow_nan=False, allow_infinity=False),
       st.lists(st.integers(0, 2**40), max_size=5))
def test_any_event_survives_json(text, count, number, ids):
    for event in (events.Warned(count, text), events.Failed(count, text), events.Checkpointed(count, number),
                  events.Evaluated(count, {text: number}, ids, ids, ids),
                  events.RoundEnded(count, number, count, number, count, count, number, None, number, ids)):
        line = event.to_json()
        assert "\n" not in line
        assert events.from_json(line) == event


def test_what_is_not_finite_becomes_null_and_not_broken_json():
    line = events.Evaluated(1, {"loss": float("nan"), "accuracy": float("inf")}).to_json()
    assert json.loads(line)["metrics"] == {"loss": None, "accuracy": None}


def test_wall_times_are_not_held_against_a_repetition():
    slow, fast = (events.RoundEnded(1, 1.0, 4, s, 10, 10, None, 0.5, 0.1) for s in (9.0, 1.0))
    assert slow != fast and slow.fixed() == fast.fixed()


@pytest.mark.parametrize("line", ["", "{", "[]", "3", "{}", '{"event":"Nothing"}', '{"event":"Stopped","round":1}',
                                  '{"event":"Stopped","round":1,"reason":"x","more":1}', "\x00\x00"])
def test_lines_that_are_no_event(line):
    with pytest.raises(ValueError):
        events.from_json(line)


def test_a_torn_last_line_is_dropped_and_the_run_goes_on(half, whole):
    path, before = half / "events.jsonl", facts(half)
    whole_lines = path.read_bytes()
    path.write_bytes(whole_lines + b'{"event":"RoundEnded","rou')
    assert facts(half) == before
    assert session.resume(half, progress=False).status == "finished"
    assert path.read_bytes().startswith(whole_lines) and b'"rou{' not in path.read_bytes()
    assert facts(half) == facts(whole.path) and same_bits(half, whole.path)


@pytest.mark.parametrize("damage", [b"garbage", b'{"event":"RoundEnded"}', b"\xff\xfe\x00", b'{"event":"Rou', b""])
def test_a_damaged_line_in_the_middle_is_named(half, whole, damage):
    path = half / "events.jsonl"
    lines = path.read_bytes().split(b"\n")
    lines[2] = damage
    path.write_bytes(b"\n".join(lines))
    for work in (lambda: fl.open_run(half).history, lambda: session.resume(half)):
        with pytest.raises(fl.BadInput, match=r"events\.jsonl is damaged in line 3 .*delete that line, those aft"):
            work()
    path.write_bytes(b"\n".join(lines[:2]) + b"\n")   # half of the remedy would leave a gap in the record
    with pytest.raises(fl.BadInput, match=r"it follows 7 events, and 2 of them are recorded.; delete it"):
        session.resume(half, progress=False)
    (half / "snapshot.safetensors").unlink()
    assert session.resume(half, progress=False).status == "finished"
    assert facts(half) == facts(whole.path) and same_bits(half, whole.path)


# --- snapshots ------------------------------------------------------------------------------------------------------

def flip(at):
    def damage(raw):
        place = int(at * (len(raw) - 1))
        return raw[:place] + bytes([raw[place] ^ 4]) + raw[place + 1:]
    return damage


@pytest.mark.parametrize("damage", [
    lambda raw: b"", lambda raw: raw[:5], lambda raw: raw[:len(raw) // 2], lambda raw: raw[:-1], lambda raw: b"x" * 500,
    flip(0), flip(0.02), flip(0.5), flip(1)],
    ids="empty stump half cut garbage length header middle last".split())
def test_a_damaged_snapshot(half, whole, damage):
    path, record = half / "snapshot.safetensors", (half / "events.jsonl").read_bytes()
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(fl.BadInput, match=r"snapshot\.safetensors is damaged .*; delete it, and the run is comp"):
        session.resume(half, progress=False)
    with pytest.raises(fl.BadInput, match="is damaged"):
        fl.open_run(half).model()
    assert (half / "events.jsonl").read_bytes() == record
    path.unlink()
    assert session.resume(half, progress=False).status == "finished"
    assert (half / "events.jsonl").read_bytes().startswith(record)
    assert facts(half) == facts(whole.path) and same_bits(half, whole.path)


@pytest.mark.parametrize("other", [{"net.hidden": (8,)}, {"net": "logistic"}, {"partition.clients": 2},
                                   {"local.correct": ()}, {"precision": "float64"}])
def test_the_snapshot_of_another_experiment(half, other):
    (half / "spec.json").write_text(QUICK.changed(**other).to_json(), "utf-8")
    if other == {"local.correct": ()}:   # what is there beyond what is needed does no harm, but the record differs
        with pytest.raises(session.Mismatch):
            (half / "snapshot.safetensors").unlink()
            session.resume(half, progress=False)
        return
    with pytest.raises(fl.BadInput, match="is damaged .*; delete it"):
        session.resume(half, progress=False)


def test_without_a_snapshot_rounds_are_computed_again_and_verified(half, whole, monkeypatch):
    (half / "snapshot.safetensors").unlink()
    compared = []
    monkeypatch.setattr(session, "_same", lambda event, recorded, old=session._same: (
        compared.append(event.round), old(event, recorded)))
    session.resume(half, progress=False)
    assert compared == [1, 1, 2, 2, 3, 3]
    assert facts(half) == facts(whole.path) and same_bits(half, whole.path)


@pytest.mark.parametrize(("event", "field"), [("RoundEnded", "bytes_up"), ("RoundEnded", "update_norm"),
                                             ("Evaluated", "metrics")])
def test_a_tampered_record_is_a_mismatch_and_nothing_is_overwritten(half, event, field):
    path = half / "events.jsonl"
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    found = next(line for line in lines if line["event"] == event and line["round"] == 2)
    if field == "metrics":
        found[field]["accuracy"] += 1e-16 + found[field]["accuracy"] * 1e-15   # the last bit
    else:
        found[field] += 1
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    (half / "snapshot.safetensors").unlink()
    before = path.read_bytes()
    with pytest.raises(session.Mismatch, match=f"round 2 came out differently .*{field}.*What was recorded stays"):
        session.resume(half, progress=False)
    assert path.read_bytes().startswith(before) and b"RoundEnded" not in path.read_bytes()[len(before):]
    assert not (half / "snapshot.safetensors").exists()


# --- folders and versions -------------------------------------------------------------------------------------------

def test_newer_versions_are_refused(half):
    spec = half / "spec.json"
    kept = spec.read_text("utf-8")
    spec.write_text(kept.replace('"schema": 1', '"schema": 2'), "utf-8")
    with pytest.raises(fl.BadInput, match=r"spec\.json: schema = 2, and this FedLab Widgets reads versions 1 to 1"):
        session.resume(half)
    spec.write_text(kept, "utf-8")
    tensors = load_file(half / "snapshot.safetensors")
    save_file(tensors, half / "snapshot.safetensors", {"schema": "2"})
    with pytest.raises(fl.BadInput, match="written by a newer FedLab Widgets .version 2"):
        session.resume(half)


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"schema": 1, "rounds": -1}', '{"schema": "one"}'])
def test_a_damaged_spec(half, damage):
    (half / "spec.json").write_text(damage, "utf-8")
    with pytest.raises(fl.BadInput, match=r"spec\.json: "):
        session.resume(half)


@pytest.mark.parametrize("there", ["run", "folder", "file"])
def test_an_existing_out_is_refused_and_untouched(tmp_path, half, there):
    out = {"run": half, "folder": tmp_path / "folder", "file": tmp_path / "file"}[there]
    if there == "folder":
        out.mkdir()
    if there == "file":
        out.write_text("mine")
    before = {p: p.read_bytes() for p in [out, *out.rglob("*")] if p.is_file()}
    with pytest.raises(fl.BadInput, match="is there already, and a run never overwrites one; give another folder"):
        fl.run(QUICK, out=out)
    assert {p: p.read_bytes() for p in [out, *out.rglob("*")] if p.is_file()} == before


def test_no_run_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "missing", tmp_path / "file"):
        for work in (fl.open_run, session.resume):
            with pytest.raises(fl.BadInput, match=r"holds no run: there is no spec\.json in it"):
                work(path)


@pytest.mark.parametrize("name", ["spec.json", "events.jsonl", "snapshot.safetensors"])
def test_files_that_may_not_be_read(half, monkeypatch, name):
    def read(path, old=Path.read_bytes):
        if path.name == name:   # root may read everything, so that no file mode would do
            raise PermissionError(13, "Permission denied", str(path))
        return old(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    with pytest.raises(fl.BadInput, match=f"{name} cannot be read .Permission denied.; check the folder"):
        session.resume(half)


def test_finished_runs_come_back_at_once(whole, monkeypatch):
    for name in ("rounds", "advance"):
        monkeypatch.setattr(engine, name, lambda *_: pytest.fail("nothing is to be computed"))
    monkeypatch.setattr(session, "_ready", lambda *_: pytest.fail("no data is to be loaded"))
    before = (whole.path / "events.jsonl").read_bytes()
    assert session.resume(whole.path).status == "finished"
    assert whole.resume().status == "finished"
    assert (whole.path / "events.jsonl").read_bytes() == before


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


BIG = QUICK.changed(**{"net.hidden": (48,), "rounds": 300, "evaluate.every": 1})   # 14 kB of weights, 1.5 kB a round


@pytest.mark.parametrize(("every", "room"), [(0.0, 300), (1e9, 100)], ids=["at a snapshot", "at an event"])
def test_a_full_disk(tmp_path, tiny_disk, monkeypatch, every, room):
    disk, size = tiny_disk
    assert not size(room)
    monkeypatch.setattr(session, "KEEP_EVERY", every)
    monkeypatch.setattr(session, "KEEP_SHARE", 1e9)
    with pytest.raises(store.DiskProblem, match="cannot be written: the disk is full; make room or give another"):
        fl.run(BIG, out=disk / "run", progress=False)
    run = fl.open_run(disk / "run")
    done = len(run.history)
    assert 10 < done < 300 and run.status == "incomplete" and run.history.accuracy[:done - 1].notna().all()
    assert not list((disk / "run").glob("*.part")), "a draft takes the room that events need"
    before = facts(disk / "run")
    shutil.copytree(disk / "run", tmp_path / "elsewhere")
    with pytest.raises(store.DiskProblem, match="the disk is full"):
        session.resume(disk / "run", progress=False)
    assert facts(disk / "run") == before
    short = BIG.changed(rounds=done + 1)   # enough to prove it
    for folder in (tmp_path / "elsewhere", disk / "run"):
        assert not size(5000)
        (folder / "spec.json").write_text(short.to_json(), "utf-8")
        assert session.resume(folder, progress=False).status == "finished"
        assert facts(folder)[:len(before)] == before
    assert same_bits(tmp_path / "elsewhere", disk / "run")


def test_a_disk_with_no_room_for_a_folder(tiny_disk):
    disk, _ = tiny_disk
    with pytest.raises(OSError), (disk / "filler").open("wb", buffering=0) as file:
        while file.write(b"x" * 4096) == 4096:
            pass
        file.write(b"x")
    with pytest.raises(store.DiskProblem, match="the disk is full"):
        fl.run(QUICK, out=disk / "run", progress=False)
    assert not (disk / "run").exists(), "half a folder could be neither run into nor resumed"


# --- rows and parts of the user's own -------------------------------------------------------------------------------

ROWS = """
import numpy as np, fedlab_widgets as fl
rng = np.random.default_rng(0)
X = rng.normal(size=(300, 5)).astype(np.float32)
task = fl.from_arrays(X, (X[:, 0] > 0).astype(int), group=(X[:, 1] > 0).astype(int), client=np.arange(300) % 3,
                      name="own")
"""
RESUME = """
import sys, fedlab_widgets as fl
from fedlab_widgets import session
try:
    print(session.resume(sys.argv[1], progress=False).status)
except fl.BadInput as error:
    print(error)
"""


@pytest.fixture
def own(tmp_path):
    """Two folders with the first two rounds of a run on the user's own rows: with a copy of them, and without."""
    scope = {}
    exec(ROWS, scope)
    experiment = QUICK.changed(task=scope["task"], partition=fl.Natural())
    kept = stopped(experiment, tmp_path / "kept", 2)
    return kept, experiment


def test_small_rows_are_copied_and_a_fresh_process_resumes(own, tmp_path):
    kept, experiment = own
    whole = fl.run(experiment, out=tmp_path / "whole", progress=False)
    assert (kept / "data.safetensors").is_file()
    shutil.copytree(kept, tmp_path / "damaged")
    rows = tmp_path / "damaged" / "data.safetensors"
    raw = rows.read_bytes()
    rows.write_bytes(raw[:-3] + bytes([raw[-3] ^ 1]) + raw[-2:])
    assert python(RESUME, kept) == "finished\n"
    assert facts(kept) == facts(whole.path) and same_bits(kept, whole.path)
    with pytest.raises(fl.BadInput, match=r"data\.safetensors is damaged .its checksum is wrong.; restore it"):
        fl.open_run(tmp_path / "damaged").experiment  # noqa: B018


def test_large_rows_are_asked_for(own, tmp_path, monkeypatch):
    kept, experiment = own
    monkeypatch.setattr(store, "LARGEST_COPY", 100)
    folder = stopped(experiment, tmp_path / "large", 2)
    assert not (folder / "data.safetensors").exists()
    again = "print(session.resume(sys.argv[1], progress=False).status)"
    first, second = python(RESUME + ROWS + again, folder).splitlines()
    assert re.fullmatch(r"task = 'own': the rows with fingerprint \w{12}… are not here; call fl.from_arrays with the "
                        "same arrays first", first)
    assert second == "finished"


def test_other_rows_have_another_fingerprint(own):
    scope = {}
    exec(ROWS.replace("default_rng(0)", "default_rng(1)"), scope)
    assert scope["task"].sha256 != own[1].task.sha256 and scope["task"].sha256 in arrays._ROWS


PART = """
import sys, fedlab_widgets as fl
from fedlab_widgets import session

@fl.part
class Halved(fl.Aggregate):
    \"\"\"Half of the mean.\"\"\"
    takes = fl.Mean.takes

    def weigh(self, sizes): return fl.Mean(weights="uniform").weigh(sizes)
    def fold(self, total, rows, weights): return fl.Mean().fold(total, rows, weights)
    def finish(self, total, weights, expected): return fl.Mean().finish(total, weights, expected) / 2
"""


def test_parts_of_a_script(tmp_path):
    """Their source is kept; without them a resume says so, with them it goes on."""
    spec = QUICK.changed(**{"local.correct": (), "rounds": 3}).to_json()
    (tmp_path / "spec.json").write_text(spec, "utf-8")
    script, folder = tmp_path / "script.py", tmp_path / "run"
    script.write_text(PART + """
experiment = fl.Experiment.from_json(open("spec.json").read()).changed(aggregate=Halved())
looks = iter(range(10**9))
if len(sys.argv) == 1:
    print(fl.run(experiment, out="run", progress=False, stop=lambda: next(looks) > 0).status)
else:
    print(session.resume("run", progress=False).status)
""", "utf-8")

    def run_script(*args):
        return subprocess.run([sys.executable, str(script), *args], cwd=tmp_path, capture_output=True, text=True)

    done = run_script()
    assert done.stdout == "stopped\n", done.stderr
    kept = json.loads((folder / "sources.json").read_text("utf-8"))
    assert list(kept) == ["aggregate.halved"] and "class Halved(fl.Aggregate)" in kept["aggregate.halved"]
    said = python(RESUME, folder)
    assert said.startswith(f"{folder / 'spec.json'}: aggregate ")
    assert f"the source of aggregate.halved is kept in {folder / 'sources.json'}" in said
    done = run_script("resume")
    assert done.stdout == "finished\n", done.stderr


OUT_OF_MEMORY = """
import resource, sys, fedlab_widgets as fl
experiment = fl.Experiment(task="digits", partition=fl.IID(clients=40), net=fl.MLP(hidden=(500, 300)), rounds=9,
                           local=fl.SGD(steps=1))

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
def test_out_of_memory(tmp_path):
    """The system itself refuses the memory: the run fails with a remedy and keeps the rounds before."""
    status, rounds, reason = python(OUT_OF_MEMORY, tmp_path / "run").strip().split("|")
    assert (status, rounds) == ("failed", "2")
    assert reason.startswith("out of memory (") and "executor=fl.Stacked(chunk=1)" in reason
    run = fl.open_run(tmp_path / "run")
    assert run.status == "failed" and run.reason == reason and len(run.history) == 2
    assert "failed, 2 of 9 rounds" in repr(run)


# --- what a run gives back ------------------------------------------------------------------------------------------

def test_seeds(tmp_path, whole):
    run = fl.run(QUICK, out=tmp_path / "many", seeds=3, progress=False)
    assert sorted(p.name for p in (tmp_path / "many").iterdir()) == ["seed-0", "seed-1", "seed-2"]
    assert [r.experiment.seed for r in (run, *run.replicates)] == [0, 1, 2]
    assert same_bits(run.path, whole.path) and not same_bits(run.replicates[0].path, whole.path)
    spread = run.spread()
    final = [r.history.accuracy.iloc[-1] for r in (run, *run.replicates)]
    assert spread.index.tolist() == [1, 2, 3, 4, 5, 6]
    assert spread.loc[6, ("accuracy", "mean")] == pytest.approx(np.mean(final))
    assert spread.loc[6, ("accuracy", "std")] == pytest.approx(np.std(final, ddof=1))
    again = fl.open_run(tmp_path / "many")
    assert [r.path.name for r in (again, *again.replicates)] == ["seed-0", "seed-1", "seed-2"]
    assert again.spread().equals(spread)
    done = again.resume()
    assert [r.status for r in (done, *done.replicates)] == ["finished"] * 3


@pytest.mark.parametrize("seeds", [0, -1, 1001, 2.0, "3", None])
def test_wrong_seeds(tmp_path, seeds):
    with pytest.raises(fl.BadInput, match="seeds = .* is not allowed: give a whole number from 1 to 1000"):
        fl.run(QUICK, out=tmp_path / "x", seeds=seeds)


def test_out_of_several_seeds_must_be_new_too(tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(fl.BadInput, match="is there already"):
        fl.run(QUICK.changed(rounds=1), out=tmp_path / "mine", seeds=2, progress=False)


@pytest.mark.parametrize("experiment", [
    QUICK, fl.Experiment(rounds=1, partition=fl.IID(clients=3), net=fl.MLP(hidden=(8,))),
    QUICK.changed(precision="float64", rounds=1)], ids=["digits", "adult", "float64"])
def test_the_kept_model_has_the_recorded_accuracy(tmp_path, experiment):
    run = fl.run(experiment, out=tmp_path / "run", progress=False)
    data = world_of(run.experiment, pick_device("cpu")).data
    predicted = run.predict(data.test_x.numpy())
    assert predicted.dtype == np.int64 and predicted.shape == data.test_y.shape
    assert (predicted == data.test_y.numpy()).mean() == run.history.accuracy.iloc[-1]
    net = run.model()
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(net(data.test_x), data.test_y)
    assert float(loss) == pytest.approx(run.history.loss.iloc[-1], rel=1e-5)
    with torch.no_grad():
        next(net.parameters()).zero_()   # a net of the caller's own
    assert (run.predict(data.test_x.numpy()) == predicted).all()


def test_every_client_has_its_own_model(tmp_path):
    experiment = fl.recipe("local-only").changed(**{"task": "digits", "partition": {"part": "iid", "clients": 3},
                                                    "rounds": 2, "net.hidden": (8,)})
    run = fl.run(experiment, out=tmp_path / "run", progress=False)
    data = world_of(run.experiment, pick_device("cpu")).data
    each = [(run.predict(data.test_x.numpy(), client=i) == data.test_y.numpy()).mean() for i in range(3)]
    assert len(set(each)) > 1 and np.mean(each) == pytest.approx(run.history.accuracy.iloc[-1], abs=1e-12)
    with pytest.raises(fl.BadInput, match="client = 3 is no client: ids go from 0 to 2"):
        run.model(3)


@pytest.mark.parametrize("x", [np.zeros((2, 1, 8, 9)), np.zeros((1, 8, 8)), np.zeros(64), np.zeros((3, 64)), 1.0, [],
                               [["a"]], None, [[1.0], [1.0, 2.0]], "text"])
def test_predict_with_something_else(whole, x):
    with pytest.raises(fl.BadInput, match=r"^x (has shape|holds something else than numbers).*\[rows, 1, 8, 8\]"):
        whole.predict(x)


def test_predict_for_no_rows_and_before_a_snapshot(whole, half):
    assert whole.predict(np.zeros((0, 1, 8, 8))).shape == (0,)
    (half / "snapshot.safetensors").unlink()
    with pytest.raises(fl.BadInput, match="holds no snapshot yet; resume the run first"):
        fl.open_run(half).model()


def test_clients_add_up_with_the_data(tmp_path):
    experiment = fl.Experiment(rounds=2, net=fl.Logistic(), schedule=fl.Lockstep(sampler=fl.Fixed(m=4)),
                               attack=fl.LabelFlip(liars=(2, 5)))
    run = fl.run(experiment, out=tmp_path / "run", progress=False)
    table, data = run.clients, world_of(run.experiment, pick_device("cpu")).data
    assert table.index.tolist() == list(range(10))
    rows = table.train + table.held_out
    assert rows.sum() == len(data.y) == 32_561
    assert (table.held_out == rows // 5).all()
    for prefix, names, values in (("label", data.labels, data.y), ("group", data.groups, data.group)):
        columns = table[[f"{prefix} {n}" for n in names]]
        assert (columns.sum(axis=1) == rows).all()
        assert columns.sum().tolist() == torch.bincount(values).tolist()
    assert table.index[table.liar].tolist() == [2, 5]
    assert table.trips.sum() == run.history.trips.iloc[-1] == 8
    counts = run.counts()
    assert (counts.sum((1, 2, 3)) == table.held_out).all()
    assert [table.accuracy.mean(), table.accuracy.min(), table.accuracy.max()] == pytest.approx(
        run.history[["mean_client", "worst_client", "best_client"]].iloc[-1].tolist())
    assert run.counts(99) is None and (run.counts(1) != counts).any()


def test_history_has_one_row_a_round(whole):
    table = whole.history
    expected = ("round time trips seconds accuracy loss mean_client worst_client best_client bytes_up bytes_down "
                "epsilon global_disparity local_disparity unique redundant masked unique_corrected unique_lo").split()
    assert set(expected) <= set(table.columns) and table["round"].tolist() == [1, 2, 3, 4, 5, 6]
    assert (table.trips.diff().dropna() == 4).all() and table.bytes_up.nunique() == 1
    assert all(kind.kind in "if" for kind in table.dtypes)


def test_a_run_that_explodes_keeps_its_rounds(tmp_path):
    looks = itertools.count()
    with pytest.warns(UserWarning, match="no longer finite"):
        run = fl.run(QUICK.changed(**{"local.correct": (), "net.hidden": (64, 64, 64), "local.lr": 100.0,
                                      "local.momentum": 0.9, "local.epochs": 3}),
                     out=tmp_path / "run", progress=False, stop=lambda: next(looks) < 0)
    assert run.status == "failed" and "lower local.lr (now 100.0)" in run.reason
    assert len(run.history) < 6
