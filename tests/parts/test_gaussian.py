"""The bound on a client's row and the noise on the sum."""

import math

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets import seeds
from fedlab_widgets.engine import advance
from fedlab_widgets.executors import Stacked
from fedlab_widgets.plan import begin
from fedlab_widgets.privatise.accountant import Everyone, FixedSampling, Ledger, PoissonSampling
from fedlab_widgets.types import Memory, never

KEY = seeds.keys(0, "privacy noise", 1, 0)
NOTHING = Memory()
DP = fl.Mean(weights="uniform", denominator="expected")


def test_rows_are_cut_to_the_clip():
    # |(3, 4)| = 5 -> (0.6, 0.8); |(0.3, 0.4)| = 0.5 stays; the zero row stays zero.
    rows = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    cut = fl.Gaussian(clip=1.0).bound(rows, NOTHING)
    assert cut.tolist() == [pytest.approx(r) for r in ([0.6, 0.8], [0.3, 0.4], [0, 0])]
    assert fl.Gaussian(clip=10.0).bound(rows, NOTHING).tolist() == [pytest.approx(r) for r in rows.tolist()]
    assert torch.equal(fl.Gaussian().client(rows, torch.zeros(3), None), rows)   # central: clients add nothing


def test_the_noise_has_the_deviation_it_states():
    # 2 (multiplier) * 0.5 (clip) * 3 (sensitivity) = 3; 40 000 draws: deviation of the std 3 / sqrt(80 000) = 0.0106,
    # of the mean 3 / sqrt(40 000) = 0.015, of the share beyond 3 (0.3173) 0.0023.
    part = fl.Gaussian(clip=0.5, noise_multiplier=2.0)
    ledger = Ledger(Everyone(), 2.0, 1e-5)
    noise, kept = part.noise(torch.zeros(40_000, dtype=torch.float64), ledger, 3.0, KEY, NOTHING)
    assert kept is NOTHING
    assert abs(float(noise.std()) - 3) < 5 * 0.0106 and abs(float(noise.mean())) < 5 * 0.015
    assert abs(float((noise.abs() > 3).double().mean()) - 0.3173) < 5 * 0.0023
    shifted = part.noise(torch.full((40_000,), 7.0, dtype=torch.float64), ledger, 3.0, KEY, NOTHING)[0]
    assert torch.allclose(shifted - 7, noise, atol=1e-12)
    other = part.noise(torch.zeros(40_000, dtype=torch.float64), ledger, 3.0, seeds.keys(0, "privacy noise", 2, 0),
                       NOTHING)[0]
    assert abs(float((other * noise).mean())) < 5 * 9 / math.sqrt(40_000)   # rounds are independent


def test_a_round_without_noise_is_clipped_and_divided_by_what_was_expected(line):
    # Updates 0.05 and 0.2 clipped at 0.1: 0.05 + 0.1 = 0.15, over two expected clients: 0.075.
    plan = line(privatise=fl.Gaussian(clip=0.1, noise_multiplier=0, delta=0.1), aggregate=DP)
    assert float(advance(plan, begin(plan), Stacked(2), never)[0].model[0]) == pytest.approx(0.075, abs=1e-15)


def test_the_noise_of_a_round_goes_on_the_sum(line):
    # The same round with noise z * clip on the sum: 0.075 + 0.1 z n / 2, n the first normal of the round's key.
    plan = line(privatise=fl.Gaussian(clip=0.1, noise_multiplier=3.0, delta=0.1), aggregate=DP)
    n = float(seeds.normals(plan.world.keys("privacy noise", 1, 0), 1, torch.float64))
    w = float(advance(plan, begin(plan), Stacked(2), never)[0].model[0])
    assert w == pytest.approx(0.075 + 0.1 * 3 * n / 2, abs=1e-14)


def test_a_round_to_which_nobody_comes_releases_noise_only(line):
    plan = line(privatise=fl.Gaussian(clip=0.1, noise_multiplier=3.0, delta=0.1), aggregate=DP,
                schedule=fl.Lockstep(dropout=0.999))
    state, events = advance(plan, begin(plan), Stacked(2), never)
    n = float(seeds.normals(plan.world.keys("privacy noise", 1, 0), 1, torch.float64))
    assert events[-1].cohort == [] and plan.expected == pytest.approx(0.002)
    assert float(state.model[0]) == pytest.approx(0.3 * n / 0.002, rel=1e-9)


def test_the_accountant_is_told_how_clients_come(line):
    given = fl.Gaussian(noise_multiplier=1.5, delta=0.01).ledger(PoissonSampling(0.1), 100, 10)
    assert given == Ledger(PoissonSampling(0.1), 1.5, 0.01)
    assert fl.Gaussian().ledger(FixedSampling(10, 100), 100, 10).delta == pytest.approx(100**-1.1)
    # Without sampling, n rounds of Gaussian noise z cost what one round with z / sqrt(n) costs: a target
    # solved for 4 rounds needs twice the noise of one round.
    target = fl.Gaussian(noise_multiplier=None, epsilon=2.0, delta=1e-5)
    once, four = (target.ledger(Everyone(), 100, n).noise_multiplier for n in (1, 4))
    assert four == pytest.approx(2 * once, rel=0.007)
    assert Ledger(Everyone(), once, 1e-5).epsilon(1) <= 2.0


def test_long_noise_is_said_and_promises_no_failure():
    # 2 (multiplier) * sqrt(100 columns) / 5 clients = 4 times the longest update; with 40 clients 0.5: nothing to say.
    said = [*fl.Gaussian().notes(Ledger(Everyone(), 2.0, 1e-5), 1000, 100, 5.0)]
    assert len(said) == 2 and "about 4 times as long as the longest update allowed, with 5 clients" in said[0]
    assert "may drown a single round" in said[0] and "it drowns" not in said[0]   # many rounds learn all the same
    said = [*fl.Gaussian().notes(Ledger(Everyone(), 2.0, 1e-5), 1000, 100, 40.0)]
    assert len(said) == 1 and "losses" in said[0] and "read without noise" in said[0]


def test_what_cannot_be_accounted_is_refused():
    for wrong in ({"aggregate": fl.Mean()}, {"aggregate": fl.Median()},
                  {"aggregate": fl.Mean(weights="uniform")}, {"aggregate": fl.Mean(denominator="expected")}):
        with pytest.raises(fl.BadInput, match="privatise = gaussian cannot calibrate"):
            fl.Experiment(privatise=fl.Gaussian(), **wrong)
    with pytest.raises(fl.BadInput, match="privatise = gaussian: noise_multiplier is 0.005"):
        fl.Gaussian(noise_multiplier=0.005, delta=0.1).ledger(Everyone(), 10, 1)
    with pytest.raises(fl.BadInput, match="one client has nobody"):
        fl.Gaussian().ledger(Everyone(), 1, 1)
