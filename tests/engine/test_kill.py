"""kill -9 at any moment, then resume: the bits of an undisturbed run, and no recorded round lost or changed."""

import json
import multiprocessing
import random
import shutil
import signal
import subprocess
import sys
import time
import warnings

import pytest
from safetensors.torch import load_file

import fedlab_widgets as fl
from fedlab_widgets.events import Evaluated, RoundEnded

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no kill -9")

SCAFFOLD = fl.recipe("scaffold").changed(**{
    "task": "digits", "partition": {"part": "dirichlet", "clients": 12, "alpha": 0.5}, "net.hidden": (16,),
    "rounds": 40, "encode": {"part": "top_k", "fraction": 0.1}, "schedule.sampler": {"part": "fixed", "m": 5}})
RECIPES = {
    "scaffold+top_k": SCAFFOLD,
    "fedadam": fl.recipe("fedadam").changed(**{"net.hidden": (8,), "rounds": 12, "local.steps": 5}),
    "dp-fedavg": fl.recipe("dp-fedavg").changed(**{"net.hidden": (8,), "rounds": 12}),
    "local-only": fl.recipe("local-only").changed(**{
        "task": "digits", "partition": {"part": "iid", "clients": 10}, "net.hidden": (16,), "rounds": 40}),
}

# What the process that will be killed does. {every}: seconds between two snapshots, so that kills land between a
# snapshot and the events around it. {sabotage}: code that runs first.
CHILD = """
import os, signal, warnings
import fedlab_widgets as fl
from fedlab_widgets import session, store
warnings.simplefilter("ignore")
session.KEEP_EVERY, session.KEEP_SHARE = {every}, 1e9
{sabotage}
if os.path.exists({folder!r} + "/spec.json"):
    session.resume({folder!r}, progress=False)
else:
    fl.run(fl.Experiment.from_json({spec!r}), out={folder!r}, progress=False)
"""
DIE = "\ndef die(): os.kill(os.getpid(), signal.SIGKILL)\n"
AT = {   # {n}: at which call
    "before the rename": DIE + """
def replace(a, b, old=os.replace, calls=[0]):
    calls[0] += 1
    if calls[0] == {n}: die()
    old(a, b)
os.replace = replace
""",
    "after the rename": DIE + """
def replace(a, b, old=os.replace, calls=[0]):
    calls[0] += 1
    old(a, b)
    if calls[0] == {n}: die()
os.replace = replace
""",
    "half a line": DIE + """
def record(folder, event, old=store.RunFolder.record, calls=[0]):
    calls[0] += 1
    if calls[0] == {n}:
        line = event.to_json().encode()
        with open(folder.path / "events.jsonl", "ab") as file: file.write(line[:len(line) // 2])
        die()
    old(folder, event)
store.RunFolder.record = record
""",
    "client rows half written": DIE + """
from fedlab_widgets.types import Table
def scatter(table, ids, rows, old=Table.scatter, calls=[0]):
    calls[0] += 1
    old(table, ids, rows)
    if calls[0] == {n}: die()
Table.scatter = scatter
""",
}


@pytest.fixture(scope="module")
def processes():
    """Where a fork of a warm process is to be had, a new one costs milliseconds instead of the seconds of an import."""
    kind = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(kind)
    if kind == "forkserver":
        context.set_forkserver_preload(["fedlab_widgets", "sklearn.datasets", "scipy.sparse", "clarabel"])
    return context


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """recipe name -> (folder, seconds) of a run that nobody kills; each is run once."""
    done = {}

    def give(name):
        if name not in done:
            folder = tmp_path_factory.mktemp("undisturbed") / "run"
            start = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                fl.run(RECIPES[name], out=folder, progress=False)
            done[name] = folder, time.perf_counter() - start
        return done[name]

    return give


def child(processes, folder, spec, every=0.0, sabotage=""):
    code = CHILD.format(every=every, sabotage=sabotage, folder=str(folder), spec=spec.to_json())
    process = processes.Process(target=exec, args=(code, {}))
    process.start()
    return process


def size(folder):
    path = folder / "events.jsonl"
    return path.stat().st_size if path.exists() else 0


def whole_lines(folder):
    raw = (folder / "events.jsonl").read_bytes() if size(folder) else b""
    return raw[:raw.rfind(b"\n") + 1]


def facts(folder):
    """What a run says of its rounds, in order and without wall times; a line said twice would show."""
    return [e.fixed() for e in sorted((e for e in fl.open_run(folder).events if isinstance(e, (RoundEnded, Evaluated))),
                                      key=lambda e: (e.round, type(e).__name__, sorted(getattr(e, "metrics", ()))))]


def assert_same_bits(folder, reference):
    run = fl.open_run(folder)
    assert run.status == "finished"
    assert [e.round for e in run.events if isinstance(e, RoundEnded)] == list(range(1, run.experiment.rounds + 1))
    assert facts(folder) == facts(reference)
    mine, theirs = (load_file(f / "snapshot.safetensors") for f in (folder, reference))
    assert mine.keys() == theirs.keys()
    for name in theirs:
        assert mine[name].dtype == theirs[name].dtype
        assert mine[name].numpy().tobytes() == theirs[name].numpy().tobytes(), name


