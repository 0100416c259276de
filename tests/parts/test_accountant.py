"""The privacy ledger against dp-accounting's stored values, closed forms by hand, and its own promises."""

import doctest
import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedlab_widgets.privatise import accountant
from fedlab_widgets.privatise.accountant import (
    Everyone,
    FixedSampling,
    Ledger,
    PoissonSampling,
    noise_multiplier_for,
    suggested_delta,
)

ORACLE = json.loads((Path(__file__).parents[1] / "oracles" / "privacy.json").read_text())
TOL = ORACLE["tolerances"]
POISSON, RENYI, NOISE = TOL["epsilon_pld_rtol"], TOL["epsilon_rdp_rtol"], TOL["noise_multiplier_rtol"]
CLOSED = TOL["closed_form_rtol"]
QUICK = settings(deadline=None, max_examples=5, derandomize=True)
SAMPLERS = [PoissonSampling(0.1), PoissonSampling(0.1, 20, 100), FixedSampling(10, 100), Everyone()]


def name(row):
    return row.get("id", "-".join(str(v) for v in list(row.values())[:3]))


def sampling_of(row):
    q = row["sampling_probability"]
    return Everyone() if q == 1 else PoissonSampling(q)


def curve(ledger, total):
    return [ledger.so_far(done, total) for done in range(total + 1)]


# --- the oracle -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("row", ORACLE["epsilon_table"], ids=name)
def test_epsilon_table(row):
    ledger = Ledger(sampling_of(row), row["noise_multiplier"], row["delta"])
    epsilon = ledger.epsilon(row["rounds"])
    assert epsilon == pytest.approx(row["epsilon_pld"], rel=POISSON)
    assert ledger.relation == "add or remove one client"
    assert epsilon < row["epsilon_rdp"]
    assert epsilon < row["epsilon_opacus_prv_upper"]     # another library's bound, about 0.01 above
    if row["epsilon_analytic_gaussian"] is not None:
        assert epsilon == pytest.approx(row["epsilon_analytic_gaussian"], rel=CLOSED)


@pytest.mark.parametrize("row", ORACLE["neighboring_relation_table"]["rows"], ids=name)
def test_add_or_remove_rows(row):
    ledger = Ledger(sampling_of(row), row["noise_multiplier"], row["delta"])
    assert ledger.epsilon(row["rounds"]) == pytest.approx(row["epsilon_pld_add_or_remove_one"], rel=POISSON)


@pytest.mark.parametrize("row", ORACLE["truncated_poisson_table"], ids=name)
def test_truncated_rows(row):
    q, cap, n = row["sampling_probability"], row["truncated_batch_size"], row["dataset_size"]
    ledger = Ledger(PoissonSampling(q, cap, n), row["noise_multiplier"], row["delta"])
    epsilon = ledger.epsilon(row["rounds"])
    assert epsilon == pytest.approx(row["epsilon_pld"], rel=POISSON)
    assert epsilon > row["epsilon_pld_without_truncation"]
    assert ledger.method == f"PLD, Poisson sampling, q = {q:g}, cut at {cap} of {n} clients"


@pytest.mark.parametrize("row", ORACLE["fixed_size_without_replacement_table"], ids=name)
def test_fixed_size_rows_with_the_doubled_sensitivity(row):
    sampling, z = FixedSampling(row["cohort"], row["population"]), row["sigma_over_clip_norm"]
    ledger = Ledger(sampling, z, row["delta"])
    epsilon = ledger.epsilon(row["rounds"])
    assert epsilon == pytest.approx(row["epsilon_rdp_wor_replace_one"], rel=RENYI)
    assert ledger.relation == "replace one client" and ledger.method.startswith("RDP")
    assert epsilon > 3 * row["epsilon_pld_poisson_replace_one"]      # loose, and therefore never the default
    trap = Ledger(sampling, 2 * z, row["delta"]).epsilon(row["rounds"])  # taking std / C for std / 2C
    assert trap < 0.7 * epsilon


def test_the_honest_number_of_the_card():
    assert Ledger(FixedSampling(100, 1000), 2.0, 1e-5).epsilon(100) == pytest.approx(14.05, abs=0.005)


