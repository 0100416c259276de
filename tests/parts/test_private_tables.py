"""Count tables under differential privacy: the noise, its account, and what can still be seen through it."""

import doctest
import math

import numpy as np
import pytest

from fedlab_widgets.evaluate import pid, private_tables
from fedlab_widgets.evaluate.private_tables import TableLedger, band, chance, reading_of, release

ATOMS = ("unique", "redundant", "masked")


def people(clients, rows, rate, seed=0):
    """Counts [Z, Yhat, S]: so many people at each client, groups at even odds, predicted 1 by rate(z, s)."""
    rng = np.random.default_rng(seed)
    z, s = rng.integers(0, 2, (clients, rows)), np.arange(clients)[:, None].repeat(rows, 1)
    y = (rng.random((clients, rows)) < rate(z, s)).astype(int)
    counts = np.zeros((2, 2, clients), int)
    np.add.at(counts, (z, y, s), 1)
    return counts


def above(counts, epsilon, seed=0):
    """Which parts of a release lie above what chance and noise reach."""
    told = release(counts, epsilon, seed)
    reached = chance(told, draws=100)
    return {name for name in ATOMS if told.parts[name] > reached[name][1] + 1e-12}


# --- the noise -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epsilon", [0.5, 1.0, 4.0])
def test_the_noise_is_laplace_with_scale_one_over_epsilon(epsilon):
    # Density (e/2) exp(-e |x|): variance 2 * integral of x^2 (e/2) exp(-e x) over x > 0 = e * 2 / e^3 = 2 / e^2, mean
    # absolute value 1 / e, and P(|x| > t) = exp(-e t). A total is the noisy sum of one cell, so it changes nothing.
    counts = np.full((1, 1, 40_000), 1000)
    noise = release(counts, epsilon).tables.ravel() - 1000
    assert noise.var() == pytest.approx(2 / epsilon**2, rel=0.05)     # kurtosis 6: sd of the estimate is 1.1 %
    assert abs(noise).mean() == pytest.approx(1 / epsilon, rel=0.025)
    assert abs(noise.mean()) < 5 * math.sqrt(2 / epsilon**2 / noise.size)
    for t in (0.5 / epsilon, 2 / epsilon, 5 / epsilon):
        tail = math.exp(-epsilon * t)
        assert (abs(noise) > t).mean() == pytest.approx(tail, abs=5 * math.sqrt(tail / noise.size))


def test_laplace_by_hand():
    # The inverse of the distribution: the median is 0, and a quarter lies beyond log 2 on either side.
    np.testing.assert_allclose(private_tables._laplace(np.array([0.25, 0.5, 0.75])), [-math.log(2), 0, math.log(2)])
    assert np.isfinite(private_tables._laplace(np.array([0.0, 1 - 2.0**-53]))).all()


def test_the_noise_of_a_client_depends_on_seed_round_and_client_alone():
    counts = np.full((2, 2, 5), 50)
    first = release(counts, 1.0, seed=3, round=7).tables
    np.testing.assert_array_equal(first, release(counts, 1.0, seed=3, round=7).tables)
    np.testing.assert_array_equal(first[:, :, :3], release(counts[:, :, :3], 1.0, seed=3, round=7).tables)
    for other in ({"seed": 4, "round": 7}, {"seed": 3, "round": 8}):
        assert not np.isclose(first, release(counts, 1.0, **other).tables).any()
    assert not np.isclose(first[:, :, 0], first[:, :, 1]).any()


def test_clipped_and_scaled_by_hand():
    # Noisy cells 6, -2, 3, 1 sum to 8; clipped to 6, 0, 3, 1 they sum to 10: times 0.8, or times 2 for a declared 20.
    noisy = np.array([[6.0, -2.0, 3.0, 1.0], [-1.0, -2.0, -3.0, 5.0]])
    np.testing.assert_allclose(private_tables._finish(noisy, None), [[4.8, 0, 2.4, 0.8], [0, 0, 0, 0]])
    np.testing.assert_allclose(private_tables._finish(noisy, np.array([20, 3])), [[12, 0, 6, 2], [0, 0, 0, 3]])


def test_declared_totals_are_met_and_noisy_ones_are_right_on_average():
    counts = people(200, 30, lambda z, s: 0.3 + 0 * z)
    told = release(counts, 1.0, totals=counts.sum((0, 1)))
    np.testing.assert_allclose(told.tables.sum((0, 1)), 30)
    noisy = release(counts, 1.0).tables.sum((0, 1))
    # A sum of 4 cells has variance 8, the mean over 200 clients a deviation of sqrt(8 / 200) = 0.2.
    assert abs(noisy.mean() - 30) < 5 * 0.2 and noisy.var() == pytest.approx(8, rel=0.6)
    assert told.tables.min() >= 0


