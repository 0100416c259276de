"""An experiment as Python: what it says, that it is short, and that it makes the same experiment again."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

import fedlab_widgets as fl
from fedlab_widgets.code import as_python, expression
from fedlab_widgets.recipes import BOOK

_spec = importlib.util.spec_from_file_location("spec_generator", Path(__file__).parent / "test_generated_specs.py")
generator = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(generator)


def made(e, **names):
    return eval(expression(e), {"fl": fl, "task": e.task, **names})


def test_a_recipe_is_its_name():
    for name, entry in BOOK.items():
        short = "fl.Experiment()" if name == "fedavg" else f'fl.recipe("{name}")'
        assert expression(entry.experiment) == short


@pytest.mark.parametrize("e, source", [
    (fl.Experiment(rounds=3), "fl.Experiment(rounds=3)"),
    (fl.Experiment(local=fl.SGD(steps=5)), "fl.Experiment(local=fl.SGD(steps=5))"),
    (fl.recipe("fedadam").changed(rounds=3), 'fl.recipe("fedadam").changed(rounds=3)'),
    (fl.recipe("dp-fedavg").changed(**{"privatise.epsilon": 3}),
     'fl.recipe("dp-fedavg").changed(**{"privatise.epsilon": 3.0})'),
    (fl.recipe("dp-fedavg").changed(**{"partition.clients": 500, "seed": 1}),
     'fl.recipe("dp-fedavg").changed(**{"partition.clients": 500, "seed": 1})'),
    (fl.Experiment(name="mine", distribute=fl.KeepLayers(layers=("1.*",))),
     'fl.Experiment(name="mine", distribute=fl.KeepLayers(layers=("1.*",)))'),
])
def test_only_what_differs_is_said(e, source):
    assert expression(e) == source and made(e) == e


def test_a_cell_can_be_run(tmp_path, monkeypatch):
    e = fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=2), net=fl.Logistic(), rounds=1)
    monkeypatch.chdir(tmp_path)
    space = {}
    exec(as_python(e), space)
    assert space["experiment"] == e and space["run"].status == "finished" and space["run"].code() == as_python(e)


@settings(generator.GENERATED, max_examples=150)
@given(generator.experiments())
def test_generated_experiments_come_back(fields):
    try:
        e = fl.Experiment.from_json(json.dumps(fields))
    except fl.BadInput:
        return
    assert made(e) == e
    space = {}
    exec(e.to_python(), space)
    assert space["experiment"] == e


def test_own_rows_are_a_fingerprint_that_says_so():
    task = fl.from_arrays(np.eye(20), np.arange(20) % 2, group=np.arange(20) % 3, name="it's mine")
    e = fl.Experiment(task=task, partition=fl.IID(clients=2))
    source = as_python(e)
    assert "cannot be written as code" in source and 'fl.from_arrays(X, y, group=…, name="it\'s mine")' in source
    assert task.sha256 in source and "task=task" in source
    space = {}
    exec(e.to_python(), space)
    assert space["experiment"] == e


def test_own_parts_are_named_before_they_are_used(own_catalogue):
    @fl.part
    class Halves(fl.Aggregate):
        """Half of the mean."""

        share: float = 0.5

        def finish(self, total, weights, expected):
            return total[0].mean(0) * self.share

    e = fl.Experiment(aggregate=Halves(share=0.25))
    assert "# Halves is a part of your own: run the cell that defines it first." in as_python(e).splitlines()
    assert "aggregate=Halves(share=0.25)" in expression(e) and made(e, Halves=Halves) == e
