"""Every recipe of the book trains, in seconds, and says what it did."""

import math
import warnings

import pytest

import fedlab_widgets as fl
from fedlab_widgets import phrases
from fedlab_widgets.part import Part
from fedlab_widgets.recipes import BOOK

FEW = {"dp-fedavg": {"partition.clients": 200}, "fedpem": {"local.step": 8},   # else nothing is sent in two rounds
       "fedkseed-austen": {"local.steps": 20}}


@pytest.mark.parametrize("name", BOOK)
def test_two_rounds_of_it(name, tmp_path):
    e = fl.recipe(name).changed(rounds=2, **FEW.get(name, {}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")   # of privacy noise that is reproducible
        run = fl.run(e, out=tmp_path / "run", progress=False)
    assert run.status == "finished" and len(run.history) == 2
    assert all(0 < a <= 1 for a in run.history.accuracy.dropna()) and all(map(math.isfinite, run.history.train_loss))
    text = run.methods_text()
    for part in _unusual(e):
        said = phrases.said(part)
        assert said in text or said.capitalize()[:20] in text or said[1:] in text, (part, said)


def _unusual(e):
    """The parts that the default experiment has not."""
    usual = fl.Experiment()
    for slot in ("net", "fairness", "local", "encode", "attack", "privatise", "aggregate"):
        mine = getattr(e, slot)
        if mine != getattr(usual, slot):
            yield from (p for p in (mine if isinstance(mine, tuple) else (mine,)) if isinstance(p, Part))