def test_tables_with_labels_are_released_cell_by_cell_and_summed():
    counts = np.random.default_rng(1).poisson(40, (6, 2, 2, 2))
    told = release(counts, 1.0)
    assert told.tables.shape == counts.shape and told.counts.shape == (2, 2, 6)
    np.testing.assert_allclose(told.counts[1, 0, 4], told.tables[4, 1, :, 0].sum())
    assert abs(told.tables - counts).max() < 20 and not np.isclose(told.tables, counts).any()
    assert set(chance(told, draws=20)) == set(ATOMS)


# --- the account -----------------------------------------------------------------------------------------


def test_epsilons_add_up_without_delta_and_shrink_with_it():
    plain, loose = TableLedger(0.1), TableLedger(0.1, delta=1e-5)
    assert [plain.epsilon(k) for k in (0, 1, 50)] == [0, 0.1, pytest.approx(5)]
    assert loose.epsilon(1) == 0.1
    curve = [loose.epsilon(k) for k in (1, 2, 10, 100, 400)]
    assert curve == sorted(curve) and curve[3] < 4.5 < plain.epsilon(100)
    # A Gaussian with the same spread of losses: mean k e (e^e - 1) / (e^e + 1) ~ 0.5, deviation ~ 1 after 100 releases;
    # delta = 1e-5 lies 4.26 deviations out, so epsilon is between 3 and 0.5 + 4.26.
    assert 3 < curve[3] < 4.76


def test_two_releases_by_hand():
    # The loss of one Laplace release is e with probability 1/2 (noise on the far side), so of two it is 2 e with at
    # least 1/4: with P and Q one apart, delta(eps) >= (1/4) (1 - exp(eps - 2 e)). A delta below that cannot give eps.
    e, delta = 1.0, 1e-3
    least = 2 * e + math.log(1 - 4 * delta)
    assert least <= TableLedger(e, delta).epsilon(2) <= 2 * e


def test_what_is_shown_after_each_round_is_cheap_and_no_less_than_what_was_spent():
    # Five significant bits: 70 is 1000110, counted as 1001000 = 72; 32 and what is below it are counted exactly.
    ledger = TableLedger(0.1, 1e-5)
    assert ledger.so_far(70) == ledger.epsilon(72) > ledger.epsilon(70)
    assert [ledger.so_far(k) for k in (0, 1, 31, 32)] == [ledger.epsilon(k) for k in (0, 1, 31, 32)]
    assert TableLedger(0.1).so_far(70) == pytest.approx(7)      # a sum is exact
    curve = [ledger.so_far(k) for k in range(1, 200)]
    assert curve == sorted(curve) and len(set(curve)) < 80


def test_the_readings_of_a_run_are_counted_by_round():
    # Read after 4, 8 and the last of 10 rounds; after every round; after the last alone.
    assert [reading_of(r, 4) for r in (4, 8, 10)] == [1, 2, 3]
    assert [reading_of(r, 1) for r in (1, 2, 3)] == [1, 2, 3] and reading_of(5, 100) == 1


def test_the_statement_says_what_was_spent_and_on_what():
    words = TableLedger(0.5, 1e-5).statement(30)
    for part in ("30 times", "scale 2", "epsilon = 0.5", "delta = 1e-05", "add or remove one person", "model is not"):
        assert part in words
    assert "epsilon = 3 (by addition" in TableLedger(1.0).statement(3)
    assert "once" in TableLedger(1.0).statement(1)


# --- what can be seen ---------------------------------------------------------------------------------------


def test_a_real_part_survives_with_thousands_of_rows():
    unique = people(10, 300, lambda z, s: np.where(z == 1, 0.7, 0.4))
    masked = people(10, 300, lambda z, s: np.where(z ^ s % 2 == 1, 0.7, 0.4))
    for seed in range(5):
        assert above(unique, 1.0, seed) == {"unique"}
        assert above(masked, 1.0, seed) == {"masked"}
        assert release(unique, 1.0, seed).parts["unique"] == pytest.approx(pid.decompose(unique).unique, abs=0.02)


def test_a_hundred_small_fair_clients_are_no_alarm():
    # 20 rows each: plug-in masked is far above zero, further through noise, and the band covers it. 0.025 of fair
    # tables lie above by design: 20 of them with 3 or more alarms would be one case in 80.
    alarms, reach, plain = 0, [], []
    for seed in range(20):
        counts = people(100, 20, lambda z, s: 0.5 + 0 * z, seed)
        told = release(counts, 1.0, seed)
        alarms += "masked" in above(counts, 1.0, seed)
        assert told.parts["masked"] > 0.03
        reach.append(chance(told, draws=50)["masked"][1])
        plain.append(pid.chance(counts, draws=50)["masked"][1])
    assert alarms <= 2
    assert np.mean(reach) > 1.2 * np.mean(plain)      # wider for the noise


