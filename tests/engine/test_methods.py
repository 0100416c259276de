"""The methods text: every number in it is the record's, what was not computed is not mentioned, caveats are there."""

import math
import re

import numpy as np
import pytest

import fedlab_widgets as fl
from fedlab_widgets import phrases

FEW = {"dp-fedavg": {"partition.clients": 200}}
ADDS = {"pid-iid": "evenly and at random", "pid-sex-skew": "a share of 0.92 of each group",
        "pid-masked": "whose label and group agree", "fedavg": "weighted by training rows",
        "fedprox": "proximal term, mu = 0.01", "scaffold": "control variates",
        "fedadam": "FedAdam", "dp-fedavg": "Poisson sampling, q = 0.1", "local-only": "clients’ own models",
        "centralised": "One client held all other rows"}


@pytest.fixture(scope="module", params=ADDS)
def run(request, tmp_path_factory):
    """Recipes of every kind for two rounds; tests/recipes holds every recipe to the words of its parts."""
    e = fl.recipe(request.param).changed(rounds=2, **FEW.get(request.param, {}))
    with pytest.warns(UserWarning) if request.param == "dp-fedavg" else _quiet():
        return fl.run(e, out=tmp_path_factory.mktemp(request.param) / "run", progress=False)


def _quiet():
    from contextlib import nullcontext

    return nullcontext()


def test_every_recipe_is_told(run):
    text, e, last = run.methods_text(), run.experiment, run.history.iloc[-1]
    assert "nan" not in text.lower() and "None" not in text and "  " not in text and ".." not in text
    assert 3 <= len(text.split("\n\n")) <= 4
    assert "doi 10.24432/C5XW20" in text and "16,281 rows are the test set" in text
    assert "5,890 weights" in text       # by hand: 90 columns, 64 units: 90 · 64 + 64 + 64 · 2 + 2
    assert f"accuracy is {100 * last.accuracy:.1f} %" in text and "guessing the commonest label gives 76.4 %" in text
    assert f"{last.global_disparity:.4f} bits globally" in text and "plug-in estimates" in text
    assert "There were 2 rounds, in float32, with seed 0." in text
    sent = run.history.bytes_up.sum() > 0
    assert ("Nothing was sent" in text) != sent and ("averaged" in text) == sent
    assert ("protects nobody" in text) == (e.privatise is not None)


def test_what_a_recipe_adds_is_in_the_words(run):
    text = run.methods_text()
    found = {name for name, words in ADDS.items() if words in text}
    assert run.experiment.name in found
    assert found - {"fedavg"} <= {run.experiment.name}


def test_the_interval_of_the_accuracy_by_hand(run):
    """Wilson: (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n); of many models' mean there is none."""
    text = run.methods_text()
    p, n, z = run.history.accuracy.iloc[-1], 16_281, 1.96
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = ((middle + side * half) / (1 + z * z / n) for side in (-1, 1))
    words = f"95 % interval {100 * low:.1f} to {100 * high:.1f} %"
    assert (words in text) == (run.experiment.name != "local-only")


def test_the_gap_is_of_the_counts(run):
    counts = run.counts().sum(0)
    rate = counts[:, :, 1].sum(1) / counts.sum((1, 2))
    text = run.methods_text()
    assert f"a gap of {100 * abs(rate[0] - rate[1]):.1f} percentage points" in text
    assert f"(n = {counts[0].sum():,})" in text and f"(n = {counts[1].sum():,})" in text


def test_privacy_is_told_with_its_assumptions(tmp_path):
    e = fl.recipe("dp-fedavg").changed(rounds=3)
    run = fl.run(e, out=tmp_path / "run", progress=False)
    text = run.methods_text()
    assert f"epsilon is {run.history.epsilon.iloc[-1]:.3g} at delta = {1000**-1.1:.2g}" in text
    assert "differ by one client" in text and "trusted server" in text and "noise multiplier of 1" in text
    assert "1,000 clients" in text and "fixed panel of 100" in text and "clipped to length 0.5" in text


def test_seeds_are_a_mean_and_a_deviation(tmp_path):
    e = fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=2), net=fl.Logistic(), rounds=2, seed=4)
    run = fl.run(e, out=tmp_path / "runs", seeds=3, progress=False)
    values = [100 * r.history.accuracy.iloc[-1] for r in (run, *run.replicates)]
    text = run.methods_text()
    assert f"accuracy is {np.mean(values):.1f} ± {np.std(values, ddof=1):.1f} %" in text
    assert "seeds 4, 5 and 6" in text and "over 3 seeds" in text and "Wilson" not in text
    assert "bits" not in text and "percentage points" not in text, "no groups, no gap"


def test_a_lie_and_a_stop_are_told(tmp_path, stopped):
    e = fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=10), net=fl.Logistic(), rounds=6,
                      attack=fl.SignFlip(liars=(1, 4, 7), scale=2))
    text = fl.open_run(stopped(e, tmp_path / "half", 3)).methods_text()
    assert "Of the 10 clients, 3 lied: they sent the opposite of the trained update, 2 times as long." in text
    assert "3 rounds of the 6 that were planned (the run was stopped)" in text


def test_who_is_left_out_and_a_single_liar_are_told(tmp_path):
    e = fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=10), net=fl.Logistic(), rounds=1,
                      attack=fl.SignFlip(liars=(4,))).changed(**{"schedule.clients": tuple(range(9))})
    text = fl.run(e, out=tmp_path / "all", progress=False).methods_text()
    assert "Of the 10 clients 9 took part, all of them in every round. Clients started from" in text
    assert "Of the 10 clients, 1 lied: it sent the opposite of the trained update." in text
    e = e.changed(attack=None, **{"schedule.sampler": fl.Fixed(m=3)})
    text = fl.run(e, out=tmp_path / "some", progress=False).methods_text()
    assert ("Of the 10 clients 9 were eligible, and of these in each round 3 clients, drawn without replacement, took "
            "part. Clients started from") in text


def test_what_was_not_computed_is_not_mentioned(tmp_path):
    """Two rounds of ten have no bands yet once the run is cut short; here no decomposition is read at all."""
    e = fl.Experiment(rounds=1, evaluate=fl.Evaluation(readings=(fl.Accuracy(),)))
    text = fl.run(e, out=tmp_path / "run", progress=False).methods_text()
    assert "bits" not in text and "chance alone" not in text and "percentage points" not in text
    assert "accuracy is" in text and "worst client" in text


def test_a_run_that_has_not_begun(tmp_path, six_rounds):
    from fedlab_widgets.store import RunFolder

    RunFolder.create(tmp_path / "new", six_rounds)
    assert "has not begun" in fl.open_run(tmp_path / "new").methods_text()


def test_every_part_of_the_house_has_words():
    for slot, shelf in fl.catalogue().items():
        for cls in shelf.values():
            if slot != "evaluate" and cls.__module__.startswith("fedlab_widgets."):
                assert cls in phrases.PHRASES, cls
                assert len(phrases.said(cls())) > 8 and not re.search(r"None|\{|\(\)", phrases.said(cls()))


def test_a_part_of_ones_own_is_named_with_its_fields(own_catalogue):
    @fl.part
    class Narrow(fl.Net):
        """One narrow layer."""

        width: int = 3

        def build(self, inputs, outputs):
            raise NotImplementedError

    assert phrases.said(Narrow(width=5)) == "our own net Narrow (width = 5)"
