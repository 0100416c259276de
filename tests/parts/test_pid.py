"""The disparity decomposition against values by hand, an oracle file, its identities and its certificate."""

import doctest
import json
import math
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedlab_widgets.evaluate import pid, pid_cone
from fedlab_widgets.evaluate.pid import atoms_binary, band, decompose

ORACLE = json.loads((Path(__file__).parents[1] / "oracles" / "pid.json").read_text())
KEYS = {
    "unique": "uni_Z_Yhat_given_not_S__unique_disparity",
    "redundant": "red_Z_Yhat_S__redundant_disparity",
    "masked": "syn_Z_Yhat_S__masked_disparity",
    "client_unique": "uni_Z_S_given_not_Yhat",
    "global_disparity": "I_Z_Yhat__global_disparity",
    "local_disparity": "I_Z_Yhat_given_S__local_disparity",
}
QUICK = settings(deadline=None, max_examples=60, derandomize=True)


def h(p):
    """Entropy of a coin, in bits."""
    return -sum(x * math.log2(x) for x in (p, 1 - p) if x)


def table(weight, shape=(2, 2, 2)):
    """[Z, Yhat, S] from a function of (z, yhat, s)."""
    return np.array(
        [[[weight(z, y, s) for s in range(shape[2])] for y in range(shape[1])] for z in range(shape[0])]
    )


def values(found):
    return np.array([getattr(found, name) for name in KEYS])


# --- values by hand: (table, unique, redundant, masked) -------------------------------------------

AND = 1.5 - 0.75 * math.log2(3)  # I(Z; Z and S) of fair bits: h(1/4) - 1/2
CANONICAL = {
    # Z and S fair and independent, Yhat = Z: one bit, the same at each client; S tells nothing.
    "pure unique": (table(lambda z, y, s: (y == z) / 4), 1, 0, 0),
    # Yhat = Z = S: one bit over everybody, none inside a client that holds one group: G = 1, L = 0.
    "pure redundant": (table(lambda z, y, s: (z == y == s) / 2), 0, 1, 0),
    # Yhat = S, and S = Z nine times in ten: G = I(Z; S) = 1 - h(.1); inside a client Yhat is constant.
    "redundant 90%": (table(lambda z, y, s: (y == s) * (0.45 if z == s else 0.05)), 0, 1 - h(0.1), 0),
    # Yhat = Z xor S: independent of Z over everybody, Z or its opposite inside a client: G = 0, L = 1.
    "pure masked": (table(lambda z, y, s: (y == z ^ s) / 4), 0, 0, 1),
    # Rates .2 and .6 at one client, .6 and .2 at the other: .4 for both groups over everybody, so G = 0;
    # inside a client the rate is .4 as well, so L = h(.4) - (h(.2) + h(.6)) / 2 = .124511.
    "sign flip": (
        table(lambda z, y, s: abs(1 - y - (0.6 if z ^ s else 0.2)) / 4),
        0,
        0,
        h(0.4) - (h(0.2) + h(0.6)) / 2,
    ),
    # Yhat = Z and S: I(Z; S) = 0 so redundant = 0 and unique = G = h(1/4) - h(1/2)/2; L = 1/2, from client 1.
    "yhat = z and s": (table(lambda z, y, s: (y == (z & s)) / 4), AND, 0, 0.5 - AND),
    # Z = Yhat and S, Yhat and S fair: (Z, Yhat) and (Z, S) are alike, so Yhat knows no more than S.
    "z = yhat and s": (table(lambda z, y, s: (z == (y & s)) / 4), 0, AND, 0.5),
    # Yhat is Z flipped one time in five, four clients alike: G = L = 1 - h(.2).
    "noisy unique": (table(lambda z, y, s: (0.8 if y == z else 0.2) / 8, (2, 2, 4)), 1 - h(0.2), 0, 0),
    # Z = (Yhat, S), four groups: Yhat is one half of Z and S the other: one bit each, nothing shared.
    "copy": (table(lambda z, y, s: (z == 2 * y + s) / 4, (4, 2, 2)), 1, 0, 0),
    "constant": (table(lambda z, y, s: (y == 0) * (1 + z + s) / 15, (2, 2, 3)), 0, 0, 0),
}


@pytest.mark.parametrize("name", CANONICAL)
def test_canonical_tables_by_hand(name):
    p, *parts = CANONICAL[name]
    found = decompose(p)
    np.testing.assert_allclose([found.unique, found.redundant, found.masked], parts, atol=1e-12)
    assert found.gap <= 1e-12 and found.corrected is None and found.band is None


