"""The experiment as data: round trips, changes and their refusals in words."""

import json
import math
from itertools import permutations

import numpy as np
import pytest

import fedlab_widgets as fl
from fedlab_widgets.recipes import BOOK
from fedlab_widgets.spec import SCHEMA

pytestmark = pytest.mark.usefixtures("own_catalogue")
UNIFORM = fl.Mean(weights="uniform")
PRIVATE = fl.Mean(weights="uniform", denominator="expected")


# Round trips.

SPECS = {
    "default": {},
    "steps": {"local": fl.SGD(steps=7, batch=None, momentum=0.9, weight_decay=1e-4, clip=1.5)},
    "schedules": {"local": fl.SGD(schedule="cosine", lr_end=0.1), "rounds": 100_000, "seed": 2**53 - 1},
    "corrections": {"local": fl.SGD(correct=(fl.Proximal(mu=0.2), fl.ControlVariate())), "aggregate": UNIFORM},
    "sampling": {"schedule": fl.Lockstep(sampler=fl.Fixed(m=3), dropout=0.25, clients=(5, 1, 1, 3))},
    "poisson": {"schedule": fl.Lockstep(sampler=fl.Poisson(q=0.01))},
    "codec": {"encode": fl.TopK(fraction=0.01, feedback=False), "server": fl.Adaptive(lr=0.02, tau=1e-4)},
    "liars": {"attack": fl.SignFlip(liars=(3, 0, 2), scale=3), "aggregate": fl.Median()},
    "flips": {"attack": fl.LabelFlip(liars=0.4)},
    "private": {"privatise": fl.Gaussian(clip=0.1, noise_multiplier=2, delta=1e-6), "aggregate": PRIVATE},
    "target": {"privatise": fl.Gaussian(epsilon=2.5), "aggregate": PRIVATE.model_copy()},
    "kept": {"distribute": fl.KeepLayers(layers=("1.*", "3.bias")), "net": fl.MLP(hidden=(32, 16))},
    "images": {"task": fl.Digits(), "net": fl.CNN(channels=3, hidden=7), "partition": fl.Dirichlet(alpha=0.1)},
    "masked": {"partition": fl.Masked(lam=0.7), "evaluate": fl.Evaluation(every=5, clients=3, readings=(fl.Gaps(),))},
    "race": {"task": fl.Adult(sensitive="race", withhold=False), "net": fl.Logistic(), "name": "a b.c_d+e-f"},
    "double": {"precision": "float64", "partition": fl.Natural(), "evaluate": fl.Evaluation(readings=())},
}


@pytest.mark.parametrize("fields", SPECS.values(), ids=SPECS.keys())
def test_json_and_python_give_the_same_experiment_back(fields):
    e = fl.Experiment(**fields)
    text = e.to_json()
    assert fl.Experiment.from_json(text) == e and fl.Experiment.from_json(text.encode()) == e
    assert fl.Experiment.from_json(text).to_json() == text
    assert json.loads(text)["schema"] == SCHEMA
    cell = {}
    exec(e.to_python(), cell)
    assert cell["experiment"] == e
    assert e.changed() == e and hash(e) == hash(e.changed()) and hash(e) == hash(fl.Experiment.from_json(text))
    for name, value in fields.items():
        assert getattr(e, name) == value


@pytest.mark.parametrize("recipe", BOOK.values(), ids=BOOK.keys())
def test_recipes_go_round(recipe):
    e = recipe.experiment
    assert fl.recipe(recipe.name) == e == fl.Experiment.from_json(e.to_json())
    cell = {}
    exec(e.to_python(), cell)
    assert cell["experiment"] == e


def test_python_names_only_what_differs():
    source = fl.Experiment(local=fl.SGD(lr=0.05)).to_python()
    assert "SGD" in source and "lr=0.05" in source and "rounds" not in source and "epochs" not in source


def test_own_arrays_go_round():
    task = fl.from_arrays(np.eye(20), np.arange(20) % 2, group=np.arange(20) % 3, name="identity")
    e = fl.Experiment(task=task, partition=fl.IID(clients=2))
    assert fl.Experiment.from_json(e.to_json()) == e
    assert json.loads(e.to_json())["task"]["groups"] == ["0", "1", "2"]
    cell = {}
    exec(e.to_python(), cell)     # the cell must run, whatever it does to name the rows
    assert cell["experiment"] == e


