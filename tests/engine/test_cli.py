"""`fedlab` as a user meets it: real processes, their exit status, and every mistake told in one sentence."""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets import cli
from fedlab_widgets.part import BadInput

SCRIPT = shutil.which("fedlab", path=str(Path(sys.executable).parent))
FEDLAB = [SCRIPT] if SCRIPT else [sys.executable, "-m", "fedlab_widgets"]
DIGITS = ["--set", "task=digits", "--set", "partition=iid", "--set", "net.hidden=[8]"]
TINY = ["--set", "task=digits", "--set", 'partition={"part":"dirichlet","clients":40,"alpha":0.1}']


def fedlab(*words, cwd, text=True, **env):
    """Run the command; stdout and stderr apart, both pipes, as in a script."""
    clean = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "TERM")}
    done = subprocess.run([*FEDLAB, *words], cwd=cwd, capture_output=True, env=clean | env, timeout=120,
                          **({"encoding": "utf-8"} if text else {}))
    assert "Traceback" not in (done.stderr if text else done.stderr.decode("utf-8")), done.stderr
    return done


def inside(*words, cwd, **env):
    """The same through the entry point of this process, which saves an import: status, stdout, stderr."""
    out, err = io.StringIO(), io.StringIO()
    with (pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(), contextlib.redirect_stdout(out),
          contextlib.redirect_stderr(err)):
        warnings.simplefilter("always")
        patch.chdir(cwd)
        patch.setattr(sys, "argv", ["fedlab", *words])
        patch.delenv("COLUMNS", raising=False)
        for name, value in env.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as end:
            cli.main()
    return end.value.code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder in which a few runs lie, made by the command; shared, so tests leave what they find."""
    place = tmp_path_factory.mktemp("place")
    calls = {
        "default": ["run", "--rounds", "1", "--out", "default"],
        "issue": ["run", "--set", "local.lr=0.05", "--set", "aggregate=median", "--set",
                  'aggregate={"part":"mean","weights":"uniform"}', "--rounds", "3", "--out", "issue"],
        "tiny": ["run", *TINY, "--rounds", "2", "--out", "tiny"],
        "dp": ["run", "dp-fedavg", "--rounds", "2", "--set", "net.hidden=[4]", "--out", "dp"],
        "seeds": ["run", *DIGITS, "--rounds", "2", "--seeds", "2", "--set", "schedule.sampler=poisson",
                  "--out", "seeds"],
        "exploded": ["run", *DIGITS, "--set", "net.hidden=[64,64,64]", "--set", "local.lr=100", "--set",
                     "local.momentum=0.9", "--set", "local.epochs=3", "--out", "exploded"],
    }
    said = {}
    for name, words in calls.items():
        if name == "issue":   # one of them as a user makes it
            done = fedlab(*words, cwd=place)
            said[name] = done.returncode, done.stdout, done.stderr
        else:
            said[name] = inside(*words, cwd=place)
    (place / "said.json").write_text(json.dumps(said), "utf-8")
    return place


def said(place, name):
    return json.loads((place / "said.json").read_text("utf-8"))[name]


# --- what works -----------------------------------------------------------------------------------------------------

def test_the_default_run(place):
    status, out, err = said(place, "default")
    assert status == 0, err
    assert re.match(r"fedavg: 1 round, ≈ \S+ (s|min|h), 236 kB up, 236 kB down, ≈ .* of memory, no privacy mechanism\n",
                    out)
    assert "fedavg in default finished: 1 of 1 rounds" in out
    assert "always guessing the commonest answer is right for 76.4 %" in out
    assert "10 client visits" in out and "held-out rows of 10 clients" in out
    assert sorted(p.name for p in (place / "default").iterdir()) == [
        "events.jsonl", "snapshot.safetensors", "spec.json"]


def test_every_form_of_set(place):
    status, out, err = said(place, "issue")
    assert status == 0, err
    experiment = fl.open_run(place / "issue").experiment
    assert experiment == fl.Experiment().changed(
        **{"local.lr": 0.05, "aggregate": fl.Mean(weights="uniform"), "rounds": 3})
    assert "3 of 3 rounds" in out


@pytest.mark.parametrize(("words", "changes"), [
    ("aggregate=median", {"aggregate": fl.Median()}), ('name="a b"', {"name": "a b"}), ("name=me", {"name": "me"}),
    ("net.hidden=[32,16]", {"net.hidden": (32, 16)}), ("local.epochs=null local.steps=5", {"local.steps": 5}),
    ("seed=7", {"seed": 7}), ("privatise=null", {}), ("attack=none", {}),
    ("task.withhold=false", {"task.withhold": False}),
    ("attack=sign_flip attack.liars=[1,2]", {"attack": fl.SignFlip(liars=(1, 2))}),
    ('local.correct=["proximal"] local.correct.0.mu=0.5', {"local.correct": (fl.Proximal(mu=0.5),)}),
    ("precision=float64", {"precision": "float64"})])
def test_values_are_json_or_plain_words(words, changes):
    sets = ['name="a b"'] if " b" in words else words.split()
    assert cli.read("fedavg", sets, None) == fl.Experiment().changed(**changes)


def test_recipes_and_spec_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.json").write_text(fl.recipe("scaffold").to_json(), "utf-8")
    assert cli.read("mine.json", [], "5") == fl.recipe("scaffold").changed(rounds=5)
    Path("fedavg").mkdir()   # a folder called like a recipe does not hide it
    assert cli.read("fedavg", [], None) == fl.recipe("fedavg")


def test_show_and_resume_print_what_run_printed(place):
    for word in ("show", "resume"):
        status, out, err = inside(word, "issue", cwd=place)
        assert (status, err) == (0, "")
        assert out.startswith("\nfedavg in issue finished: 3 of 3 rounds\n") and out in said(place, "issue")[1]


def test_resume_goes_on_with_every_seed(place, tmp_path):
    shutil.copytree(place / "seeds", tmp_path / "seeds")
    path = tmp_path / "seeds" / "seed-1" / "events.jsonl"
    path.write_text("".join(path.read_text("utf-8").splitlines(True)[:2]), "utf-8")
    (path.parent / "snapshot.safetensors").unlink()
    assert f"{Path('seeds', 'seed-1')} is incomplete" in inside("show", "seeds", cwd=tmp_path)[1]
    status, out, err = inside("resume", "seeds", cwd=tmp_path)
    assert status == 0, err
    assert "Over 2 seeds the last test accuracy is" in out and "incomplete" not in out
    assert fl.open_run(tmp_path / "seeds" / "seed-1").status == "finished"


def test_list(place):
    status, out, err = inside("list", cwd=place)
    assert (status, err) == (0, "")
    for slot, shelf in fl.catalogue().items():
        for name in shelf:
            assert re.search(rf"^  {name}\b", out, re.M), f"{slot} = {name}"
    for name in "fedavg fedprox scaffold fedadam dp-fedavg local-only centralised".split():
        assert re.search(rf"^  {name}\b", out, re.M)
    assert "schedule.sampler" in out and "q=0.1" in out
    example = re.search(r"as in: (fedlab run .*)", out)[1].split()   # the example that is printed works
    sets = [word for flag, word in zip(example, example[1:], strict=False) if flag == "--set"]
    assert cli.read(example[2], sets, None).encode == fl.TopK(fraction=0.05)


def test_doctor(place):
    done = fedlab("doctor", cwd=place)
    assert done.returncode == 0, done.stdout
    for what in (f"Python {sys.version.split()[0]}", f"torch {torch.__version__}", "of memory free", "of disk free",
                 "data set adult: 48,842 rows", "data set mnist: 70,000 rows", "data set digits: 1,797 rows",
                 "fedlab-widgets"):
        assert re.search(rf"^ok +{re.escape(what)}|^ok .*{re.escape(what)}", done.stdout, re.M), what
    assert "CPU" in done.stdout or "cuda:0" in done.stdout
    assert "WRONG" not in done.stdout


def test_the_doctor_names_the_remedy(monkeypatch, capsys, tmp_path):
    from fedlab_widgets import doctor, machine
    from fedlab_widgets.tasks import readers

    def damaged():
        raise BadInput("adult.data.gz is damaged")

    monkeypatch.setattr(readers, "read_adult", damaged)
    monkeypatch.setattr(readers, "read_mnist", readers.read_digits)
    monkeypatch.setattr(doctor, "NEEDED_DISK", 10**18)
    monkeypatch.setattr(machine, "cpu", lambda: machine.Device("cpu", "CPU", 5 * 10**8, 10**9))
    monkeypatch.setattr(doctor.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert not doctor.report(cli.console())
    out = " ".join(capsys.readouterr().out.split())
    for wrong in ("data set adult: adult.data.gz is damaged: reinstall fedlab-widgets", "make room, or run elsewhere",
                  "500 MB of memory free: close other programs", "install a CUDA build of torch"):
        assert wrong in out
    assert out.count("WRONG") == 4


# --- what is refused ------------------------------------------------------------------------------------------------

MISTAKES = {   # words of the command line: what the one sentence holds
    "run nosuch": "recipe = 'nosuch' is none of the",
    "run fedavgg": "did you mean 'fedavg' or",
    "run missing.json": "missing.json cannot be read (No such file or directory); give a recipe",
    "run broken.json": "broken.json: the experiment is no JSON",
    "run list.json": "list.json: the experiment is a JSON list, not an object",
    "run newer.json": "newer.json: schema = 99, and this FedLab Widgets reads versions 1 to",
    "run unknown.json": "unknown.json: bogus = 1 is no field of Experiment",
    "run binary.json": "binary.json: the experiment is no JSON",
    "run folder": "'folder' is a folder; go on with the run in it by fedlab resume",
    "run --out folder": "out = 'folder' is there already, and a run never overwrites one; give another folder",
    "run --set local.lr=-1": "local.lr = -1 is not allowed: give a number above 0 and at most 100; the default is 0.1",
    "run --set local.lr=NaN": "local.lr = nan is not allowed: give a number above 0",
    "run --set local.lrr=1": "local.lrr = 1 is no field of SGD; did you mean 'lr'?",
    "run --set rounds=0": "rounds = 0 is not allowed: give a whole number at least 1 and at most 100,000",
    "run --rounds 0": "rounds = 0 is not allowed: give a whole number at least 1 and at most 100,000",
    "run --rounds abc": "rounds = 'abc' is not allowed: give a whole number at least 1 and at most 100,000",
    "run --rounds 2.5": "rounds = 2.5 is not allowed: give a whole number",
    "run --seeds 0": "seeds = 0 is not allowed: give a whole number from 1 to 1000",
    "run --seeds abc": "seeds = 'abc' is not allowed: give a whole number from 1 to 1000",
    "run --set evaluate.every=0": "evaluate.every = 0 is not allowed: give a whole number at least 1",
    "run --set task.sensitive=shoe": "task.sensitive = 'shoe' is not allowed: give one of sex, race",
    "run --set aggregate=krumm": "aggregate = 'krumm' is none of",
    "run --set aggregate={\"part\":\"mean\"": "{\"part\":\"mean\" is no JSON",
    "run --set foo": "--set 'foo' is no FIELD=VALUE; write --set local.lr=0.05",
    "run --set =3": "--set '=3' is no FIELD=VALUE",
    "run --set attack.liars=3": "attack.liars cannot be set: attack is None",
    "run --set privatise=gaussian": "cannot calibrate its noise",
    "run --device tpu": "device = 'tpu' is no device; give auto, cpu or cuda:0",
    "run --device meta": "device = 'meta' is not supported; give auto, cpu or cuda:0",
    "resume missing": "'missing' holds no run: there is no spec.json in it",
    "show missing": "'missing' holds no run: there is no spec.json in it",
    "show": "Missing argument 'FOLDER'; see fedlab show --help",
    "resume folder": "'folder' holds no run",
    "frobnicate": "No such command 'frobnicate'; see fedlab --help",
    "run --nope": "No such option: --nope; see fedlab run --help",
    "run fedavg fedprox": "unexpected extra argument",
    "run --out": "--out",
}
if not torch.cuda.is_available():
    MISTAKES["run --device cuda:0"] = "device = 'cuda:0' is not there: torch"


@pytest.fixture(scope="module")
def mistakes(tmp_path_factory):
    """A folder with files that are no experiments."""
    place = tmp_path_factory.mktemp("mistakes")
    (place / "folder").mkdir()
    files = {"broken.json": "{", "list.json": "[]", "newer.json": '{"schema": 99}', "unknown.json": '{"bogus": 1}'}
    for name, text in files.items():
        (place / name).write_text(text)
    (place / "binary.json").write_bytes(b"\xff\xfe\x00{")
    return place


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_one_sentence_and_status_2(mistakes, line):
    before = sorted(mistakes.rglob("*"))
    status, _, err = inside(*line.split(" "), cwd=mistakes)
    assert status == 2, err
    assert err.startswith("fedlab: ") and err.count("\n") == 1 and MISTAKES[line] in err
    assert len(err) < 400 and ".." not in err.replace("...", "") and not err.endswith("?.\n")
    assert sorted(mistakes.rglob("*")) == before, "nothing is written"


def test_mistakes_of_real_processes(mistakes):
    for line in ("run --set local.lr=-1", "frobnicate"):
        done = fedlab(*line.split(" "), cwd=mistakes)
        assert done.returncode == 2
        assert done.stderr.startswith("fedlab: ") and done.stderr.count("\n") == 1 and MISTAKES[line] in done.stderr


def test_no_command_prints_the_help(mistakes):
    status, out, err = inside(cwd=mistakes)
    assert (status, err) == (2, "")
    assert all(word in out for word in ("run", "resume", "show", "list", "doctor"))


def test_an_exploding_run_has_status_1_and_keeps_its_rounds(place):
    status, out, err = said(place, "exploded")
    assert status == 1
    assert "fedavg in exploded FAILED" in out and "lower local.lr (now 100.0), or set local.clip" in out
    run = fl.open_run(place / "exploded")
    assert run.status == "failed" and len(run.history) < 30 and (place / "exploded" / "spec.json").is_file()
    assert inside("show", "exploded", cwd=place)[0] == 0


@pytest.mark.parametrize(("error", "status"), [
    (BadInput("a field is wrong."), 2), (OSError("the disk is full"), 1), (KeyboardInterrupt(), 130),
    (RuntimeError("round 3 came out differently"), 1)], ids=str)
def test_status_of_whatever_may_come(monkeypatch, tmp_path, error, status):
    def fail():
        raise error

    monkeypatch.setattr(cli, "console", fail)
    found, _, err = inside("list", cwd=tmp_path)
    assert found == status and "Traceback" not in err


# --- how it looks ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("name", ["issue", "dp", "tiny"])
def test_no_figure_is_cut_off(place, columns, name):
    out = inside("show", name, cwd=place, COLUMNS=str(columns))[1]
    assert "…" not in out and "nan" not in out.lower() and "None" not in out
    rows = [line for line in out.splitlines() if re.match(r" +\d+ ", line)]
    assert rows and all(len(line) <= 80 for line in rows)
    assert ("epsilon" in out) == (name == "dp") and ("bits" in out) == (name != "tiny")


def test_figures_stand_beside_the_rows_they_rest_on(place):
    out = said(place, "tiny")[1]
    worst = fl.open_run(place / "tiny").clients.dropna(subset="accuracy")
    found = worst[worst.accuracy == worst.accuracy.min()]
    assert f"range from {100 * worst.accuracy.min():.1f} % (client {found.index[0]}" in out
    assert re.search(r"range from [\d.]+ % \(client \d+( and \d+ more)?, \d+( to \d+)? rows?( each)?\) to", out)
    assert re.search(r"\(2,\d{3} Female, 4,\d{3} Male\)", said(place, "issue")[1])


def test_privacy_is_said_with_its_delta(place):
    out = said(place, "dp")[1]
    assert re.search(r"Privacy spent: epsilon [\d.]+( at delta [\d.e-]+)?, of what the released models", out)
    assert "Reproducible noise: demonstration" in out


def test_repeated_notes_are_said_once_and_counted(place):
    _, out, err = said(place, "seeds")
    empty = [e for e in fl.open_run(place / "seeds" / "seed-0").events if type(e).__name__ == "Warned"]
    assert err.count("nobody took part") <= 1
    if len(empty) > 1:
        assert f"Note, in {len(empty)} rounds: nobody took part" in out


def test_a_pipe_in_a_plain_place(place):
    done = fedlab("show", "tiny", cwd=place, text=False, LC_ALL="C", PYTHONIOENCODING="ascii", PYTHONUTF8="0",
                  NO_COLOR="1", TERM="dumb")
    assert done.returncode == 0 and not done.stderr
    assert b"\x1b" not in done.stdout
    assert done.stdout.decode("utf-8").strip() in said(place, "tiny")[1]


def test_a_reader_that_has_seen_enough():
    listing = subprocess.Popen([*FEDLAB, "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    listing.stdout.readline()
    listing.stdout.close()
    err = listing.stderr.read()
    assert listing.wait(60) in (0, 1) and not err


def test_the_bar_shows_the_time_left(tmp_path):
    """Under a real terminal, made with a pty."""
    pty = pytest.importorskip("pty", reason="Windows has no pty")
    main, terminal = pty.openpty()
    process = subprocess.Popen([*FEDLAB, "run", *DIGITS, "--rounds", "60", "--out", "run"], cwd=tmp_path,
                               stdin=terminal, stdout=terminal, stderr=terminal,
                               env=os.environ | {"TERM": "xterm", "COLUMNS": "80"})
    os.close(terminal)
    shown = b""
    try:
        while piece := os.read(main, 65536):
            shown += piece
    except OSError:   # Linux: the other end is closed
        pass
    finally:
        os.close(main)
    assert process.wait(60) == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode("utf-8"))
    assert re.search(r"fedavg ━+ 60/60 rounds, left 0:00:00 accuracy 0\.\d{3}, guess 0\.103", plain)
    assert re.search(r"[1-5]\d/60 rounds, left 0:00:\d\d accuracy 0\.\d{3}, guess 0\.103", plain), "only at the end"
    assert "…" not in plain