@pytest.mark.parametrize("case", ORACLE["cases"], ids=lambda case: case["name"])
def test_oracle(case):
    found = decompose(case["pmf"])
    for name, key in KEYS.items():
        slack = case["abs_tol_bits"] + (1e-12 if len(case["pmf"]) == 2 else 1e-8)
        assert abs(getattr(found, name) - case["values_bits"][key]) <= slack, name
    assert found.gap < 1e-6


# --- properties -----------------------------------------------------------------------------------

SMALL = st.tuples(st.integers(2, 2), st.integers(1, 4), st.integers(1, 6))
COUNTS = SMALL.flatmap(lambda shape: arrays(np.int64, shape, elements=st.integers(0, 30))).filter(
    lambda c: c.sum()
)


def info(p, *keep):
    """I(Z; the axes in keep), from entropies, apart from the module's own arithmetic."""

    def entropy(axes):
        q = p.sum(tuple(set(range(3)) - set(axes))).ravel()
        return -sum(x * math.log2(x) for x in q if x > 0)

    return entropy((0,)) + entropy(keep) - entropy((0, *keep))


def check_identities(counts, found, slack=1e-9):
    p = counts / counts.sum()
    G, mix, joint = info(p, 1), info(p, 2), info(p, 1, 2)
    L = joint - mix
    uni, red, syn, uni_s = found.unique, found.redundant, found.masked, found.client_unique
    assert min(uni, red, syn, uni_s) >= 0
    pairs = [(G, uni + red), (L, uni + syn), (mix, uni_s + red), (joint - G, uni_s + syn)]
    pairs += [(joint, uni + uni_s + red + syn), (G - L, red - syn)]
    pairs += [(G, found.global_disparity), (L, found.local_disparity)]
    for left, right in pairs:
        assert left == pytest.approx(right, abs=slack)
    assert max(0, G - mix) - slack <= uni <= min(G, L) + slack
    assert max(0, G - L) - slack <= red <= min(G, mix) + slack
    assert max(0, L - G) - slack <= syn <= min(L, joint - G) + slack


@QUICK
@given(COUNTS)
def test_identities_and_bounds(counts):
    check_identities(counts, decompose(counts))


@QUICK
@given(COUNTS)
def test_corrected_parts_keep_the_identities(counts):
    plain, found = decompose(counts), decompose(counts).corrected
    assert min(values(found)) >= 0
    assert found.unique + found.redundant == pytest.approx(found.global_disparity, abs=1e-12)
    assert found.unique + found.masked == pytest.approx(found.local_disparity, abs=1e-12)
    assert found.global_disparity <= plain.global_disparity + 1e-12
    assert found.corrected is None and found.band is None


@QUICK
@given(COUNTS, st.randoms(use_true_random=False))
def test_names_of_groups_predictions_and_clients_do_not_matter(counts, random):
    z, y, s = (random.sample(range(n), n) for n in counts.shape)
    np.testing.assert_allclose(
        values(decompose(counts[z][:, y][:, :, s])), values(decompose(counts)), atol=1e-12
    )


@QUICK
@given(COUNTS)
def test_only_masked_sees_more_than_the_pairs(counts):
    # Same (Z, Yhat) and (Z, S), but Yhat and S independent given Z: all but masked and L must stay.
    p = counts / counts.sum()
    group = p.sum((1, 2))[:, None, None]
    loose = np.divide(
        p.sum(2)[:, :, None] * p.sum(1)[:, None, :], group, out=np.zeros_like(p), where=group > 0
    )
    before, after = decompose(p), decompose(loose)
    for name in ("unique", "redundant", "client_unique"):
        assert getattr(before, name) == pytest.approx(getattr(after, name), abs=1e-12)


@QUICK
@given(COUNTS, st.integers(0, 5), st.floats(0.1, 0.9))
def test_a_client_cut_in_two_changes_nothing_but_masked(counts, at, share):
    p, at = counts / counts.sum(), at % counts.shape[2]
    cut = np.concatenate([p, (1 - share) * p[:, :, at : at + 1]], 2)
    cut[:, :, at] *= share
    np.testing.assert_allclose(values(decompose(cut)), values(decompose(p)), atol=1e-12)


