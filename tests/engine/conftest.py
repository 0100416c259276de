"""What several files of this folder need: refusals, a short run and its folder, rounds without a folder."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import fedlab_widgets as fl
from fedlab_widgets import engine, events
from fedlab_widgets.part import _CATALOGUE
from fedlab_widgets.plan import begin, prepare
from fedlab_widgets.session import one_thread
from fedlab_widgets.world import world_of

# --- specs ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def refused():
    """refused(make, *words) -> the sentence with which `make` is refused; it holds all the words."""

    def check(make, *words):
        with pytest.raises(fl.BadInput) as caught:
            make()
        text = str(caught.value)
        assert "\n" not in text and "Traceback" not in text and "pydantic" not in text, text
        assert all(word in text for word in words), text
        return text

    return check


@pytest.fixture
def own_catalogue():
    """What a test registers is gone after it."""
    before = fl.catalogue()
    yield
    _CATALOGUE.clear()
    _CATALOGUE.update(before)


# --- runs and their folders -----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def six_rounds():
    """An experiment that takes no time."""
    return fl.Experiment(name="quick", task=fl.Digits(), partition=fl.IID(clients=4), net=fl.MLP(hidden=(16,)),
                         rounds=6, local=fl.SGD(correct=(fl.ControlVariate(),)), aggregate=fl.Mean(weights="uniform"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory, six_rounds):
    """An undisturbed run, never to be changed."""
    return fl.run(six_rounds, out=tmp_path_factory.mktemp("whole") / "run", progress=False)


@pytest.fixture
def half(tmp_path, six_rounds, stopped):
    """The same run, stopped after round 3."""
    return stopped(six_rounds, tmp_path / "half", 3)


@pytest.fixture
def stopped():
    """stopped(experiment, folder, rounds) -> the folder of a run that was stopped after so many rounds."""

    def run_until(experiment, folder, rounds):
        def stop():
            return (folder / "events.jsonl").read_text("utf-8").count("RoundEnded") >= rounds

        run = fl.run(experiment, out=folder, progress=False, stop=stop)
        assert run.status == "stopped" and len(run.history) == rounds
        return folder

    return run_until


@pytest.fixture
def facts():
    """facts(folder) -> what a run says of its rounds, without wall times."""
    kinds = (events.RoundEnded, events.Evaluated)
    return lambda folder: [e.fixed() for e in fl.open_run(folder).events if isinstance(e, kinds)]


@pytest.fixture
def same_bits():
    """same_bits(folder, reference) -> whether the snapshots of two runs hold the same bits."""

    def compare(folder, reference):
        a, b = (load_file(Path(f) / "snapshot.safetensors") for f in (folder, reference))
        return a.keys() == b.keys() and all(a[k].numpy().tobytes() == b[k].numpy().tobytes() for k in a)

    return compare


@pytest.fixture
def python():
    """python(code, *args) -> what a fresh process that runs `code` printed."""

    def run(code, *args, cwd=None, status=0, before=None):
        done = subprocess.run([sys.executable, "-W", "ignore", "-c", code, *map(str, args)], cwd=cwd,
                              capture_output=True, text=True, encoding="utf-8", preexec_fn=before, timeout=120)
        assert done.returncode == status, done.stderr
        return done.stdout

    return run


# --- rounds without a folder ----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def some():
    """some(**fields) -> an experiment of two rounds on 500 digits."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    digits = fl.from_arrays(x[:500].reshape(-1, 1, 8, 8) / 8 - 1, y[:500], name="some digits")

    def make(**fields):
        # Eight of ten clients: chunks of 2, 3 and 5 leave nobody alone.
        return fl.Experiment(**{
            "task": digits, "net": fl.MLP(hidden=(16,)), "partition": fl.Dirichlet(clients=10, alpha=0.4), "seed": 5,
            "schedule": fl.Lockstep(sampler=fl.Fixed(m=8)), "local": fl.SGD(batch=16, momentum=0.5, lr=0.05),
            "rounds": 2,
        } | fields)

    return make


@pytest.fixture
def played():
    """played(experiment, executor) -> plan, [(event, state or None)], on the CPU with one thread."""

    def play(e, executor, stop=lambda: False, state=None):
        with one_thread():
            plan = prepare(e, world_of(e, torch.device("cpu")))
            return plan, list(engine.rounds(plan, state or begin(plan), executor.settled(plan.world), stop))

    return play
