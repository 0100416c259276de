"""Attacks by hand, on the golden vectors of byzfl 0.0.11, and beside byzfl itself where it is installed."""

import math

import numpy as np
import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets import attack as a
from fedlab_widgets.attack.alie import quantile
from fedlab_widgets.bench import robust
from fedlab_widgets.engine import advance
from fedlab_widgets.evaluate.backdoor import AttackSuccess, attack_success
from fedlab_widgets.executors import Stacked
from fedlab_widgets.plan import begin
from fedlab_widgets.seeds import keys
from fedlab_widgets.types import never

HONEST = [[1, 2, 3], [2, 1, 4], [3, 3, 3], [2, 2, 2], [1, 3, 4]]   # mean 1.8, 2.2, 3.2; each column's variance 2.8 / 4
KEYS = keys(1, "lie", 1, torch.arange(40))


def lies(part, honest=HONEST, liars=1):
    """What the liars send, who stand before, between and behind the honest rows; honest rows must stay as they are."""
    honest = torch.tensor(honest, dtype=torch.float64)
    honest = honest if honest.dim() > 1 else honest[:, None]
    bad = torch.zeros(len(honest) + liars, dtype=torch.bool)
    bad[torch.linspace(0, len(bad) - 1, liars).long() if liars > 1 else [1]] = True
    rows = torch.full((len(bad), honest.shape[1]), 77.0, dtype=torch.float64)
    rows[~bad] = honest
    sent = part.lie(rows, bad, KEYS[:len(bad)])
    assert torch.equal(sent[~bad], honest) and (rows[bad] == 77).all()
    return sent[bad]


def lie(part, honest=HONEST, liars=1):
    """The same where they all send one row."""
    sent = lies(part, honest, liars)
    assert (sent == sent[0]).all()
    return sent[0].tolist()


def test_every_attack_says_what_it_must_see():
    levels = {"own data", "own row", "all honest rows", "the aggregate"}
    for name, part in fl.catalogue("attack").items():
        if part.__module__.startswith("fedlab_widgets."):
            assert part.access in levels and f"Access: {part.access}" in part.__doc__.replace("\n   ", ""), name
            # Liars that only see each other's rows need them all as well, and learn nothing of honest ones.
            assert part.needs_all == (part.access == "all honest rows" or name == "reverse_ranks")
    assert a.LabelFlip.access == "own data" and a.Scaled.access == "own row" and a.ALIE.access == "all honest rows"


def test_alie_stays_within_the_deviations():
    # 1.5 sqrt(0.7) = 1.254990 below each mean.
    assert lie(a.ALIE(z=1.5)) == pytest.approx([0.545010, 0.945010, 1.945010], abs=1e-6)
    assert lie(a.ALIE(z=1.5), liars=3) == lie(a.ALIE(z=1.5))
    # Of 1 and 3: mean 2, deviation sqrt((1 + 1) / 1). A single honest row has no deviation.
    assert lie(a.ALIE(z=1.0), [1, 3]) == pytest.approx([2 - math.sqrt(2)])
    assert lie(a.ALIE(z=1.0), [5]) == [5]


def test_alie_finds_its_z():
    # 50 rows, 24 of liars: s = 26 - 24 = 2 honest ones are to be won, 24 of 26 = 0.9231; normal tables: 1.43 is 0.9236.
    assert quantile(50, 24) == pytest.approx(1.426, abs=1e-3)
    assert quantile(10, 2) == 0                      # s = 4, 4 of 8: a half
    assert quantile(9, 4) == pytest.approx(0.8416, abs=1e-4)   # s = 5 - 4 = 1, 4 of 5: 0.8; tables: 0.84
    assert quantile(10, 1) < 0                       # s = 5, 4 of 9
    # More liars than honest rows would ask for the quantile of 1: (3 - 0.5) / 3 = 0.8333 instead; tables: 0.967.
    assert quantile(8, 5) == pytest.approx(0.9674, abs=1e-4)
    # In a round: 5 honest, 4 liars, so z = 0.8416, and 2 - 0.8416 for column one of deviations 1.
    assert lie(a.ALIE(), [1, 2, 3, 1, 3], 4) == pytest.approx([2 - 0.8416], abs=1e-4)


