"""Steps of local training, worked out by hand on a model of one weight."""

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets.types import Cohort, Interrupted, never


def train(plan, start=0.0, ids=(0,), round=1, tamper=None, stop=never):
    """What clients end at, from the weight `start`."""
    world, ids = plan.world, torch.tensor(ids)
    rows = torch.full((len(ids), world.layout.total), 0.0, dtype=torch.float64)
    rows[:, 0] = start
    ones = torch.ones(len(ids), dtype=torch.float64)
    cohort = Cohort(round, ids, world.shards.train[ids], ones, ids * 0, len(ids), 1.0)
    part = plan.experiment.local
    mine = part.init(world).of(ids)
    return part.train(world, rows, cohort, mine, world.keys("training", round, ids), tamper, stop)


def ends(plan, **how):
    return train(plan, **how).end[:, 0].tolist()


def test_two_full_steps(line):
    # w0 = 0: g = (0 - 1)/2 = -0.5, w1 = 0.05. Then g = (0.25 - 1)/2 = -0.375, w2 = 0.05 + 0.0375 = 0.0875.
    assert ends(line()) == pytest.approx([0.05], abs=1e-15)
    assert ends(line(local=fl.SGD(lr=0.1, steps=2, batch=None))) == pytest.approx([0.0875], abs=1e-15)
    assert ends(line(local=fl.SGD(lr=0.1, epochs=2, batch=None))) == pytest.approx([0.0875], abs=1e-15)


def test_the_loss_is_the_mean_over_the_steps(line):
    # At w = 0: ((0 - 1)^2/2 + 0)/2 = 0.25. At w = 0.05: (0.95^2/2 + 0.1^2/2)/2 = (0.45125 + 0.005)/2 = 0.228125.
    assert train(line()).loss.tolist() == pytest.approx([0.25])
    assert train(line(local=fl.SGD(lr=0.1, steps=2, batch=None))).loss.tolist() == pytest.approx([0.2390625])


def test_momentum(line):
    # m1 = -0.5, w1 = 0.05; m2 = 0.9 (-0.5) - 0.375 = -0.825, w2 = 0.05 + 0.0825 = 0.1325.
    assert ends(line(local=fl.SGD(lr=0.1, steps=2, batch=None, momentum=0.9))) == pytest.approx([0.1325], abs=1e-15)


def test_momentum_begins_anew_every_round(line):
    plan = line(local=fl.SGD(lr=0.1, steps=1, batch=None, momentum=0.9))
    assert ends(plan, round=1) == ends(plan, round=2) == pytest.approx([0.05])


def test_weight_decay(line):
    # w1 = 0.05 (no weight, no decay); then g = -0.375 + 0.2 * 0.05 = -0.365, w2 = 0.0865.
    assert ends(line(local=fl.SGD(lr=0.1, steps=2, batch=None, weight_decay=0.2))) == pytest.approx([0.0865], abs=1e-15)


def test_a_gradient_is_cut_to_its_length_before_decay(line):
    # |-0.5| -> -0.1, w1 = 0.01; g = (0.05 - 1)/2 = -0.475 -> -0.1, w2 = 0.02. Longer than the gradient: no change.
    assert ends(line(local=fl.SGD(lr=0.1, steps=2, batch=None, clip=0.1))) == pytest.approx([0.02], abs=1e-15)
    assert ends(line(local=fl.SGD(lr=0.1, steps=2, batch=None, clip=9.0))) == pytest.approx([0.0875], abs=1e-15)
    # From w = 1: g = 2 -> 0.1, and the decay 0.2 * 1 comes on top: w1 = 1 - 0.1 (0.1 + 0.2) = 0.97.
    plan = line(local=fl.SGD(lr=0.1, steps=1, batch=None, clip=0.1, weight_decay=0.2))
    assert ends(plan, start=1.0) == pytest.approx([0.97], abs=1e-15)


def test_single_rows_in_either_order(line):
    # (1, 1) first: w = 0.1, then g = (2 * 0.1) 2 = 0.4, w = 0.06. (2, 0) first: g = 0, then w = 0.1.
    plan = line(local=fl.SGD(lr=0.1, batch=1))
    seen = {round: ends(plan, round=round)[0] for round in range(1, 30)}
    assert {round(w, 12) for w in seen.values()} == {0.06, 0.1}   # every epoch is shuffled by its round


def test_a_client_rests_when_its_rows_are_done(line):
    # Client 1 has one row, so one step of g = 0 - 2: w = 0.2, beside client 0 with two steps of one row.
    assert ends(line(local=fl.SGD(lr=0.1, batch=1)), ids=(0, 1))[1] == pytest.approx(0.2, abs=1e-15)
    # Neither momentum nor decay nor a pull moves it on.
    for how in ({"momentum": 0.9}, {"weight_decay": 0.2}, {"correct": (fl.Proximal(mu=1),)}):
        assert ends(line(local=fl.SGD(lr=0.1, batch=1, **how)), ids=(0, 1))[1] == pytest.approx(0.2, abs=1e-15)
    # With steps instead of epochs it goes on: g = 0.2 - 2 = -1.8, w = 0.38.
    assert ends(line(local=fl.SGD(lr=0.1, batch=1, steps=2)), ids=(0, 1))[1] == pytest.approx(0.38, abs=1e-15)


def test_steps_of_counts_what_train_takes():
    sizes = torch.tensor([0, 1, 10, 11])   # batches of 5: 0, 1, 2 and 3 a pass
    assert fl.SGD(batch=5, epochs=2).steps_of(sizes, 11).tolist() == [0, 2, 4, 6]
    assert fl.SGD(batch=None, epochs=2).steps_of(sizes, 11).tolist() == [0, 2, 2, 2]
    assert fl.SGD(batch=5, steps=7).steps_of(sizes, 11).tolist() == [0, 7, 7, 7]


def test_step_sizes_over_the_rounds(line):
    linear, cosine = (fl.SGD(lr=1.0, schedule=s, lr_end=0.2) for s in ("linear", "cosine"))
    # Linear from 1 to 0.2 over rounds 1 .. 5: 0.2 less a round. Cosine: 0.2 + 0.8 (1 + cos(pi t))/2 at t = 0, 1/4, …;
    # cos(pi/4) = 0.70711, so round 2 has 0.2 + 0.8 * 0.853553 = 0.882843.
    assert [linear.rate(r, 5) for r in range(1, 6)] == pytest.approx([1, 0.8, 0.6, 0.4, 0.2])
    assert [cosine.rate(r, 5) for r in range(1, 6)] == pytest.approx([1, 0.882843, 0.6, 0.317157, 0.2], abs=1e-6)
    assert fl.SGD(lr=0.3).rate(4, 5) == 0.3 and linear.rate(1, 1) == 1.0
    # Round 2 of 3 of a linear fall to 0 steps half as far: w = 0.025.
    plan = line(local=fl.SGD(lr=0.1, epochs=1, batch=None, schedule="linear"), rounds=3)
    assert ends(plan, round=2) == pytest.approx([0.025], abs=1e-15)


def test_what_is_tampered_with_is_trained_on(line):
    # Client 0 told that all labels are 2: g = ((0 - 2) 1 + (0 - 2) 2)/2 = -3, w = 0.3.
    assert ends(line(), tamper=lambda x, y, who: (x, y * 0 + 2)) == pytest.approx([0.3], abs=1e-15)


def test_a_stop_is_noticed(line):
    with pytest.raises(Interrupted):
        train(line(), stop=lambda: True)