def test_the_band_of_the_counts_would_cry_wolf():
    # What the widening is for: fair clients of 20 rows at epsilon 0.5, held against the band without noise.
    wolf = 0
    for seed in range(10):
        counts = people(100, 20, lambda z, s: 0.5 + 0 * z, seed)
        wolf += release(counts, 0.5, seed).parts["masked"] > pid.chance(counts, draws=50)["masked"][1]
    assert wolf >= 9


def test_noise_that_outweighs_the_counts_raises_few_alarms():
    # epsilon 0.2: noise of deviation 7 on cells of 5. Without drawing noisy sums to their mean one release in five was
    # above its band (30 of 150, other seeds); with it 5 of 150.
    alarms = sum("masked" in above(people(100, 20, lambda z, s: 0.5 + 0 * z, seed), 0.2, seed) for seed in range(40))
    assert alarms <= 4


def test_the_band_widens_as_epsilon_falls_and_ends_at_that_of_the_counts():
    counts = people(10, 100, lambda z, s: 0.5 + 0 * z)
    ends = [band(release(counts, epsilon), draws=100)["masked"][1] for epsilon in (0.1, 0.3, 1.0, 100.0)]
    assert ends == sorted(ends, reverse=True)
    assert ends[-1] == pytest.approx(pid.band(counts)["masked"][1], rel=0.25)


def test_the_band_is_made_from_the_release_alone():
    told = release(people(10, 100, lambda z, s: 0.5 + 0 * z), 1.0)
    again = private_tables.Released(told.tables.copy(), 1.0)
    assert band(told, draws=30) == band(again, draws=30)
    assert band(told, draws=30) != band(told, draws=30, seed=1)


# --- bad input ------------------------------------------------------------------------------------------------

FAIR = np.full((2, 2, 3), 20)


@pytest.mark.parametrize(("counts", "keys", "words"), [
    (FAIR / 240, {}, "float64"),
    (FAIR[0], {}, r"\[2, 3\]"),
    (-FAIR, {}, "-20"),
    (FAIR[:, :, :0], {}, r"\[2, 2, 0\]"),
    (FAIR, {"epsilon": 0}, "epsilon is 0"),
    (FAIR, {"epsilon": math.inf}, "epsilon is inf"),
    (FAIR, {"totals": [1, 2]}, "each of the 3 clients"),
    (FAIR, {"totals": [1, -2, 3]}, "at least 0"),
    (np.zeros((2, 2, 1), int), {"seed": 1, "totals": [0]}, "not all of them 0"),
])
def test_bad_tables_are_refused_in_words(counts, keys, words):
    with pytest.raises(ValueError, match=words):
        release(counts, **{"epsilon": 1.0, **keys})


def test_a_release_that_leaves_nobody_is_refused():
    seeds = [s for s in range(20) if (_empty(s))]
    assert 3 < len(seeds) < 17      # the noise of an empty table sums to less than 0 half of the time


def _empty(seed):
    try:
        release(np.zeros((2, 2, 1), int), 1.0, seed)
    except ValueError as error:
        assert "left nobody" in str(error)
        return True
    return False


def test_bad_arguments_are_refused_in_words():
    with pytest.raises(ValueError, match="delta is 1"):
        TableLedger(1.0, 1.0)
    with pytest.raises(ValueError, match="releases is -1"):
        TableLedger(1.0).epsilon(-1)
    told = release(FAIR, 1.0)
    with pytest.raises(ValueError, match="shuffle is 'all'"):
        band(told, shuffle="all")
    with pytest.raises(ValueError, match="draws is 0"):
        band(told, draws=0)
    with pytest.raises(ValueError, match="level is 1"):
        band(told, level=1)


@pytest.mark.parametrize("seed", range(3))
def test_three_groups_are_held_against_a_band_of_their_own(seed):
    # Fair predictions of three groups at six clients of 150: nothing above; one group favoured everywhere: unique is.
    rng = np.random.default_rng(seed)
    sizes = np.full((3, 6), 50)
    for rates, found in (((0.5, 0.5, 0.5), set()), ((0.2, 0.5, 0.8), {"unique"})):
        yes = rng.binomial(sizes, np.array(rates)[:, None])
        told = release(np.stack([sizes - yes, yes], 1), 1.0, seed)
        reached = chance(told, draws=20)
        assert {name for name in ("unique",) if told.parts[name] > reached[name][1] + 1e-6} == found
        assert told.parts["masked"] < 2 * reached["masked"][1]


@pytest.mark.parametrize("clients", [1, 500])
def test_one_client_and_five_hundred(clients):
    told = release(people(clients, 40, lambda z, s: np.where(z == 1, 0.8, 0.2)), 1.0)
    assert all(math.isfinite(bits) for bits in told.parts.values())
    assert all(lo <= hi for lo, hi in chance(told, draws=20).values())


def test_the_examples_in_the_docstrings():
    result = doctest.testmod(private_tables)
    assert result.attempted and not result.failed
