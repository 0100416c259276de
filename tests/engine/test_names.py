"""The public names: what is promised is there, what is there is documented, and nothing else is."""

import inspect
import re
import types

import pandas as pd
import pytest

import fedlab_widgets as fl

PROMISED = """Experiment Evaluation recipe run stream open_run Run decompose catalogue part check_part from_arrays Adult
    Mnist Digits Logistic MLP CNN IID Dirichlet ByGroup Masked Lockstep Full Fixed Poisson Broadcast SGD Proximal
    ControlVariate Update TopK SignFlip LabelFlip Gaussian Mean Median Apply Adaptive Stacked OneByOne""".split()
PARTS = {   # slot: names of the issue
    "task": "adult mnist digits", "net": "logistic mlp cnn", "partition": "iid dirichlet by_group masked",
    "schedule": "lockstep", "sampler": "full fixed poisson", "distribute": "broadcast", "local": "sgd",
    "correct": "proximal control_variate", "encode": "update top_k", "attack": "sign_flip label_flip",
    "privatise": "gaussian", "aggregate": "mean median", "server": "apply adaptive",
}
COLUMNS = ("round time trips seconds accuracy loss mean_client worst_client best_client bytes_up bytes_down epsilon "
           "global_disparity local_disparity unique redundant masked unique_corrected redundant_corrected "
           "masked_corrected unique_lo unique_hi redundant_lo redundant_hi masked_lo masked_hi").split()


def test_all_names_what_is_there_and_no_more():
    there = {name for name, value in vars(fl).items()
             if not name.startswith("_") and not isinstance(value, types.ModuleType)}
    assert len(set(fl.__all__)) == len(fl.__all__)
    # Recipes and slots are folders and functions of one name; the function is what counts.
    there = (there | set(fl._LATER)) - {"import_module"}   # imported when they are asked for
    assert there == {n for n in fl.__all__ if not isinstance(getattr(fl, n), types.ModuleType)}
    assert set(PROMISED) <= set(fl.__all__)


@pytest.mark.parametrize("name", fl.__all__)
def test_every_name_is_documented(name):
    thing = getattr(fl, name)
    text = inspect.getdoc(thing)
    assert text and len(text.split("\n")[0]) > 15, f"{name} has no docstring"
    if inspect.isclass(thing):
        assert thing.__doc__, f"{name} only has the docstring of its base"


def test_the_functions_take_what_is_promised():
    assert list(inspect.signature(fl.run).parameters)[:5] == "experiment out executor device seeds".split()
    assert list(inspect.signature(fl.stream).parameters)[0] == "experiment"
    assert list(inspect.signature(fl.from_arrays).parameters)[:4] == "X y group client".split()
    for name in "changed forecast to_json from_json to_python".split():
        assert callable(getattr(fl.Experiment, name)), name
    for name in "history clients model predict resume figure panel methods_text code".split():
        assert inspect.getdoc(getattr(fl.Run, name)), name


@pytest.mark.parametrize("slot", PARTS)
def test_the_parts_are_in_the_catalogue(slot):
    assert set(PARTS[slot].split()) <= set(fl.catalogue(slot))
    for name, cls in fl.catalogue(slot).items():
        assert cls.name == name and cls.summary()
        assert all(field.description for field in cls.model_fields.values())


def test_the_recipes():
    for name in "fedavg fedprox scaffold fedadam dp-fedavg local-only centralised".split():
        assert fl.recipe(name).name == name
    dp = fl.recipe("dp-fedavg")
    assert dp.privatise.noise_multiplier and dp.privatise.epsilon is None
    assert dp.schedule.sampler.name == "poisson" and dp.partition.clients >= 1000


def test_the_default_experiment():
    e = fl.Experiment()
    assert (e.task, e.partition.name, e.partition.clients, e.partition.skew) == (fl.Adult(), "by_group", 10, 0.9)
    assert (e.net.name, e.aggregate.name, e.rounds, e.seed, e.precision) == ("mlp", "mean", 30, 0, "float32")
    assert e.task.sensitive == "sex" and e.task.withhold and e == fl.recipe("fedavg")


def test_fields_that_checks_use():
    dp = fl.recipe("dp-fedavg")
    assert dp.changed(**{"schedule.sampler.q": 0.2}).schedule.sampler.q == 0.2
    assert dp.changed(**{"privatise.noise_multiplier": 2.0, "privatise.delta": 1e-5}).privatise.delta == 1e-5
    solved = dp.changed(**{"privatise.epsilon": 8.0})
    assert solved.privatise.epsilon == 8.0 and solved.privatise.noise_multiplier is None
    e = fl.Experiment().changed(**{"partition.clients": 20, "schedule.clients": (1, 2), "local.lr": 0.05,
                                   "rounds": 100_000, "attack": fl.SignFlip(liars=0.1)})
    assert e.schedule.clients == (1, 2) and e.attack.liars == 0.1 and e.rounds == 100_000
    assert e.changed(**{"attack.liars": (3, 4)}).attack.liars == (3, 4)


def test_a_run_gives_what_is_promised(tmp_path):
    quick = fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=2), net=fl.Logistic(), rounds=1)
    costs = quick.forecast()
    for name in "bytes_up bytes_down epsilon delta memory_bytes seconds".split():
        assert hasattr(costs, name)
    run = fl.run(quick, out=tmp_path / "run", progress=False)
    assert isinstance(run.history, pd.DataFrame) and list(run.history.columns[:len(COLUMNS)]) == COLUMNS
    assert isinstance(run.clients, pd.DataFrame)
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", fl.__version__)
    names = set("unique redundant masked client_unique global_disparity local_disparity gap corrected band".split())
    found = fl.decompose([[[5, 3], [2, 4]], [[1, 6], [7, 2]]])
    assert all(hasattr(found, name) for name in names)
