"""The disparity decomposition of counts: what chance does and its correction, odd tables, and what is refused."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from fedlab_widgets.evaluate import pid
from fedlab_widgets.evaluate.pid import band, chance, decompose

# --- small samples --------------------------------------------------------------------------------


def fair(seed, clients=100, people=2000):
    """Group, prediction and client all independent: there is nothing to find."""
    rng = np.random.default_rng(seed)
    counts = np.zeros((2, 2, clients), dtype=np.int64)
    np.add.at(
        counts,
        (rng.integers(2, size=people), rng.integers(2, size=people), rng.integers(clients, size=people)),
        1,
    )
    return counts


def test_many_small_clients_look_masked_and_the_correction_undoes_it():
    found = [decompose(fair(seed)) for seed in range(8)]
    plain = np.mean([each.masked for each in found])
    assert plain == pytest.approx(
        0.041, abs=0.004
    )  # 100 / (2 * 2000 * ln 2) = .036 by Miller and Madow, which is low
    assert np.mean([each.corrected.masked for each in found]) < 0.005
    for each in found[:3]:
        lo, hi = each.band["masked"]
        assert (
            lo * 0.9 <= each.masked <= hi * 1.1 and lo > 0.02
        )  # the band of the very table has it, bias and all


def test_band_covers_fair_predictions_at_its_level():
    inside = 0
    for seed in range(60):
        counts = fair(seed, clients=20, people=1000)
        lo, hi = band(counts, draws=100, seed=seed, level=0.9)["local_disparity"]
        inside += lo <= decompose(counts).local_disparity <= hi
    assert 45 <= inside <= 60  # 54 expected, 2.3 standard deviation


def test_correction_of_a_tiny_client_is_the_mean_over_all_shuffles():
    # One client, four people, two of each group, two of each prediction. The table is [[k, 2-k], [2-k, k]],
    # with chance 1/6, 4/6, 1/6 for k = 0, 1, 2, and tells 1, 0, 1 bits: on average 1/3 bit by chance alone.
    counts = np.array([[2, 0], [0, 2]])[:, :, None]
    assert decompose(counts).corrected.global_disparity == pytest.approx(1 - 1 / 3)
    assert decompose(counts).corrected.local_disparity == pytest.approx(1 - 1 / 3)


def test_chance_is_the_mean_of_the_shuffles(info):
    counts = np.random.default_rng(3).poisson(3, (3, 2, 4))
    tables = pid.shuffled(counts, 4000, np.random.default_rng(0))
    assert (
        (tables.sum(1) == counts.sum(0)).all()
        and (tables.sum(2) == counts.sum(1)).all()
        and tables.min() >= 0
    )
    n, p = counts.sum((0, 1)), tables / counts.sum()
    drawn = np.mean([info(each, 1, 2) - info(each, 2) for each in p])
    assert n @ pid._chance(np.moveaxis(counts, 2, 0)) / n.sum() == pytest.approx(drawn, rel=0.03)


def test_correction_gives_back_what_small_clients_took_from_unique():
    # A unique disparity of .0385 bits at 100 clients of 20: plug-in calls most of it redundant and masked.
    rng, rate = np.random.default_rng(4), np.array([[0.85 * 0.6, 0.15 * 0.6], [0.65 * 0.4, 0.35 * 0.4]])
    truth = decompose(np.repeat(rate[:, :, None], 100, 2) / 100)
    draws = [np.moveaxis(rng.multinomial(20, rate.ravel(), 100).reshape(100, 2, 2), 0, 2) for _ in range(20)]
    plain = np.mean([decompose(each).unique for each in draws])
    corrected = np.mean([decompose(each).corrected.unique for each in draws])
    assert plain < 0.5 * truth.unique and corrected == pytest.approx(truth.unique, abs=0.008)


def test_band_keeps_real_redundancy_unless_everybody_is_shuffled():
    counts = np.array(
        [[[50, 0], [0, 0]], [[0, 0], [0, 50]]]
    )  # Yhat = Z = S: within a client nothing can be dealt out
    assert band(counts, draws=20)["redundant"] == (1.0, 1.0)
    assert band(counts, draws=20, shuffle="everybody")["redundant"][1] < 0.2


def test_chance_takes_the_further_of_shuffled_groups_and_dealt_people():
    # Two clients, each with one person of group 0 predicted 0 and one of group 1 predicted 1: all of it is unique.
    counts = np.array([[[1, 1], [0, 0]], [[0, 0], [1, 1]]])
    # Deal the four people anew: in 2 of 6 deals a client gets both of a kind, Z = Yhat = S, which is redundant 1 bit.
    # Groups shuffled over everybody: Z = Yhat, Z = S or Z = their sum up to a flip, 2 of 6 each; none is redundant.
    assert band(counts, shuffle="people")["redundant"] == (0.0, 1.0)
    assert band(counts, shuffle="everybody")["redundant"] == (0.0, 0.0)
    # Inside the clients: half of the time they differ in direction, masked 1 bit; dealing people never masks anything.
    assert band(counts)["masked"] == (0.0, 1.0) and band(counts, shuffle="people")["masked"] == (0.0, 0.0)
    assert chance(counts) == {"redundant": (0.0, 1.0), "unique": (0.0, 1.0), "masked": (0.0, 1.0)}
    assert chance(counts).draws == 200


def test_band_is_repeatable_lazy_and_says_its_draws(oracle_keys):
    counts = fair(0, clients=5)
    found = decompose(counts)
    assert "band" not in vars(found)
    assert found.band == band(counts) and found.band is found.band
    assert found.band != band(counts, seed=1)
    assert set(found.band) == set(oracle_keys) and found.band.draws == 200 and found.band.level == 0.95
    large = band(np.random.default_rng(0).poisson(9, (3, 2, 60)), draws=200)
    assert large.draws == 55 and all(lo <= hi for lo, hi in large.values())


# --- odd but right --------------------------------------------------------------------------------


def test_one_client_shares_and_masks_nothing():
    for groups in (2, 3):
        found = decompose(np.random.default_rng(0).poisson(20, (groups, 3, 1)))
        assert found.unique == pytest.approx(found.global_disparity) == pytest.approx(found.local_disparity)
        assert found.redundant == pytest.approx(0, abs=1e-12) and found.masked == pytest.approx(0, abs=1e-12)
        assert found.client_unique == pytest.approx(0, abs=1e-12)
        assert found.corrected.redundant == found.corrected.masked == 0


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_nothing_to_tell(values, groups):
    rng = np.random.default_rng(0)
    constant = np.zeros((groups, 2, 3), dtype=int)
    constant[:, 0] = rng.poisson(9, (groups, 3))
    lonely = np.zeros((groups, 2, 3), dtype=int)
    lonely[0] = rng.poisson(9, (2, 3))  # P(Z = z) = 0 for all groups but one
    for counts in (constant, lonely):
        found = decompose(counts)
        np.testing.assert_allclose(values(found)[[0, 1, 2, 4, 5]], 0, atol=1e-12)
        assert found.gap <= 1e-12 and found.band["masked"][1] < 1e-12


def test_clients_with_one_group_have_no_local_disparity():
    found = decompose([[[30, 0, 9], [10, 0, 1]], [[0, 20, 0], [0, 20, 0]]])
    assert found.local_disparity == pytest.approx(0, abs=1e-12) and found.masked == pytest.approx(
        0, abs=1e-12
    )
    assert found.redundant == found.global_disparity > 0.05  # clients tell all that predictions tell


def test_empty_clients_predictions_and_groups_change_nothing(values):
    for groups in (2, 3):
        counts = np.random.default_rng(1).poisson(20, (groups, 2, 4))
        padded = np.pad(counts, [(0, 1), (1, 0), (1, 2)])
        plain, wide = decompose(counts), decompose(padded)
        np.testing.assert_allclose(values(wide), values(plain), atol=1e-7 if groups == 3 else 1e-12)
        np.testing.assert_allclose(values(wide.corrected), values(plain.corrected), atol=1e-7)


def test_five_hundred_clients():
    found = decompose(np.random.default_rng(0).poisson(2, (2, 2, 500)))
    assert found.masked > 0.05 and found.corrected.masked < 0.02
    one = np.random.default_rng(0).poisson(50, (2, 2, 1))
    same = decompose(np.repeat(one, 500, 2))  # clients all alike: S tells nothing
    assert (
        same.unique
        == pytest.approx(same.global_disparity, abs=1e-12)
        == pytest.approx(same.local_disparity, abs=1e-12)
    )


def test_lists_arrays_and_tensors_are_the_same(values):
    counts = np.random.default_rng(0).poisson(20, (2, 2, 3))
    for other in (
        counts.tolist(),
        torch.tensor(counts),
        counts.astype(np.uint8),
        torch.tensor(counts, dtype=torch.int32),
    ):
        assert decompose(other) == decompose(counts)
    p = torch.tensor(counts / counts.sum(), dtype=torch.float32, requires_grad=True)
    np.testing.assert_allclose(values(decompose(p)), values(decompose(counts)), atol=1e-6)


def test_a_disparity_is_frozen_and_does_not_watch_the_input():
    counts = fair(0)
    found = decompose(counts)
    before = found.counts.copy()
    counts[:] = 0
    assert (found.counts == before).all()
    with pytest.raises(ValueError):
        found.counts[0, 0, 0] = 1
    with pytest.raises(AttributeError):
        found.unique = 0
    assert replace(found, unique=0.5).unique == 0.5 and asdict(found)["gap"] == 0.0


# --- refused --------------------------------------------------------------------------------------

GOOD = np.full((2, 2, 2), 0.125)
NAN, NEGATIVE = GOOD.copy(), np.ones((2, 2, 2), dtype=int)
NAN[0, 1, 0], NEGATIVE[1, 0, 1] = np.nan, -3
BAD = {
    "two axes": ([[1, 2], [3, 4]], "has 2 axes"),
    "a number": (3, "has 0 axes"),
    "nothing": (None, "has dtype object"),
    "words": ([[["a"]]], "has dtype"),
    "ragged": ([[[1, 2], [3]]], "is no array"),
    "bool": (np.ones((2, 2, 2), dtype=bool), "has dtype bool"),
    "complex": (GOOD.astype(complex), "has dtype complex"),
    "bool tensor": (torch.ones(2, 2, 2, dtype=torch.bool), "has dtype bool"),
    "nan": (NAN, r"is nan at \[0, 1, 0\]"),
    "infinite": (GOOD * np.inf, "is inf at"),
    "negative": (NEGATIVE, r"is -3 at \[1, 0, 1\]"),
    "floats that are counts": (GOOD * 64, "sums to 64; floats are probabilities.*pass integers"),
    "floats all zero": (GOOD * 0, "sums to 0; floats"),
    "nobody": (np.zeros((2, 2, 2), dtype=int), "sums to 0; it must hold from 1"),
    "no clients": (np.zeros((2, 2, 0), dtype=int), "sums to 0; it must hold from 1"),
    "eleven groups": (np.ones((11, 2, 2), dtype=int), "has 11 groups; up to 10"),
    "too many people": (np.full((2, 2, 2), 2**60), "2\\*\\*53"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_counts_are_refused_in_a_sentence(name):
    counts, words = BAD[name]
    with pytest.raises(ValueError, match=f"^counts .*{words}"):
        decompose(counts)
    with pytest.raises(ValueError, match=f"^counts .*{words}"):
        band(counts)


def test_bad_arguments_of_band():
    for bad, words in [
        ({"draws": 0}, "draws is 0"),
        ({"level": 1}, "level is 1"),
        ({"shuffle": "x"}, "shuffle is 'x'"),
    ]:
        with pytest.raises(ValueError, match=words):
            band(fair(0), **bad)
    with pytest.raises(ValueError, match="counts holds floats"):
        band(GOOD)
    with pytest.raises(ValueError, match="below 10\\*\\*9"):
        band(np.full((2, 2, 2), 10**9))
    assert decompose(np.full((2, 2, 2), 10**9)).local_disparity == pytest.approx(0, abs=1e-12)