@pytest.mark.parametrize("shape", [(3, 2, 2), (3, 3, 4), (4, 2, 10), (5, 4, 3), (10, 2, 3)])
@pytest.mark.parametrize("mean", [1, 30])
def test_three_and_more_groups(shape, mean):
    counts = np.random.default_rng(mean).poisson(mean, shape)
    found = decompose(counts)
    check_identities(counts, found)
    assert 0 <= found.gap < 1e-6
    split = np.concatenate([counts, np.zeros_like(counts[:1])]) if shape[0] < 10 else counts  # an empty group
    np.testing.assert_allclose(values(decompose(split)), values(found), atol=found.gap + 1e-8)


def test_closed_form_and_cone_agree_on_two_groups():
    rng = np.random.default_rng(0)
    for draw in range(40):
        shape = (2, rng.integers(2, 5), rng.integers(1, 8))
        counts = (
            rng.poisson(rng.choice([0.7, 5, 100]), shape)
            + np.eye(2, dtype=int)[:, [0, 1] + [0] * (shape[1] - 2), None]
        )
        p = counts / counts.sum()
        unique, gap = pid_cone._cone(p.sum(2), p.sum(1))
        exact = decompose(p).unique
        assert unique - gap - 1e-12 <= exact <= unique + 1e-12, draw  # the certificate holds
        assert gap < 1e-5


def test_the_certificate_holds_whatever_the_solver_says():
    rng = np.random.default_rng(1)
    for _ in range(20):
        p = rng.dirichlet(np.ones(2 * 3 * 4)).reshape(2, 3, 4)
        zy, zs = p.sum(2), p.sum(1)
        q = pid_cone._feasible(rng.random((2, 3, 4)), zy, zs)
        np.testing.assert_allclose(q.sum(2), zy, atol=1e-15)
        np.testing.assert_allclose(q.sum(1), zs, atol=1e-15)
        upper, exact = pid_cone._local_nats(q, zs), decompose(p).unique * math.log(2)
        assert (
            pid_cone._certificate(q, rng.normal(size=(2, 3)), zy, zs, upper) <= exact + 1e-12 <= upper + 2e-12
        )


def test_a_batch_is_its_tables_one_by_one():
    p = np.random.default_rng(2).dirichlet(np.full(2 * 3 * 5, 0.3), 50).reshape(50, 2, 3, 5)
    batch = atoms_binary(p)
    for i, each in enumerate(p):
        np.testing.assert_allclose([batch[name][i] for name in KEYS], values(decompose(each)), atol=1e-12)


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


def test_chance_is_the_mean_of_the_shuffles():
    counts = np.random.default_rng(3).poisson(3, (3, 2, 4))
    tables = pid._shuffled(counts, 4000, np.random.default_rng(0))
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


def test_band_is_repeatable_lazy_and_says_its_draws():
    counts = fair(0, clients=5)
    found = decompose(counts)
    assert "band" not in vars(found)
    assert found.band == band(counts) and found.band is found.band
    assert found.band != band(counts, seed=1)
    assert set(found.band) == set(KEYS) and found.band.draws == 200 and found.band.level == 0.95
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
def test_nothing_to_tell(groups):
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


def test_empty_clients_predictions_and_groups_change_nothing():
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


def test_lists_arrays_and_tensors_are_the_same():
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


# --- examples and speed ---------------------------------------------------------------------------


@pytest.mark.parametrize("module", [pid, pid_cone])
def test_the_examples_in_the_docstrings(module):
    result = doctest.testmod(module)
    assert result.attempted and not result.failed


def test_speed_is_printed(capsys):
    """Printed (pytest -s), never asserted: machines differ."""
    rng = np.random.default_rng(0)

    def timed(what, work, repeat):
        start = time.perf_counter()
        for _ in range(repeat):
            work()
        print(f"{what:40s} {1e3 * (time.perf_counter() - start) / repeat:9.3f} ms")

    many = rng.dirichlet(np.ones(80), 10_000).reshape(-1, 2, 2, 20)
    wide = rng.poisson(20, (2, 2, 100))
    three = rng.poisson(20, (3, 3, 4))
    with capsys.disabled():
        print()
        timed("10 000 tables 2 x 2 x 20, closed form", lambda: atoms_binary(many), 1)
        timed("2 x 2 x 100, probabilities", lambda: decompose(wide / wide.sum()), 20)
        timed("2 x 2 x 100, counts, corrected", lambda: decompose(wide), 20)
        timed("2 x 2 x 100, band of 200", lambda: band(wide), 3)
        timed("3 x 3 x 4, cone", lambda: decompose(three), 5)
        timed("3 x 3 x 4, band of 200", lambda: band(three), 1)
