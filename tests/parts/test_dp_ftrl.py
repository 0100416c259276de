"""Noise that is correlated over rounds, clients that come in turn, and the one account of a whole run."""

import math
from dataclasses import replace

import dp_accounting as dp
import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets import seeds
from fedlab_widgets.engine import advance
from fedlab_widgets.executors import Stacked
from fedlab_widgets.plan import begin
from fedlab_widgets.privatise import CorrelatedNoise, verify_participation
from fedlab_widgets.privatise.accountant import Everyone, InTurnSampling, Ledger, PoissonSampling
from fedlab_widgets.privatise.participation import came_as_promised
from fedlab_widgets.privatise.prefix import sensitivities, variances
from fedlab_widgets.privatise.run_ledger import RunLedger
from fedlab_widgets.privatise.tree_view import tree
from fedlab_widgets.recipes.dp_ftrl import dp_ftrl
from fedlab_widgets.schedule import InTurn
from fedlab_widgets.types import Memory, never

DP = fl.Mean(weights="uniform", denominator="expected")
KEY = seeds.keys(0, "privacy noise", 0, 0)
MECHANISMS = ("tree", "honaker", "sqrt")


def remembered(round=0):
    return Memory(shared={"round": torch.tensor(round), "key": KEY})


# --- clients in turn ------------------------------------------------------------------------------------------------

def test_clients_come_in_turn():
    # Seven clients, three a round at most: b = ceil(7 / 3) = 3 rounds, positions 0, 1 and 2 modulo 3.
    sampler, key = InTurn(size=3), seeds.keys(0, "sampling", 1, 0)
    came = [sampler.draw(7, round, key).tolist() for round in range(1, 6)]
    assert came == [[0, 3, 6], [1, 4], [2, 5], [0, 3, 6], [1, 4]]
    assert sampler.rate(7) == pytest.approx(1 / 3) and not sampler.certain
    assert sampler.sampling(7) == InTurnSampling(3) and InTurn(size=9).sampling(7) == Everyone()
    assert InTurn(size=9).draw(7, 5, key).tolist() == list(range(7)) and InTurn(size=9).rate(7) == 1


def test_fresh_noise_pays_for_each_turn():
    # Once in 5 rounds: 3 turns in 11 rounds, each its own Gaussian; no sampling helps.
    ledger = Ledger(InTurnSampling(5), 2.0, 1e-5)
    assert ledger.epsilon(11) == pytest.approx(dp.get_epsilon_gaussian(2 / math.sqrt(3), 1e-5), rel=1e-12)
    assert [ledger.epsilon(t) == ledger.epsilon(1) for t in (1, 5, 6)] == [True, True, False]
    assert ledger.so_far(3, 11) == ledger.epsilon(3) and ledger.epsilon(0) == 0
    assert Ledger(InTurnSampling(1), 2.0, 1e-5).epsilon(9) == Ledger(Everyone(), 2.0, 1e-5).epsilon(9)
    assert ledger.relation == "add or remove one client" and "once in 5 rounds" in ledger.method
    z = fl.Gaussian(epsilon=4.0, delta=1e-3).ledger(InTurnSampling(5), 50, 11).noise_multiplier
    assert z == pytest.approx(math.sqrt(3) * dp.get_sigma_gaussian(4.0, 1e-3), rel=0.004)
    with pytest.raises(ValueError, match="separation is 0"):
        InTurnSampling(0)


# --- the account of a whole run -------------------------------------------------------------------------------------

@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_whole_run_costs_one_release(mechanism):
    ledger = CorrelatedNoise(mechanism=mechanism, noise_multiplier=1.0, delta=1e-5).ledger(InTurnSampling(10), 100, 40)
    assert ledger.epsilon(40) == dp.get_epsilon_gaussian(1.0, 1e-5) == pytest.approx(4.3772, abs=1e-4)
    spent = [ledger.so_far(t, 40) for t in range(41)]
    assert spent == sorted(spent) and spent[0] == 0 and spent[-1] == ledger.epsilon(40) > spent[20]
    # The first release: one draw of deviation z S on one client's 1.
    assert spent[1] == pytest.approx(dp.get_epsilon_gaussian(ledger.sensitivity, 1e-5))
    assert ledger.times == 4 and "at most 4 times, once in 10 rounds" in ledger.method
    assert RunLedger(mechanism, 40, 10, 0.0, 1e-5).epsilon(1) == math.inf
    with pytest.raises(ValueError, match="rounds is 41"):
        ledger.epsilon(41)


