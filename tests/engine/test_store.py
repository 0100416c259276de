"""The run folder: what is recorded stays, damage is told in a sentence, and rows and parts of one's own come back."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import fedlab_widgets as fl
from fedlab_widgets import engine, events, session, store
from fedlab_widgets.tasks import arrays

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


def test_a_torn_last_line_is_dropped_and_the_run_goes_on(facts, same_bits, half, whole):
    path, before = half / "events.jsonl", facts(half)
    whole_lines = path.read_bytes()
    path.write_bytes(whole_lines + b'{"event":"RoundEnded","rou')
    assert facts(half) == before
    assert session.resume(half, progress=False).status == "finished"
    assert path.read_bytes().startswith(whole_lines) and b'"rou{' not in path.read_bytes()
    assert facts(half) == facts(whole.path) and same_bits(half, whole.path)


@pytest.mark.parametrize("damage", [b"garbage", b'{"event":"RoundEnded"}', b"\xff\xfe\x00", b'{"event":"Rou', b""])
def test_a_damaged_line_in_the_middle_is_named(facts, same_bits, half, whole, damage):
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
def test_a_damaged_snapshot(facts, same_bits, half, whole, damage):
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
def test_the_snapshot_of_another_experiment(six_rounds, half, other):
    (half / "spec.json").write_text(six_rounds.changed(**other).to_json(), "utf-8")
    if other == {"local.correct": ()}:   # what is there beyond what is needed does no harm, but the record differs
        with pytest.raises(session.Mismatch):
            (half / "snapshot.safetensors").unlink()
            session.resume(half, progress=False)
        return
    with pytest.raises(fl.BadInput, match="is damaged .*; delete it"):
        session.resume(half, progress=False)


def test_without_a_snapshot_rounds_are_computed_again_and_verified(facts, same_bits, half, whole, monkeypatch):
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
def test_an_existing_out_is_refused_and_untouched(six_rounds, tmp_path, half, there):
    out = {"run": half, "folder": tmp_path / "folder", "file": tmp_path / "file"}[there]
    if there == "folder":
        out.mkdir()
    if there == "file":
        out.write_text("mine")
    before = {p: p.read_bytes() for p in [out, *out.rglob("*")] if p.is_file()}
    with pytest.raises(fl.BadInput, match="is there already, and a run never overwrites one; give another folder"):
        fl.run(six_rounds, out=out)
    assert {p: p.read_bytes() for p in [out, *out.rglob("*")] if p.is_file()} == before


def test_no_run_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "missing", tmp_path / "file"):
        for work in (fl.open_run, session.resume):
            with pytest.raises(fl.BadInput, match=r"holds no run: there is no spec\.json in it"):
                work(path)


@pytest.mark.parametrize("name", ["spec.json", "events.jsonl", "snapshot.safetensors"])
def test_files_that_may_not_be_read(half, monkeypatch, name):
    def opened(path, mode="r", *how, old=Path.open, **more):
        if path.name == name and mode == "rb":   # root may read everything, so that no file mode would do
            raise PermissionError(13, "Permission denied", str(path))
        return old(path, mode, *how, **more)

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(fl.BadInput, match=f"{name} cannot be read .Permission denied.; check the folder"):
        session.resume(half)


def test_finished_runs_come_back_at_once(whole, monkeypatch):
    for name in ("rounds", "advance"):
        monkeypatch.setattr(engine, name, lambda *_: pytest.fail("nothing is to be computed"))
    monkeypatch.setattr(session, "ready", lambda *_: pytest.fail("no data is to be loaded"))
    before = (whole.path / "events.jsonl").read_bytes()
    assert session.resume(whole.path).status == "finished"
    assert whole.resume().status == "finished"
    assert (whole.path / "events.jsonl").read_bytes() == before


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
def own(tmp_path, six_rounds, stopped):
    """Two folders with the first two rounds of a run on the user's own rows: with a copy of them, and without."""
    scope = {}
    exec(ROWS, scope)
    experiment = six_rounds.changed(task=scope["task"], partition=fl.Natural())
    kept = stopped(experiment, tmp_path / "kept", 2)
    return kept, experiment


def test_small_rows_are_copied_and_a_fresh_process_resumes(facts, same_bits, python, own, tmp_path):
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


def test_large_rows_are_asked_for(stopped, python, own, tmp_path, monkeypatch):
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


def test_parts_of_a_script(six_rounds, python, tmp_path):
    """Their source is kept; without them a resume says so, with them it goes on."""
    spec = six_rounds.changed(**{"local.correct": (), "rounds": 3}).to_json()
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