@pytest.mark.parametrize("text, words", [
    ('{"schema": 2}', ["schema = 2", "update"]), ('{"schema": 0}', ["schema = 0"]), ('{"schema": "1"}', ["schema"]),
    ('{"schema": null}', ["schema"]), ("[1]", ["list", "to_json"]), ("null", ["to_json"]), ("{", ["JSON"]),
    (b"\xff\xfe", ["JSON"]), ('{"rounds": 0}', ["rounds = 0", "100,000", "30"]), ('{"rounds": NaN}', ["rounds"]),
    ('{"rounds": 1e400}', ["rounds"]), ('{"lokal": {}}', ["lokal", "'local'"]),
    ('{"local": {"part": "sgd", "lr": 0}}', ["local.lr = 0", "above 0"]),
    ('{"local": {"lr": 0.1}}', ["local", '"part"', "sgd"]),
    ('{"aggregate": {"part": "krumm"}}', ["aggregate", "mean", "median"]),
    ('{"local": {"part": "sgd", "correct": [{"part": "proximal", "mu": -1}]}}', ["local.correct.0.mu = -1"]),
    ('{"schedule": {"part": "lockstep", "sampler": {"part": "poisson", "q": 2}}}', ["schedule.sampler.q = 2"]),
    ('{"evaluate": {"readings": [{"part": "accuracy"}, 3]}}', ["evaluate.readings.1 = 3"]),
])
def test_json_that_is_refused(refused, text, words):
    refused(lambda: fl.Experiment.from_json(text), *words)


def test_json_without_a_schema_is_the_present_one():
    assert fl.Experiment.from_json("{}") == fl.Experiment()


# Changes: all applied, then validated once.

def same_in_any_order(**changes):
    """`changed` under every order of its keys."""
    orders = list(permutations(changes.items()))[:120]
    found = [fl.Experiment().changed(**dict(order)) for order in orders]
    assert all(e == found[0] for e in found[1:])
    return found[0]


def test_the_example_of_the_issue():
    e = fl.Experiment().changed(**{"local.lr": 0.05, "aggregate": fl.Median()})
    assert e.local == fl.SGD(lr=0.05) and e.aggregate == fl.Median()
    assert fl.Experiment().local.lr == 0.1, "an experiment does not change"


def test_changes_are_checked_together(refused):
    """Each of these alone would be refused."""
    e = same_in_any_order(**{"local.correct": (fl.ControlVariate(),), "aggregate.weights": "uniform"})
    assert e.local.correct == (fl.ControlVariate(),)
    refused(lambda: fl.Experiment().changed(**{"local.correct": (fl.ControlVariate(),)}), "aggregate.weights")
    e = same_in_any_order(**{"privatise": "gaussian", "aggregate.denominator": "expected",
                             "aggregate.weights": "capped"})
    assert e.privatise == fl.Gaussian()


@pytest.mark.parametrize("value", ["top-k", "top_k", "TOP_K", {"part": "top_k"}, fl.TopK(), fl.TopK])
def test_ways_to_name_a_part(value):
    assert fl.Experiment().changed(encode=value).encode == fl.TopK()


@pytest.mark.parametrize("value", [None, "none", "null", ""])
def test_ways_to_leave_a_part_out(value):
    assert fl.Experiment(attack=fl.SignFlip()).changed(attack=value).attack is None


def test_alternatives_clear_each_other():
    e = fl.Experiment().changed(**{"local.steps": 5})
    assert (e.local.steps, e.local.epochs) == (5, None)
    assert (e.changed(**{"local.epochs": 2}).local.steps, e.changed(**{"local.epochs": 2}).local.epochs) == (None, 2)
    assert e.changed(**{"local.lr": 0.2}).local.steps == 5
    e = fl.recipe("dp-fedavg").changed(**{"privatise.epsilon": 3})
    assert (e.privatise.epsilon, e.privatise.noise_multiplier) == (3, None)
    e = e.changed(**{"privatise.noise_multiplier": 2})
    assert (e.privatise.epsilon, e.privatise.noise_multiplier) == (None, 2)
    assert fl.SGD(steps=3).epochs is None and fl.Gaussian(epsilon=1).noise_multiplier is None
    assert same_in_any_order(**{"local.steps": 5, "local.epochs": None, "local.lr": 0.2}).local.steps == 5
    assert fl.Experiment().changed(**{"local.steps": None}) == fl.Experiment()


def test_one_alternative_is_needed_and_two_are_too_many(refused):
    refused(lambda: fl.Experiment().changed(**{"local.steps": 3, "local.epochs": 2}), "local", "epochs=2", "steps=3")
    refused(lambda: fl.SGD(steps=3, epochs=2), "epochs", "steps")
    refused(lambda: fl.Experiment().changed(**{"local.epochs": None}), "local", "epochs or steps")
    refused(lambda: fl.SGD(epochs=None, steps=None), "epochs or steps")
    refused(lambda: fl.SGD(epochs=None), "epochs or steps")
    refused(lambda: fl.Experiment.from_json('{"local": {"part": "sgd", "epochs": null}}'), "local", "epochs or steps")
    refused(lambda: fl.Gaussian(noise_multiplier=None), "noise_multiplier or epsilon")