def test_a_target_is_met_exactly():
    for eps in (0.5, 4.0, 20.0):
        ledger = CorrelatedNoise(epsilon=eps, delta=1e-3).ledger(InTurnSampling(10), 100, 25)
        assert ledger.epsilon(25) == pytest.approx(eps, rel=1e-6)
    assert CorrelatedNoise().ledger(Everyone(), 100, 3).separation == 1
    assert CorrelatedNoise().ledger(Everyone(), 100, 3).delta == pytest.approx(100**-1.1)


def test_what_has_no_known_participation_is_refused():
    in_turn = fl.Lockstep(sampler=InTurn(size=2))
    for sampler in (fl.Poisson(q=0.1), fl.Fixed(m=3)):
        with pytest.raises(fl.BadInput, match=f"{sampler.name} leaves it to chance.*in_turn"):
            fl.Experiment(privatise=CorrelatedNoise(), aggregate=DP, schedule=fl.Lockstep(sampler=sampler))
    with pytest.raises(fl.BadInput, match="leaves it to chance"):   # as many as there are, of a thousand, is chance
        CorrelatedNoise().ledger(PoissonSampling(0.5), 100, 3)
    with pytest.raises(fl.BadInput, match="cannot calibrate"):
        fl.Experiment(privatise=CorrelatedNoise(), aggregate=fl.Median(), schedule=in_turn)
    with pytest.raises(fl.BadInput, match="privatise = correlated_noise: noise_multiplier is 0.005"):
        CorrelatedNoise(noise_multiplier=0.005, delta=0.1).ledger(Everyone(), 10, 1)
    with pytest.raises(fl.BadInput, match="made for 3: more would cost more"):
        CorrelatedNoise().noise(torch.zeros(2), CorrelatedNoise().ledger(Everyone(), 10, 3), 1.0, KEY, remembered(3))


# --- the noise itself -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_what_is_left_after_each_round_has_the_deviation_it_states(mechanism):
    """5 000 columns (two pieces of draws): the deviation of a deviation is 1 / sqrt(10 000) of it. With clip 0.5,
    weight 3 and z = 2 it is 2 * 0.5 * 3 S sqrt(Var N_t) after round t, whatever else is in the sum."""
    part = CorrelatedNoise(mechanism=mechanism, clip=0.5, noise_multiplier=2.0, delta=1e-5)
    ledger, mine = part.ledger(InTurnSampling(4), 40, 21), remembered()
    left = torch.zeros(5000, dtype=torch.float64)
    for t in range(1, 22):
        noised, mine = part.noise(torch.full_like(left, 7.0), ledger, 3.0, seeds.keys(1, "any", t, 0), mine)
        left = left + noised - 7
        due = 3.0 * sensitivities(mechanism, 21, 4)[-1] * variances(mechanism, 21)[t - 1] ** 0.5
        assert float(left.std()) == pytest.approx(due, rel=5 / 100)
        assert int(mine.shared["round"]) == t
    assert abs(float((left[:904] * left[4096:]).mean())) < 5 * due**2 / 904**0.5   # pieces draw by themselves


def test_two_rounds_on_paper(line):
    """Clients 0 and 1 by turns; clip 0.1, z = 1, T = 2: c = (1, 1/2), each comes once, S^2 = 5/4. Client 0 sends 0.05.
    Client 1 sends 0.1 (2 - w), cut to 0.1 while w < 1. One client is expected a round.
    N_1 = Z_1, N_2 = Z_2 + Z_1 / 2, so round 2 adds Z_2 - Z_1 / 2."""
    plan = line(privatise=CorrelatedNoise(clip=0.1, noise_multiplier=1.0, delta=0.1), aggregate=DP, rounds=2,
                schedule=fl.Lockstep(sampler=InTurn(size=1)))
    key = seeds.fold(plan.world.keys("privacy noise", 0, 0), 0)
    z = seeds.normals(seeds.fold(key, torch.tensor([1, 2])), 1, torch.float64)[:, 0]
    d = 0.1 * math.sqrt(5 / 4)
    one, said = advance(plan, begin(plan), Stacked(2), never)
    assert said[-1].cohort == [0] and float(one.model[0]) == pytest.approx(0.05 + d * float(z[0]), abs=1e-14)
    two, more = advance(plan, one, Stacked(2), never)
    assert more[-1].cohort == [1] and float(one.model[0]) < 1
    assert float(two.model[0]) == pytest.approx(0.15 + d * float(z[1] + z[0] / 2), abs=1e-14)
    # After one round: a Gaussian of multiplier S / 1; after both: of multiplier 1.
    assert said[-1].epsilon == pytest.approx(dp.get_epsilon_gaussian(math.sqrt(5 / 4), 0.1))
    assert more[-1].epsilon == pytest.approx(dp.get_epsilon_gaussian(1.0, 0.1))


