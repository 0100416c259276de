"""Who takes part: cohorts, rates and what a drop-out costs."""

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets import seeds
from fedlab_widgets.engine import advance
from fedlab_widgets.executors import Stacked
from fedlab_widgets.plan import begin
from fedlab_widgets.privatise.accountant import Everyone, FixedSampling, PoissonSampling
from fedlab_widgets.types import never

TEN = tuple((1.0, i % 3, i) for i in range(10))   # ten clients with one row each


def cohort(plan, round=1):
    state = begin(plan)
    for _ in range(round - 1):
        state, _ = advance(plan, state, Stacked(10), never)
    return plan.experiment.schedule.next(plan.world, state)[0]


def test_everybody_in_step(line):
    found = cohort(line(), round=3)
    assert found.ids.tolist() == [0, 1] and found.sizes.tolist() == [2, 1] and found.weights.tolist() == [1, 1]
    assert (found.round, found.versions.tolist(), found.invited, found.time) == (3, [2, 2], 2, 3.0)


def test_eligible_clients_only(line):
    schedule = fl.Lockstep(clients=(7, 2, 7))
    assert schedule.clients == (2, 7)
    assert cohort(line(TEN, schedule=schedule)).ids.tolist() == [2, 7]
    assert schedule.asked(10) == 2 and list(schedule.eligible(10)) == [2, 7]
    with pytest.raises(fl.BadInput, match="schedule.clients = 10 is no client"):
        line(TEN, schedule=fl.Lockstep(clients=(1, 10)))


def test_positions_among_the_eligible_become_ids(line):
    drawn = {i for seed in range(40) for i in cohort(line(TEN, seed=seed, schedule=fl.Lockstep(
        sampler=fl.Fixed(m=1), clients=(3, 8)))).ids.tolist()}
    assert drawn == {3, 8}


def test_rates_multiply():
    # Poisson with q = 0.4, of whom a quarter never reports: 0.4 * 0.75 = 0.3; 0.4 * 5 = 2 download.
    schedule = fl.Lockstep(sampler=fl.Poisson(q=0.4), dropout=0.25, clients=(0, 1, 2, 3, 4))
    assert schedule.rate(9) == pytest.approx(0.3) and schedule.asked(9) == pytest.approx(2.0)
    assert not schedule.certain and not fl.Lockstep(dropout=0.1).certain
    assert fl.Lockstep().certain and fl.Lockstep(sampler=fl.Fixed(m=2)).certain


def test_those_who_drop_out_have_downloaded_the_model(line):
    # Ten clients, one weight of 8 bytes: 80 bytes down whoever reports, 8 bytes up for each who does.
    plan = line(TEN, schedule=fl.Lockstep(dropout=0.5), rounds=40)
    state, came = begin(plan), []
    for _ in range(40):
        state, events = advance(plan, state, Stacked(10), never)
        came.append(len(events[-1].cohort))
        assert (events[-1].bytes_down, events[-1].bytes_up) == (80, 8 * came[-1])
    assert state.trips == sum(came)
    assert abs(sum(came) - 200) <= 5 * 10   # 400 trials of 1/2: deviation 10
    assert len(set(came)) > 3


def test_fixed_asks_everyone_equally_often():
    sampler, hits = fl.Fixed(m=3), torch.zeros(10)
    for i in range(500):
        hits[sampler.draw(10, 1, seeds.keys(i, "sampling", 1, 0))] += 1
    # Each with chance 0.3: deviation sqrt(500 * 0.3 * 0.7) = 10.3 around 150.
    assert int(hits.sum()) == 1500 and float((hits - 150).abs().max()) < 5 * 10.3
    assert fl.Fixed(m=3).rate(10) == 0.3 and fl.Fixed(m=30).rate(10) == 1
    assert fl.Fixed(m=3).sampling(10) == FixedSampling(3, 10) and fl.Fixed(m=10).sampling(10) == Everyone()
    assert fl.Fixed(m=30).draw(10, 1, seeds.keys(0, "sampling", 1, 0)).tolist() == list(range(10))


def test_poisson_cohorts_are_binomial():
    sizes = [len(fl.Poisson(q=0.2).draw(50, 1, seeds.keys(i, "sampling", 1, 0))) for i in range(800)]
    mean = sum(sizes) / 800
    variance = sum((s - mean) ** 2 for s in sizes) / 799
    # Binomial(50, 0.2): mean 10, variance 8; the mean of 800 deviates by 0.1, the variance by 8 sqrt(2/800) = 0.4.
    assert abs(mean - 10) < 5 * 0.1 and abs(variance - 8) < 5 * 0.4
    assert fl.Poisson(q=1).draw(4, 1, seeds.keys(0, "sampling", 1, 0)).tolist() == [0, 1, 2, 3]
    assert fl.Poisson(q=1).sampling(4) == Everyone()


def test_a_capped_poisson_cohort():
    """Three clients at 1/2, two at most: 0, 1, 2, 3 would come with chances 1, 3, 3, 1 in 8: (3 + 6 + 2)/8 = 11/8."""
    sampler = fl.Poisson(q=0.5, cap=2)
    assert sampler.rate(3) == pytest.approx(11 / 24) and sampler.rate(2) == 0.5
    assert fl.Poisson(q=1, cap=2).rate(8) == pytest.approx(0.25)
    drawn = [sampler.draw(3, 1, seeds.keys(i, "sampling", 1, 0)).tolist() for i in range(400)]
    assert max(map(len, drawn)) == 2
    # Sizes lie in 0 .. 2, so their deviation is at most 1, and that of the mean of 400 at most 0.05.
    assert abs(sum(map(len, drawn)) / 400 - 11 / 8) < 5 * 0.05
    counts = [sum(i in d for d in drawn) for i in range(3)]
    assert max(counts) - min(counts) < 5 * 15
    assert sampler.sampling(3) == PoissonSampling(0.5, 2, 3) and sampler.sampling(2) == PoissonSampling(0.5)
