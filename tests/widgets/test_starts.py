"""Each one-click start makes its point, over three seeds."""

import numpy as np
import pytest

import fedlab_widgets as fl
from fedlab_widgets.events import Evaluated, RoundEnded
from fedlab_widgets.plan import liars
from fedlab_widgets.widgets.starts import STARTS

BY = {quick.experiment.name: quick.experiment for quick in STARTS}
SEEDS = (0, 1, 2)


def last(experiment):
    """The last quick readings of a run, and its seconds of training."""
    found, seconds = {}, 0.0
    for event in fl.stream(experiment):
        if isinstance(event, Evaluated) and "accuracy" in event.metrics:
            found = event.metrics
        seconds += event.seconds if isinstance(event, RoundEnded) else 0.0
    return found | {"training": seconds}


@pytest.mark.parametrize("seed", SEEDS)
def test_who_is_treated_differently(seed):
    figures = last(BY["who-is-treated-differently"].changed(seed=seed))
    assert figures["parity_gap"] > 0.10 and figures["redundant"] > 10 * figures["unique"]


@pytest.mark.parametrize("seed", SEEDS)
def test_clients_that_disagree(seed):
    figures = last(BY["clients-that-disagree"].changed(seed=seed))
    assert figures["mean_client"] - figures["worst_client"] > 0.08


@pytest.mark.parametrize("seed", SEEDS)
def test_a_liar_among_us(seed):
    liar = BY["a-liar-among-us"].changed(seed=seed)
    mean, median = (last(liar.changed(aggregate=a))["accuracy"] for a in (fl.Mean(), fl.Median()))
    assert len(liars(liar.attack, 10, seed)) == 1 and median - mean > 0.30, f"mean {mean:.3f}, median {median:.3f}"


def test_privacy_costs():
    private = BY["privacy-costs"]
    spent = [last(private.changed(seed=s))["accuracy"] for s in SEEDS]
    free = [last(private.changed(seed=s, privatise=None))["accuracy"] for s in SEEDS]
    assert np.mean(free) - np.mean(spent) > 0.05, f"private {spent}, free {free}"
