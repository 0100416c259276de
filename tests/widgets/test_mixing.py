"""Dealing the same people anew: what stands still to the last bit, what moves, and how fast."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedlab_widgets import IID, BadInput, ByGroup, Dirichlet, Masked, Natural, decompose
from fedlab_widgets.widgets.mixing import Frozen, standing

RNG = np.random.default_rng(3)


def census(n=6500, clients=10):
    """A table like the census data's: [client, group, label, prediction]."""
    group = (RNG.random(n) < 0.67).astype(int)
    label = (RNG.random(n) < np.where(group, 0.31, 0.11)).astype(int)
    guess = np.where(RNG.random(n) < 0.85, label, RNG.random(n) < 0.2 * group + 0.05).astype(int)
    counts = np.zeros((clients, 2, 2, 2), np.int64)
    np.add.at(counts, (RNG.integers(0, clients, n), group, label, guess), 1)
    return counts


FROZEN = Frozen(census(), ("Female", "Male"), ("<=50K", ">50K"), 1)
PARTS = st.one_of(st.floats(0, 1).map(lambda s: ByGroup(skew=s)), st.floats(0, 1).map(lambda s: Masked(lam=s)),
                  st.floats(0.01, 100).map(lambda a: Dirichlet(alpha=a)),
                  st.integers(1, 40).map(lambda n: IID(clients=n)))


def parts(counts):
    return decompose(counts.sum(2).transpose(1, 2, 0))


@settings(deadline=None, max_examples=40, derandomize=True)
@given(PARTS, st.integers(0, 5))
def test_what_stands_still_does_so_to_the_last_bit(partition, seed):
    counts = FROZEN.split(partition, seed)
    assert (counts.sum(0) == FROZEN.counts.sum(0)).all() and len(counts) == partition.clients
    assert standing(counts, 1) == FROZEN.standing
    d = parts(counts)
    assert d.unique + d.redundant == pytest.approx(FROZEN.standing.global_disparity, abs=1e-12)
    assert d.unique + d.masked == pytest.approx(d.local_disparity, abs=1e-12)
    assert min(d.unique, d.redundant, d.masked) >= 0


def test_standing_by_hand():
    still = standing(np.array([[[[40, 10], [10, 40]], [[50, 0], [40, 10]]]]), 1)
    assert still.accuracy == 140 / 200 and still.rates == (0.5, 0.1) and still.rate_gap == 0.4
    assert still.global_disparity == decompose([[[50], [50]], [[90], [10]]]).global_disparity


def test_the_parts_move():
    alike, apart, against = (parts(FROZEN.split(p)) for p in (IID(), ByGroup(skew=0.95), Masked(lam=0.95)))
    g = FROZEN.standing.global_disparity
    assert alike.unique > 0.9 * g and apart.redundant > 0.9 * g and against.masked > 3 * g
    gaps = FROZEN.split(Masked(lam=1.0)).sum(2)
    rates = gaps[:, :, 1] / gaps.sum(2)
    assert len({*np.sign(rates[:, 1] - rates[:, 0])}) == 2      # both signs among the clients


def test_natural_deals_everybody_back():
    assert (FROZEN.split(Natural()) == FROZEN.counts).all()


def test_a_split_follows_its_seed_and_is_the_callers_own():
    one = FROZEN.split(IID(), 1)
    assert (one == FROZEN.split(IID(), 1)).all() and (one != FROZEN.split(IID(), 2)).any()
    one[:] = 0
    assert FROZEN.split(IID(), 1).sum() == 6500


def test_what_cannot_be_dealt_is_refused_in_words():
    three = Frozen(np.ones((2, 3, 2, 2), int), "abc", ("no", "yes"), 1)
    with pytest.raises(BadInput, match="two groups"):
        three.split(Masked())
    with pytest.raises(BadInput, match="cannot share"):
        three.split(IID(clients=1000))


@pytest.mark.parametrize("make", [lambda i: ByGroup(skew=0.5 + i / 100), lambda i: Masked(lam=0.5 + i / 100),
                                  lambda i: Dirichlet(alpha=0.1 + i)], ids=["by group", "masked", "dirichlet"])
def test_a_drag_takes_below_50_ms(make):
    parts(FROZEN.split(make(0)))     # the first Dirichlet split imports scipy.stats
    seconds = []
    for i in range(1, 12):
        start = time.thread_time()   # of this thread alone: other tests run beside it
        parts(FROZEN.split(make(i)))
        seconds.append(time.thread_time() - start)
    assert np.median(seconds) < 0.05
