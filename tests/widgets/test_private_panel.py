"""Noisy tables in the lab: epsilon is a field of the form, and the panel says what was spent beside the parts."""

import asyncio

import pytest

import fedlab_widgets as fl
from fedlab_widgets.widgets.lab import Lab
from fedlab_widgets.widgets.panel import reading

QUICK = fl.Experiment(name="noisy", task=fl.TwoGaussians(rows=600), net=fl.Logistic(), partition=fl.IID(clients=3),
                      rounds=4, evaluate=fl.Evaluation(every=3, readings=(fl.Accuracy(), fl.Decomposition())))


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    made = Lab(QUICK, out=tmp_path_factory.mktemp("runs"), name="noisy")
    made.form.field("evaluate.readings.1.epsilon").control.value = "0.5"
    made.start()
    asyncio.run(made.wait(120))
    return made


def words(widget):
    return " ".join([str(getattr(widget, "value", "")), *map(words, getattr(widget, "children", ()))])


def test_epsilon_is_set_in_the_form(lab):
    assert lab.form.problem == "" and lab.form.experiment.evaluate.readings[1] == fl.Decomposition(epsilon=0.5)


def test_the_panel_shows_what_the_record_holds(lab):
    run, told = lab.run, reading(lab.run)
    last = run.history.iloc[-1]
    for atom in told.atoms:
        assert atom.bits == pytest.approx(last[atom.name], abs=1e-12)
        assert (atom.low, atom.high) == (last[f"{atom.name}_lo"], last[f"{atom.name}_hi"])
    page = words(lab._fairness)
    assert last.tables_epsilon == 1.0 and "epsilon spent on tables <b>1</b>" in page   # read after 3 and 4
    assert told.private.statement in page and "True counts, not protected." in page
    assert told.private.statement in run.methods_text() and "Chance and noise reach" in run.methods_text()


def test_another_split_is_released_with_the_same_noise_and_moves_no_rate(lab):
    what_if = lab._fairness.children[1]
    before = what_if.reading
    what_if.choice.value = "by group"
    assert what_if.reading.private == before.private and what_if.reading.gap == before.gap
    moved = what_if.frozen.split(what_if.partition, what_if.seed).sum(2).transpose(1, 2, 0)
    assert what_if.reading.atoms[2].bits == pytest.approx(before.private.release(moved).parts["masked"], abs=1e-12)
    what_if.choice.value = "as it was"
    assert what_if.reading.atoms == before.atoms
    assert "global disparity <b>" not in what_if.standing.value           # other tables, other noise