@pytest.mark.parametrize("row", ORACLE["noise_multiplier_table"], ids=name)
def test_calibration_table(row):
    sampling, target, delta, rounds = (
        sampling_of(row), row["target_epsilon"], row["delta"], row["rounds"])
    z = noise_multiplier_for(sampling, target, delta, rounds)
    assert z == pytest.approx(row["noise_multiplier_pld"], rel=NOISE)
    assert Ledger(sampling, z, delta).epsilon(rounds) <= target
    if row["noise_multiplier_analytic_gaussian"]:
        assert z == pytest.approx(row["noise_multiplier_analytic_gaussian"], rel=1e-4)


# --- calibration ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("sampling", SAMPLERS, ids=str)
@pytest.mark.parametrize("target", [1.0, pytest.param(20.0, marks=pytest.mark.slow)])
def test_calibration_meets_the_target_and_half_a_percent_less_noise_does_not(sampling, target):
    z = noise_multiplier_for(sampling, target, 1e-3, 50)
    assert Ledger(sampling, z, 1e-3).epsilon(50) <= target < Ledger(sampling, 0.995 * z, 1e-3).epsilon(50)
    assert noise_multiplier_for(sampling, target, 1e-3, 50) == z


@pytest.mark.slow
@pytest.mark.parametrize("q, rounds", [(1e-4, 1000), (1e-3, 100_000), (0.9, 300)])
def test_calibration_far_from_its_first_guess(q, rounds):
    z = noise_multiplier_for(PoissonSampling(q), 3.0, 1e-6, rounds)
    given, less = (Ledger(PoissonSampling(q), noise, 1e-6).epsilon(rounds) for noise in (z, 0.995 * z))
    assert given <= 3.0 < less


@pytest.mark.parametrize("target", [0, -1.0, math.nan, math.inf, 1e4, "8"])
def test_impossible_targets(target):
    with pytest.raises(ValueError, match="epsilon is .* but must be .*; "):
        noise_multiplier_for(Everyone(), target, 1e-5, 10)


def test_a_target_that_sampling_alone_meets_is_refused():
    with pytest.raises(ValueError, match="epsilon is 1.0 but must be below what noise 0.01 leaves"):
        noise_multiplier_for(PoissonSampling(1e-6), 1.0, 1e-5, 1)


def test_calibration_checks_the_other_fields():
    for field, *arguments in [("delta", Everyone(), 1.0, 0.0, 10), ("rounds", Everyone(), 1.0, 1e-5, 0),
                              ("sampling", "poisson", 1.0, 1e-5, 10), ("rounds", Everyone(), 1.0, 1e-5, 2.5)]:
        with pytest.raises(ValueError, match=f"^{field} is"):
            noise_multiplier_for(*arguments)


# --- by hand --------------------------------------------------------------------------------------------

def delta_of_gaussian(z, epsilon):
    """Balle and Wang 2018, theorem 8, with sensitivity 1 and noise z, written with erfc."""
    def below(x):
        return 0.5 * math.erfc(-x / math.sqrt(2))
    return below(0.5 / z - epsilon * z) - math.exp(epsilon) * below(-0.5 / z - epsilon * z)


@QUICK
@given(st.floats(0.5, 50), st.integers(1, 2000), st.sampled_from([1e-3, 1e-5, 1e-7]))
def test_rounds_of_everyone_are_one_gaussian_with_noise_over_root_rounds(z, rounds, delta):
    epsilon = Ledger(Everyone(), z, delta).epsilon(rounds)
    assert epsilon == pytest.approx(Ledger(Everyone(), z / math.sqrt(rounds), delta).epsilon(1), rel=CLOSED)
    if 0 < epsilon < 30:
        assert delta_of_gaussian(z / math.sqrt(rounds), epsilon) == pytest.approx(delta, rel=1e-4)


def test_one_sampled_release_is_one_gaussian_at_a_smaller_delta():
    """Removing a client from a Poisson release: delta(log(1 + q(e^eps - 1))) = q delta_Gauss(eps)."""
    z, q, inner = 1.0, 0.1, 2.0
    epsilon = math.log1p(q * math.expm1(inner))
    ledger = Ledger(PoissonSampling(q), z, q * delta_of_gaussian(z, inner))
    assert ledger.epsilon(1) == pytest.approx(epsilon, rel=1e-4)