def test_steps_into_lists(refused):
    e = fl.recipe("fedprox").changed(**{"local.correct.0.mu": 0.5})
    assert e.local.correct == (fl.Proximal(mu=0.5),)
    e = fl.recipe("fedprox").changed(**{"local.correct.0": "control_variate", "aggregate.weights": "uniform"})
    assert e.local.correct == (fl.ControlVariate(),)
    assert fl.Experiment().changed(**{"net.hidden.0": 7}).net == fl.MLP(hidden=(7,))
    assert fl.Experiment().changed(**{"evaluate.readings.1": "accuracy"}).evaluate.readings[1] == fl.Accuracy()
    refused(lambda: fl.recipe("fedprox").changed(**{"local.correct.1.mu": 0.5}), "1", "count from 0")
    refused(lambda: fl.recipe("fedprox").changed(**{"local.correct.-1.mu": 0.5}), "-1")
    refused(lambda: fl.recipe("fedprox").changed(**{"local.correct.x": 0.5}), "x")


def test_a_slot_and_then_a_field_of_it():
    """The whole slot comes first, whatever the order they are written in."""
    e = same_in_any_order(**{"attack": "sign_flip", "attack.scale": 5, "attack.liars": (1, 2)})
    assert e.attack == fl.SignFlip(scale=5, liars=(1, 2))
    e = same_in_any_order(**{"attack": fl.SignFlip(scale=2), "attack.liars": 0.5})
    assert e.attack == fl.SignFlip(scale=2, liars=0.5)
    e = same_in_any_order(**{"local": {"part": "sgd", "lr": 0.7}, "local.steps": 5})
    assert e.local == fl.SGD(lr=0.7, steps=5)
    e = same_in_any_order(**{"privatise": fl.Gaussian(clip=2), "privatise.epsilon": 3, "aggregate": PRIVATE})
    assert e.privatise == fl.Gaussian(clip=2, epsilon=3)
    e = same_in_any_order(**{"schedule.sampler": "poisson", "schedule.sampler.q": 0.5, "schedule.dropout": 0.1})
    assert e.schedule == fl.Lockstep(sampler=fl.Poisson(q=0.5), dropout=0.1)
    e = same_in_any_order(**{"schedule": fl.Lockstep(dropout=0.2), "schedule.sampler": fl.Fixed(m=2),
                             "schedule.sampler.m": 3, "rounds": 5})
    assert (e.schedule, e.rounds) == (fl.Lockstep(sampler=fl.Fixed(m=3), dropout=0.2), 5)


@pytest.mark.parametrize("changes, due", [
    ({"schedule": "lockstep", "schedule.sampler": "poisson", "schedule.sampler.q": 0.5},
     {"schedule": fl.Lockstep(sampler=fl.Poisson(q=0.5))}),
    ({"schedule.sampler": fl.Poisson, "schedule.sampler.q": 0.5}, {"schedule": fl.Lockstep(sampler=fl.Poisson(q=0.5))}),
    ({"net": "mlp", "net.hidden.0": 9}, {"net": fl.MLP(hidden=(9,))}),
    ({"local.correct": ("proximal",), "local.correct.0.mu": 0.5}, {"local": fl.SGD(correct=(fl.Proximal(mu=0.5),))}),
    ({"local.correct": [fl.Proximal()], "local.correct.0.mu": 0.5}, {"local": fl.SGD(correct=(fl.Proximal(mu=0.5),))}),
    ({"local": fl.SGD(correct=(fl.Proximal(),)), "local.correct.0.mu": 0.5},
     {"local": fl.SGD(correct=(fl.Proximal(mu=0.5),))}),
], ids=lambda v: "-".join(v))
def test_a_part_named_in_the_same_call_has_its_fields(changes, due):
    """By name, class or value: what has just been named can be changed, its defaults included."""
    assert same_in_any_order(**changes) == fl.Experiment(**due)