def test_a_round_to_which_nobody_comes_releases_noise_only(line):
    plan = line(privatise=CorrelatedNoise(clip=0.1, noise_multiplier=1.0, delta=0.1), aggregate=DP, rounds=3,
                schedule=fl.Lockstep(dropout=0.999))
    state = advance(plan, begin(plan), Stacked(2), never)[0]
    assert float(state.model[0]) != 0 and int(state.memory["privatise"].shared["round"]) == 1


def test_live_readings(line):
    assert [node for node in tree(8, 6) if node[3]] == [(1, 5, 6, 1), (2, 1, 4, 1)]
    assert len([*tree(8, 6)]) == 15 and len([*tree(1000, 1)]) == 62 + 31 + 15 + 7 + 3 + 1 + 1
    for mechanism in MECHANISMS:
        plan = line(privatise=CorrelatedNoise(mechanism=mechanism, delta=0.1), aggregate=DP, rounds=4,
                    schedule=fl.Lockstep(sampler=InTurn(size=1)))
        shown = plan.experiment.privatise.shows(plan, replace(begin(plan), round=3), None)
        assert set(shown) == {"noise"} | ({"tree"} if mechanism != "sqrt" else set())
        here, fresh = shown["noise"].values
        assert fresh == pytest.approx(math.sqrt(2 * 3))   # two turns each, three rounds
        # Tree at round 3, two nodes, S^2 = 7; Honaker 1 + 1 / 1.5, S^2 = 8; c: 1 + 1/4 + 9/64.
        due = {"tree": 7 * 2, "honaker": 8 * (1 + 2 / 3), "sqrt": plan.ledger.sensitivity**2 * (1 + 1 / 4 + 9 / 64)}
        assert here == pytest.approx(math.sqrt(due[mechanism]))


# --- the record against the promise ---------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def run(tmp_path_factory):
    e = dp_ftrl.experiment.changed(rounds=5, partition=fl.IID(clients=12), net=fl.Logistic(),
                                     evaluate=fl.Evaluation(readings=(fl.Accuracy(),)),
                                     **{"schedule.sampler.size": 4})
    return fl.run(e, out=tmp_path_factory.mktemp("dp") / "run", progress=False)


def test_the_record_of_a_run_is_held_against_its_promise(run):
    # Twelve clients, four a round: b = 3; in five rounds clients of the first two groups come twice.
    said = verify_participation(run)
    assert said == ("as promised: in 5 rounds no client came oftener than 2 times (2 allowed), nor twice in any 3 "
                    "rounds")
    assert run.history.epsilon.is_monotonic_increasing
    assert run.history.epsilon.iloc[-1] == pytest.approx(8.0, rel=1e-6)


def test_a_broken_promise_is_told():
    with pytest.raises(fl.BadInput, match="client 4 came in rounds 2 and 4, and the account promises at least 3"):
        came_as_promised({1: [0, 1], 2: [4], 3: [7], 4: [4]}, 3, 6)
    with pytest.raises(fl.BadInput, match="round 7 is recorded, and the noise was made for 6"):
        came_as_promised({7: [1]}, 3, 6)


def test_a_run_that_promised_nothing_is_told(tmp_path):
    e = fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=2), rounds=1, net=fl.Logistic(),
                      evaluate=fl.Evaluation(readings=(fl.Accuracy(),)))
    with pytest.raises(fl.BadInput, match="promised nothing"):
        verify_participation(fl.run(e, out=tmp_path / "run", progress=False))