def test_inner_product():
    assert lie(a.InnerProduct(epsilon=2)) == pytest.approx([-3.6, -4.4, -6.4])
    # 5 honest rows, 2 liars, epsilon = 2.5: the mean of all is 0; above it is turned round.
    assert (5 * 1.8 + 2 * lie(a.InnerProduct(epsilon=2.5), liars=2)[0]) / 7 == pytest.approx(0)


def test_min_max_and_min_sum_on_two_rows():
    # (1, 1) and (1, -1): mean (1, 0), 2 apart. Along (-1, 0) the lie is (1 - g, 0), sqrt(g^2 + 1) from both: Min-Max
    # allows 2, g = sqrt 3; Min-Sum 2 (g^2 + 1) = 4, g = 1. Along -std = (0, -sqrt 2) it may go down to (1, -1).
    two = [[1, 1], [1, -1]]
    for way in ("unit vector", "sign"):
        assert lie(a.MinMax(direction=way), two) == pytest.approx([1 - math.sqrt(3), 0])
        assert lie(a.MinSum(direction=way), two) == pytest.approx([0, 0])
    assert lie(a.MinMax(direction="std"), two) == pytest.approx([1, -1])
    assert lie(a.MinSum(direction="std"), two) == pytest.approx([1, -1])
    # On a line: 0, 1, 5 has mean 2. Min-Max must be within 5 of 0 and of 5: the lie is 0. Min-Sum: 5 is furthest, 3
    # away from the mean, and so may the lie be: -1; its sum 1 + 4 + 36 = 41 is that of 5: 25 + 16.
    assert lie(a.MinMax(), [0, 1, 5]) == pytest.approx([0]) and lie(a.MinSum(), [0, 1, 5]) == pytest.approx([-1])


def halving(honest, way, allowed):
    """The largest gamma for which mean + gamma way is allowed, the way the paper has it: by halving an interval."""
    mean, low, high = honest.mean(0), 0.0, 1e4
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if allowed(mean + middle * way) else (low, middle)
    return mean + low * way


@pytest.mark.parametrize("direction", ["unit vector", "sign", "std"])
def test_min_max_and_min_sum_beside_a_search(direction):
    x = np.random.default_rng(3).normal(size=(9, 12)) * np.arange(1, 13) + 0.7
    way = {"unit vector": -x.mean(0) / np.linalg.norm(x.mean(0)), "sign": -np.sign(x.mean(0)),
           "std": -x.std(0, ddof=1)}[direction]
    apart = ((x[:, None] - x) ** 2).sum(2)
    found = halving(x, way, lambda lie: ((lie - x) ** 2).sum(1).max() <= apart.max())
    assert lie(a.MinMax(direction=direction), x.tolist(), 3) == pytest.approx(found.tolist(), abs=1e-9)
    found = halving(x, way, lambda lie: ((lie - x) ** 2).sum() <= apart.sum(1).max())
    assert lie(a.MinSum(direction=direction), x.tolist(), 3) == pytest.approx(found.tolist(), abs=1e-9)


@pytest.mark.parametrize("part", [a.MinMax, a.MinSum])
@pytest.mark.parametrize("direction", ["unit vector", "sign", "std"])
def test_where_there_is_no_way_to_go_the_mean_is_sent(part, direction):
    assert lie(part(direction=direction), [[3.0, 0.0]]) == [3, 0]                  # one honest row
    assert lie(part(direction=direction), [[0.0, 0.0], [0.0, 0.0]], 2) == [0, 0]   # all the same, and zero


def test_mimic_copies_one_row():
    # (5, 0), (-1, 1), (-2, -1): they differ along about (1, 0.04); along it the first is at 5, the others at -1 and -2.
    assert lie(a.Mimic(), [[5, 0], [-1, 1], [-2, -1]], 2) == [5, 0]
    # 10, 9 and 4: 4 is furthest from the mean, and 10 has the largest |z x|, which the paper takes.
    assert lie(a.Mimic(), [10, 9, 4]) == [10]
    assert lie(a.Mimic(), [-10, -9, -4]) == [-10]
    assert lie(a.Mimic()) in HONEST