def test_the_ways_to_say_everybody_are_one():
    same = [Everyone(), PoissonSampling(1.0), PoissonSampling(1, 10, 10), FixedSampling(10, 10)]
    ledgers = [Ledger(sampling, 4.0, 1e-3) for sampling in same]
    assert len({ledger.epsilon(20) for ledger in ledgers}) == 1
    assert {ledger.relation for ledger in ledgers} == {"add or remove one client"}
    assert {ledger.method for ledger in ledgers} == {"exact Gaussian formula, no sampling"}


@pytest.mark.slow
def test_a_cap_far_above_the_cohort_is_free_and_a_tight_one_is_not():
    free, capped, tight = (Ledger(PoissonSampling(0.1, *more), 2.0, 1e-3).epsilon(20)
                           for more in [(), (60, 100), (12, 100)])
    assert capped == pytest.approx(free, rel=1e-6) and tight > 1.1 * free
    assert Ledger(PoissonSampling(0.1, 100, 100), 2.0, 1e-3).epsilon(20) == free


@pytest.mark.parametrize("sampling", SAMPLERS, ids=str)
def test_nothing_released_costs_nothing_and_no_noise_costs_everything(sampling):
    assert Ledger(sampling, 1.0, 1e-3).epsilon(0) == 0.0 == Ledger(sampling, 0, 1e-3).epsilon(0)
    assert Ledger(sampling, 0, 1e-3).epsilon(1) == math.inf == Ledger(sampling, 0.0, 1e-3).so_far(1, 5)
    assert Ledger(sampling, 1.0, 1e-3).so_far(0, 0) == 0.0


@pytest.mark.parametrize("sampling", [PoissonSampling(0.1), FixedSampling(10, 100), Everyone()], ids=str)
def test_more_rounds_less_noise_and_less_delta_cost_more(sampling):
    middle = Ledger(sampling, 2.0, 1e-3)
    assert middle.epsilon(10) < middle.epsilon(11)
    assert middle.epsilon(10) < Ledger(sampling, 1.9, 1e-3).epsilon(10)
    assert middle.epsilon(10) < Ledger(sampling, 2.0, 1e-4).epsilon(10)


# --- the live number ------------------------------------------------------------------------------------

@pytest.mark.parametrize("sampling", SAMPLERS, ids=str)
@pytest.mark.parametrize("total", [1, 70])
def test_the_live_number_rises_to_the_reported_one(sampling, total):
    ledger = Ledger(sampling, 1.5, 1e-3)
    line = curve(ledger, total)
    assert line[0] == 0.0 and line[-1] == ledger.epsilon(total)
    assert all(before <= after for before, after in zip(line, line[1:], strict=False))


@pytest.mark.parametrize("q, z, delta", [
    (0.1, 1.0, 1e-5), (0.01, 1.1, 1e-5), (0.9, 20.0, 1e-3)])
def test_the_live_number_is_an_upper_bound_and_not_far_above(q, z, delta):
    ledger = Ledger(PoissonSampling(q), z, delta)
    for done in (1, 32, 33, 129, 513):     # the worst cases are one past a power of two
        live, reported = ledger.so_far(done, 1000), ledger.epsilon(done)
        assert reported * (1 - 1e-9) <= live <= 1.065 * reported
        if done <= 32:
            assert live == pytest.approx(reported, rel=1e-3)


def test_the_live_number_is_exact_without_poisson_sampling():
    for sampling in (Everyone(), FixedSampling(10, 100)):
        ledger = Ledger(sampling, 3.0, 1e-3)
        assert [ledger.so_far(t, 1000) for t in (1, 33, 999)] == [ledger.epsilon(t) for t in (1, 33, 999)]