@pytest.mark.parametrize("changes, words", [
    ({"local.lr": 0}, ["local.lr = 0", "above 0", "at most 100", "0.1"]),
    ({"local.lr": "fast"}, ["local.lr = 'fast'", "a number"]),
    ({"local.lr": math.nan}, ["local.lr = nan"]),
    ({"local.lr": math.inf}, ["local.lr = inf"]),
    ({"rounds": 100_001}, ["rounds = 100001", "100,000", "30"]),
    ({"rounds": 0}, ["rounds = 0", "at least 1"]),
    ({"rounds": 2.5}, ["rounds = 2.5", "whole number"]),
    ({"rounds": None}, ["rounds = None"]),
    ({"seed": -1}, ["seed = -1"]),
    ({"precision": "half"}, ["precision = 'half'", "float32, float64"]),
    ({"name": "a/b"}, ["name = 'a/b'", "folder"]),
    ({"name": "dot."}, ["name = 'dot.'"]),
    ({"name": ""}, ["name = ''"]),
    ({"local.learning_rate": 1}, ["local.learning_rate = 1", "lr"]),
    ({"lcal.lr": 1}, ["lcal", "local"]),
    ({"local.correct": (fl.Proximal(), "proximel")}, ["local.correct.1", "'proximal'"]),
    ({"local.lr": 0, "rounds": 0}, ["local.lr = 0", "rounds = 0"]),
    ({"local.lr.x": 1}, ["local.lr.x", "0.1", "no fields"]),
    ({"attack.scale": 2}, ["attack.scale", "None", "attack=NAME"]),
    ({"aggregate": fl.SGD()}, ["aggregate", "mean", "median"]),
    ({"attack": "sign_flip", "attack.liars": 1.5}, ["attack.liars = 1.5"]),
    ({"attack": "sign_flip", "attack.liars": (-1,)}, ["attack.liars", "-1"]),
    ({"schedule.sampler": {"part": "fixed", "m": 0}}, ["schedule.sampler.m = 0"]),
    ({"net.hidden": (64, 0)}, ["net.hidden", "0", "8,192"]),
    ({"net.hidden": ()}, ["net.hidden"]),
    ({"evaluate.every": 0}, ["evaluate.every = 0"]),
    ({"evaluate.readings": ("acuracy",)}, ["evaluate.readings.0", "'accuracy'"]),
    ({"privatise": "gaussian"}, ["privatise", "aggregate.weights", "aggregate.denominator", "expected"]),
    ({"local": 5}, ["local = 5", "sgd"]),
    ({"": 5}, []), ({".": 5}, []), ({"local.": 5}, []), ({".lr": 5}, []),
], ids=str)
def test_changes_that_are_refused(refused, changes, words):
    refused(lambda: fl.Experiment().changed(**changes), *words)


@pytest.mark.parametrize("make, words", [
    (lambda: fl.SGD(lr=-1), ["lr = -1", "above 0"]), (lambda: fl.Poisson(q=0), ["q = 0"]),
    (lambda: fl.TopK(fraction=0), ["fraction = 0"]), (lambda: fl.Gaussian(delta=1), ["delta = 1"]),
    (lambda: fl.Adult(sensitive="shoe"), ["sensitive = 'shoe'", "sex, race"]), (lambda: fl.CNN(depth=3), ["depth"]),
    (lambda: fl.Experiment(rounds=0), ["rounds = 0"]), (lambda: fl.Experiment(lr=0), ["lr"]),
])
def test_parts_are_refused_on_their_own_too(refused, make, words):
    refused(make, *words)


@pytest.mark.parametrize("rounds", [1, 100_000, "12", 7.0])
def test_rounds_that_are_allowed(rounds):
    assert fl.Experiment().changed(rounds=rounds).rounds == int(rounds)


def test_values_are_frozen_and_equal_by_content():
    e = fl.Experiment()
    with pytest.raises(Exception, match="frozen"):
        e.rounds = 3
    assert e == fl.Experiment() and len({e, fl.Experiment(), e.changed(rounds=3)}) == 2


@pytest.mark.parametrize("path, most, too_much", [     # by hand: generated values only know the ranges they are given
    ("schedule.dropout", 0.99, 1), ("local.momentum", 0.99, 1), ("local.lr", 100, 101), ("local.lr_end", 1, 1.1),
    ("local.weight_decay", 10, 11), ("local.epochs", 1000, 1001), ("local.steps", 100_000, 100_001),
    ("partition.skew", 1, 1.1), ("partition.clients", 1_000_000, 1_000_001), ("server.lr", 100, 101),
    ("rounds", 100_000, 100_001), ("seed", 2**53 - 1, 2**53), ("net.hidden.0", 8192, 8193),
])
def test_ranges_by_hand(refused, path, most, too_much):
    fl.Experiment().changed(**{path: most})
    refused(lambda: fl.Experiment().changed(**{path: too_much}), path.removesuffix(".0"))