def test_nobody_honest_or_nobody_lying():
    rows = torch.tensor(HONEST, dtype=torch.float64)
    for part in (a.ALIE(), a.InnerProduct(), a.MinMax(), a.MinSum(), a.Mimic()):
        for bad in (torch.zeros(5, dtype=torch.bool), torch.ones(5, dtype=torch.bool)):
            assert torch.equal(part.lie(rows, bad, KEYS[:5]), rows)


def test_scaled():
    assert lies(a.Scaled(factor=10), [1.0, 2.0]).tolist() == [[770]]


def test_gaussian_noise():
    rows, bad = torch.full((40, 500), 7.0), torch.arange(40) < 20
    noise = a.GaussianNoise(std=2.0).lie(rows, bad, KEYS)[bad]
    # 10,000 draws: the mean is within 4 * 2 / 100 of 0, and the deviation within 4 * 2 / sqrt(20,000) of 2.
    assert abs(float(noise.mean())) < 0.08 and float(noise.std()) == pytest.approx(2, abs=0.057)
    assert len({round(float(row[0]), 6) for row in noise}) == 20   # every liar its own
    added = a.GaussianNoise(std=2.0, how="add").lie(rows, bad, KEYS)
    assert torch.allclose(added[bad], noise + 7) and (added[~bad] == 7).all()
    assert not torch.equal(a.GaussianNoise().lie(rows, bad, keys(1, "lie", 2, torch.arange(40)))[bad], noise / 2)


def test_a_free_rider_sends_nothing_or_a_row_of_some_length():
    assert lies(a.FreeRider(), liars=2).tolist() == [[0, 0, 0]] * 2
    busy = lies(a.FreeRider(size=0.3), [[1.0] * 50, [2.0] * 50], 2)
    assert busy.norm(dim=1).tolist() == pytest.approx([0.3, 0.3]) and not torch.equal(busy[0], busy[1])


def test_a_round_with_colluders(line):
    # Updates 0.05 and 0.2 (see conftest); client 1 lies. -2 * 0.05 = -0.1: mean -0.025. ALIE and Mimic have one honest
    # row to go by, and send 0.05: mean 0.05. A free rider sends 0: mean 0.025.
    for part, mean in ((a.InnerProduct(liars=(1,)), -0.025), (a.ALIE(liars=(1,)), 0.05), (a.Mimic(liars=(1,)), 0.05),
                       (a.FreeRider(liars=(1,)), 0.025), (a.Scaled(liars=(1,)), 1.025)):
        plan = line(attack=part)
        assert float(advance(plan, begin(plan), Stacked(1), never)[0].model[0]) == pytest.approx(mean, abs=1e-15)


# --- the backdoor ---------------------------------------------------------------------------------------------------

def test_a_trigger_stands_in_the_last_corner():
    image = a.Backdoor(size=2, value=9).triggered(torch.zeros(1, 1, 3, 4))[0, 0]
    assert image.tolist() == [[0, 0, 0, 0], [0, 0, 9, 9], [0, 0, 9, 9]]
    assert a.Backdoor(size=2, value=9).triggered(torch.zeros(2, 3)).tolist() == [[0, 9, 9]] * 2


def test_poisoned_rows_have_trigger_and_target():
    part, bad = a.Backdoor(target=1, share=0.25, size=1), torch.arange(4) < 2
    x, y = torch.zeros(4, 1000, 3), torch.zeros(4, 1000, dtype=torch.int64)
    xs, ys = part.poison(x, y, bad, KEYS[:4], 2)
    hit = ys == 1
    assert not hit[2:].any() and torch.equal(xs[..., 2] == 3, hit) and (xs[..., :2] == 0).all() and not x.any()
    # 2,000 draws of chance 1/4: within 4 sqrt(2,000 * 3/16) = 77 of 500.
    assert abs(int(hit.sum()) - 500) < 77 and not torch.equal(hit[0], hit[1])
    assert (a.Backdoor(share=1, target=1).poison(x, y, bad, KEYS[:4], 2)[1][:2] == 1).all()
    assert lies(a.Backdoor(factor=4), [1.0]).tolist() == [[308]]


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    e = fl.Experiment(task=fl.Digits(), net=fl.Logistic(), partition=fl.IID(clients=5), rounds=6,
                      attack=a.Backdoor(liars=0.2, target=7, factor=5))
    return fl.run(e, out=tmp_path_factory.mktemp("backdoor") / "run", progress=False)