@QUICK
@given(st.floats(1e-4, 1), st.floats(0.3, 30), st.sampled_from([1e-3, 1e-6]), st.integers(1, 20_000))
def test_the_live_number_never_falls(q, z, delta, total):
    ledger = Ledger(PoissonSampling(q), z, delta)
    marks = sorted({1, 2, 3, 31, 32, 33, 64, 65, 512, 513, 9000, total // 2, total - 1, total})
    line = [ledger.so_far(done, total) for done in marks if 0 <= done <= total]
    assert all(before <= after for before, after in zip(line, line[1:], strict=False))
    assert line[-1] == ledger.epsilon(total)


def test_a_resumed_run_reports_the_same():
    ledger = Ledger(PoissonSampling(0.1), 1.0, 1e-5)
    first = [ledger.so_far(done, 400) for done in (7, 77, 399, 400)]
    for cached in (accountant._final, accountant._composed, accountant._one_round):
        cached.cache_clear()
    again = [Ledger(PoissonSampling(0.1), 1.0, 1e-5).so_far(done, 400) for done in (400, 399, 77, 7)]
    assert first == again[::-1]


def test_hopeless_runs_answer_inf_quickly_and_still_rise():
    ledger = Ledger(PoissonSampling(0.1), 1.0, 1e-5)
    line = [ledger.so_far(done, 100_000) for done in (1, 10_000, 60_000, 65_000, 70_000, 100_000)]
    assert line == sorted(line) and line[2] < 700 and line[-1] == math.inf
    assert Ledger(PoissonSampling(0.1), 0.01, 1e-5).epsilon(1) == math.inf
    assert Ledger(PoissonSampling(0.1), 1.0, 1e-300).epsilon(10) == math.inf


# --- delta, words and bad input -------------------------------------------------------------------------

def test_suggested_delta():
    assert suggested_delta(1000) == pytest.approx(10 ** -3.3)
    assert suggested_delta(500_000) == 1e-6
    for population in (2, 10, 100, 10_000, 999_999, 10**6, 10**9):
        assert 0 < suggested_delta(population) < 1 / population
    with pytest.raises(ValueError, match="population is 1 but must be"):
        suggested_delta(1)


@pytest.mark.parametrize("make, field", [
    (lambda: PoissonSampling(0.0), "q"),
    (lambda: PoissonSampling(1.1), "q"),
    (lambda: PoissonSampling(math.nan), "q"),
    (lambda: PoissonSampling("0.1"), "q"),
    (lambda: PoissonSampling(0.1, cap=10), "population"),
    (lambda: PoissonSampling(0.1, population=10), "cap"),
    (lambda: PoissonSampling(0.1, cap=11, population=10), "cap"),
    (lambda: PoissonSampling(0.1, cap=0, population=10), "cap"),
    (lambda: FixedSampling(11, 10), "cohort"),
    (lambda: FixedSampling(0, 10), "cohort"),
    (lambda: FixedSampling(1.5, 10), "cohort"),
    (lambda: FixedSampling(1, 0), "population"),
    (lambda: Ledger(0.1, 1.0, 1e-5), "sampling"),
    (lambda: Ledger(Everyone(), -1.0, 1e-5), "noise_multiplier"),
    (lambda: Ledger(Everyone(), 0.001, 1e-5), "noise_multiplier"),
    (lambda: Ledger(Everyone(), math.inf, 1e-5), "noise_multiplier"),
    (lambda: Ledger(Everyone(), math.nan, 1e-5), "noise_multiplier"),
    (lambda: Ledger(Everyone(), 1.0, 0.0), "delta"),
    (lambda: Ledger(Everyone(), 1.0, 1.0), "delta"),
    (lambda: Ledger(Everyone(), 1.0, 1e-5).epsilon(-1), "rounds"),
    (lambda: Ledger(Everyone(), 1.0, 1e-5).epsilon(1.5), "rounds"),
    (lambda: Ledger(Everyone(), 1.0, 1e-5).so_far(6, 5), "rounds"),
    (lambda: Ledger(Everyone(), 1.0, 1e-5).so_far(0, -1), "total"),
])
def test_bad_values_are_refused_in_one_sentence(make, field):
    with pytest.raises(ValueError, match=rf"^{field} is .* but must be [^.]*.*; .*\.$"):
        make()


def test_docstring_examples():
    assert doctest.testmod(accountant).failed == 0
