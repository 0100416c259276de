"""The parts of an experiment: neighbours that do not fit, parts that do not fit the data, and parts from a cell."""

import json

import numpy as np
import pytest

import fedlab_widgets as fl
from fedlab_widgets.events import Stopped

pytestmark = pytest.mark.usefixtures("own_catalogue")
UNIFORM = fl.Mean(weights="uniform")
PRIVATE = fl.Mean(weights="uniform", denominator="expected")
GROUPS = fl.from_arrays(np.random.default_rng(5).normal(size=(60, 5)), np.arange(60) % 2,
                        group=np.arange(60) // 2 % 2, client=np.arange(60) % 7, name="groups")


# Neighbours that do not fit.

def private(**fields):
    return lambda: fl.Experiment(privatise=fl.Gaussian(), **fields)


@pytest.mark.parametrize("make, words", [
    (lambda: fl.Experiment(local=fl.SGD(correct=(fl.ControlVariate(),))),
     ["local.correct = ControlVariate", "'samples'", "aggregate.weights to 'uniform'"]),
    (lambda: fl.Experiment(local=fl.SGD(correct=(fl.ControlVariate(),)), aggregate=fl.Mean(weights="capped")),
     ["local.correct = ControlVariate", "'capped'", "aggregate.weights to 'uniform'"]),
    (lambda: fl.Experiment(local=fl.SGD(correct=(fl.ControlVariate(),), momentum=0.5), aggregate=UNIFORM),
     ["local.momentum = 0.5", "ControlVariate", "to 0"]),
    (lambda: fl.Experiment(local=fl.SGD(correct=(fl.Proximal(), fl.Proximal(mu=1)))), ["local.correct", "twice"]),
    (private(), ["privatise = gaussian", "aggregate = mean", "aggregate.weights", "aggregate.denominator"]),
    (private(aggregate=UNIFORM), ["privatise = gaussian", "aggregate.denominator"]),
    (private(aggregate=fl.Mean(denominator="expected")), ["privatise = gaussian", "aggregate.weights"]),
    (private(aggregate=fl.Median()), ["privatise = gaussian", "aggregate = median", '"denominator":"expected"']),
])
def test_misfits_are_named_with_the_way_out(refused, make, words):
    refused(make, *words)


def test_the_ways_out_lead_out():
    fl.Experiment(local=fl.SGD(correct=(fl.ControlVariate(),)), aggregate=UNIFORM)
    fl.Experiment(privatise=fl.Gaussian(), aggregate=PRIVATE)
    fl.Experiment(privatise=fl.Gaussian(), aggregate=fl.Mean(weights="capped", denominator="expected"))
    fl.Experiment(local=fl.SGD(correct=(fl.Proximal(), fl.ControlVariate())), aggregate=UNIFORM)
    fl.Experiment(local=fl.SGD(correct=(fl.Proximal(),), momentum=0.9))


def quick(**fields):
    return fl.Experiment(**{"task": GROUPS, "partition": fl.IID(clients=4), "rounds": 1} | fields)


@pytest.mark.parametrize("fields, words", [
    ({"schedule": fl.Lockstep(clients=(0, 4))}, ["schedule.clients", "4", "0 to 3"]),
    ({"attack": fl.SignFlip(liars=(4,))}, ["attack.liars", "4", "0 to 3"]),
    ({"distribute": fl.KeepLayers(layers=("9.*",))}, ["distribute.layers", "9.*", "1.weight"]),
    ({"partition": fl.IID(clients=10_000)}, ["partition.clients = 10000", "48"]),
    ({"task": "arrays"}, ["task", "from_arrays"]),
    ({"net": fl.CNN()}, ["net = cnn", "mlp"]),
    ({"partition": fl.Masked(), "task": "digits"}, ["partition = masked", "dirichlet"]),
    ({"partition": fl.Natural(), "task": "digits"}, ["partition = natural", "client="]),
])
def test_what_only_the_data_can_tell_is_refused_before_the_first_event(refused, fields, words):
    e = quick(**fields)
    refused(lambda: fl.stream(e), *words)
    refused(lambda: e.forecast(), *words)


# Parts from a cell.

CELL = '''
@fl.part
class Trimmed(fl.Aggregate):
    """Mean of the middle rows."""
    cut: int = {default}
    def finish(self, total, weights, expected):
        rows = torch.cat(total).sort(dim=0).values
        return rows[self.cut:len(rows) - self.cut].mean(0)
'''


def cell(source, module="__main__"):
    import torch

    space = {"__name__": module, "fl": fl, "torch": torch}
    exec(source, space)
    return space


def test_a_part_from_a_cell_is_used_by_name(refused):
    Trimmed = cell(CELL.format(default=1))["Trimmed"]
    e = quick().changed(**{"aggregate": "trimmed", "aggregate.cut": 1})
    assert type(e.aggregate) is Trimmed and fl.catalogue("aggregate")["trimmed"] is Trimmed
    assert fl.Experiment.from_json(e.to_json()) == e and json.loads(e.to_json())["aggregate"]["part"] == "trimmed"
    assert list(fl.stream(e))[-1] == Stopped(1, "finished")
    assert "aggregate=Trimmed()" in e.to_python() and "fl.Trimmed" not in e.to_python()
    refused(lambda: e.changed(**{"aggregate.cut": "x"}), "aggregate.cut = 'x'")


def test_running_the_cell_again_replaces_the_part():
    old = cell(CELL.format(default=1))["Trimmed"]
    new = cell(CELL.format(default=2))["Trimmed"]
    assert old is not new and quick(aggregate="trimmed").aggregate == new(cut=2)
    assert type(quick(aggregate="trimmed").aggregate) is new


def test_another_module_may_not_take_a_taken_name(refused):
    cell(CELL.format(default=1))
    refused(lambda: cell(CELL.format(default=1), "elsewhere"), "aggregate", "'trimmed'", "__main__", "another name")
    taken = CELL.format(default=1).replace("Trimmed", "Median")
    refused(lambda: cell(taken), "aggregate", "'median'", "fedlab_widgets")
    assert fl.catalogue("aggregate")["median"] is fl.Median


def test_a_part_that_was_never_defined_is_refused(refused):
    refused(lambda: quick(aggregate="trimmed"), "aggregate", "mean, median")
    text = fl.Experiment(aggregate=UNIFORM).to_json().replace('"mean"', '"trimmed"')
    refused(lambda: fl.Experiment.from_json(text), "aggregate")


def test_the_catalogue(refused):
    slots = {"aggregate", "attack", "correct", "distribute", "encode", "evaluate", "local", "net", "partition",
             "privatise", "sampler", "schedule", "server", "task", "topology"}
    assert slots <= set(fl.catalogue())
    refused(lambda: fl.catalogue("agregate"), "agregate")
    refused(lambda: fl.recipe("fedavgg"), "fedavgg", "fedavg")