def test_the_attack_success_rate_is_of_the_recorded_model(digits):
    told = attack_success(digits)
    data = digits.experiment.task.load()
    other = data.test_x[data.test_y != 7].clone()
    net = digits.model()
    assert told.before == int((net(other).argmax(1) == 7).sum())
    other[:, :, -2:, -2:] = 3
    assert told.hits == int((net(other).argmax(1) == 7).sum()) and told.rows == len(other) and told.target == "7"
    assert told.rate > 0.8 > 0.3 > told.without      # one of five clients, and its model counts five times
    clean = fl.run(digits.experiment.changed(attack=None), out=digits.path.parent / "clean", progress=False)
    assert attack_success(clean, digits.experiment.attack).rate < 0.3
    with pytest.raises(fl.BadInput, match=r"has no backdoor.*give attack=fl.Backdoor"):
        attack_success(clean)


def test_the_interval_by_hand():
    # Wilson, 8 of 10, z = 1.96: middle (0.8 + 0.19207) / 1.38415 = 0.7167; half 1.96 sqrt(0.016 + 0.009604) / 1.38415
    # = 0.2266. So 0.490 to 0.943.
    told = AttackSuccess("7", 10, 8, 1)
    assert told.interval == pytest.approx((0.490, 0.943), abs=1e-3)
    assert "80.0 % of 10 test rows" in str(told) and "without it 10.0 %" in str(told)


# --- bad input ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("part, said", [
    (a.ALIE(liars=1.0), "all 2 clients lie; set attack.liars to fewer"),
    (a.MinSum(liars=(0, 1)), "min_sum is made from honest rows"),
    (a.Backdoor(target=3), r"attack.target = 3 is no label: they go from 0 \(0\) to 2"),
    (a.Backdoor(size=2), r"attack.size = 2 is larger than a row \(1\); set it to 1 or less"),
])
def test_what_cannot_work_is_refused_before_the_run(line, part, said):
    with pytest.raises(fl.BadInput, match=said):
        line(attack=part)


# --- byzfl ----------------------------------------------------------------------------------------------------------

def test_golden_vectors():
    # ALittleIsEnough(1.5) of byzfl lies above the mean, ours below: they are mirror images.
    golden = np.array([3.05499, 3.45499, 4.45499])
    assert lie(a.ALIE(z=1.5)) == pytest.approx((2 * np.array([1.8, 2.2, 3.2]) - golden).tolist(), abs=1e-5)
    assert lie(a.InnerProduct(epsilon=2.0)) == pytest.approx([-3.6, -4.4, -6.4])    # InnerProductManipulation(2.0)
    assert lie(a.InnerProduct(epsilon=1.0)) == pytest.approx([-1.8, -2.2, -3.2])    # SignFlipping


@pytest.mark.skipif(not robust.byzfl(), reason="byzfl is not installed")
def test_beside_byzfl():
    import importlib

    theirs = importlib.import_module("byzfl.attacks.attacks")
    x = np.random.default_rng(4).normal(size=(18, 40)) + 0.5
    assert lie(a.ALIE(z=0.7), x.tolist(), 4) == pytest.approx(theirs.ALittleIsEnough(-0.7)(x).tolist(), abs=1e-12)
    other = theirs.InnerProductManipulation(0.3)(x)
    assert lie(a.InnerProduct(epsilon=0.3), x.tolist(), 4) == pytest.approx(other.tolist(), abs=1e-12)
    mine = lie(a.Mimic(), x.tolist())     # byzfl is told whom to copy
    assert any(np.array_equal(theirs.Mimic(i)(x), mine) for i in range(18))