def survive(processes, folder, spec, seconds, kills, dice):
    """Kill a run `kills` times or until it is done, let it end, and return how often it was killed."""
    count, before = 0, b""
    while True:
        if folder.exists() and not (folder / "spec.json").exists():
            shutil.rmtree(folder)   # killed before there was a run
        process = child(processes, folder, spec, every=dice.choice((0.0, 0.01, 0.1)))
        try:
            if count < kills:
                began = size(folder)
                while dice.random() > 0.001 and process.is_alive() and size(folder) == began:
                    time.sleep(0.002)   # most kills while rounds run; now and then one while it loads
                time.sleep(dice.uniform(0, seconds / 4))
                process.kill()
            process.join(120)
            assert process.exitcode in (0, -signal.SIGKILL)
        finally:
            process.kill()
        after = whole_lines(folder) if folder.exists() else b""
        assert after.startswith(before), "a recorded line was lost or changed"
        before = after
        if process.exitcode == 0:
            return count
        count += 1


def test_a_killed_scaffold_run_ends_with_the_same_bits(tmp_path, processes, undisturbed):
    reference, seconds = undisturbed("scaffold+top_k")
    survived, dice, attempt = 0, random.Random(), 0
    while survived < 6:
        attempt += 1
        assert attempt < 20, "the runs end before they can be killed"
        folder = tmp_path / str(attempt)
        survived += survive(processes, folder, SCAFFOLD, seconds, 6 - survived, dice)
        assert_same_bits(folder, reference)


@pytest.mark.parametrize(("at", "n", "every"), [
    ("before the rename", 1, 0), ("before the rename", 5, 0), ("after the rename", 5, 0),
    ("half a line", 1, 0), ("half a line", 17, 0), ("half a line", 86, 1e9),
    ("client rows half written", 7, 0), ("client rows half written", 8, 0),
    ("before the rename", 2, 1e9), ("after the rename", 2, 1e9)])
def test_the_worst_moments(tmp_path, processes, undisturbed, at, n, every):
    """The first rename is the spec, the others are snapshots. With every = 1e9 there is one snapshot only, at the end,
    and 86 lines: started, 40 rounds, their readings, 4 slow ones; the last says that the run has finished."""
    reference, _ = undisturbed("scaffold+top_k")
    folder = tmp_path / "run"
    process = child(processes, folder, SCAFFOLD, every, AT[at].format(n=n))
    process.join(60)
    assert process.exitcode == -signal.SIGKILL, "the moment never came"
    if (at, n) == ("before the rename", 1):
        with pytest.raises(fl.BadInput, match="holds no run"):
            fl.open_run(folder)
        return
    again = child(processes, folder, SCAFFOLD)
    again.join(60)
    assert again.exitcode == 0
    assert_same_bits(folder, reference)


@pytest.mark.slow
def test_a_hundred_kills(tmp_path, processes, undisturbed, capsys):
    dice, survived, runs = random.Random(), dict.fromkeys(RECIPES, 0), 0
    for name, spec in RECIPES.items():
        reference, seconds = undisturbed(name)
        while survived[name] < 25:
            runs += 1
            folder = tmp_path / str(runs)
            survived[name] += survive(processes, folder, spec, min(seconds, 4), 25 - survived[name], dice)
            assert_same_bits(folder, reference)
    with capsys.disabled():
        print(f"\nkills survived: {json.dumps(survived)} in {runs} runs")
    assert sum(survived.values()) == 100


def test_ctrl_c(tmp_path, undisturbed):
    """Exit status 130, a last word in the record, and the same bits after a resume: with the command itself."""
    reference, _ = undisturbed("scaffold+top_k")
    (tmp_path / "spec.json").write_text(SCAFFOLD.to_json(), "utf-8")
    command = [sys.executable, "-c", "import time\nfrom fedlab_widgets import cli, session\n"
               "def slow(self, event, old=session.RunFolder.record):\n    old(self, event)\n"
               "    time.sleep(0.5 if event.round > 6 else 0.02)\n"   # there is time to interrupt it on a busy machine
               "session.RunFolder.record = slow\ncli.main()", "run", "spec.json", "--out", "run"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while process.poll() is None and whole_lines(tmp_path / "run").count(b"RoundEnded") < 5:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert "fedlab: interrupted: what was recorded stays; go on with fedlab resume run" in errors
    assert "Traceback" not in errors
    run = fl.open_run(tmp_path / "run")
    assert run.status == "interrupted" and 5 <= len(run.history) < SCAFFOLD.rounds
    assert run.events[-1].reason == "interrupted"
    done = subprocess.run([sys.executable, "-m", "fedlab_widgets", "resume", "run"], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert_same_bits(tmp_path / "run", reference)
