"""The disparity decomposition against values by hand, an oracle file, its identities and its certificate."""

import doctest
import json
import math
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedlab_widgets.evaluate import pid, pid_cone
from fedlab_widgets.evaluate.pid import atoms_binary, band, decompose

ORACLE = json.loads((Path(__file__).parents[1] / "oracles" / "pid.json").read_text())
QUICK = settings(deadline=None, max_examples=60, derandomize=True)


def h(p):
    """Entropy of a coin, in bits."""
    return -sum(x * math.log2(x) for x in (p, 1 - p) if x)


def table(weight, shape=(2, 2, 2)):
    """[Z, Yhat, S] from a function of (z, yhat, s)."""
    return np.array(
        [[[weight(z, y, s) for s in range(shape[2])] for y in range(shape[1])] for z in range(shape[0])]
    )


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
def test_oracle(oracle_keys, case):
    found = decompose(case["pmf"])
    for name, key in oracle_keys.items():
        slack = case["abs_tol_bits"] + (1e-12 if len(case["pmf"]) == 2 else 1e-8)
        assert abs(getattr(found, name) - case["values_bits"][key]) <= slack, name
    assert found.gap < 1e-6


# --- properties -----------------------------------------------------------------------------------

SMALL = st.tuples(st.integers(2, 2), st.integers(1, 4), st.integers(1, 6))
COUNTS = SMALL.flatmap(lambda shape: arrays(np.int64, shape, elements=st.integers(0, 30))).filter(
    lambda c: c.sum()
)


def check_identities(info, counts, found, slack=1e-9):
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
def test_identities_and_bounds(info, counts):
    check_identities(info, counts, decompose(counts))


@QUICK
@given(COUNTS)
def test_corrected_parts_keep_the_identities(values, counts):
    plain, found = decompose(counts), decompose(counts).corrected
    assert min(values(found)) >= 0
    assert found.unique + found.redundant == pytest.approx(found.global_disparity, abs=1e-12)
    assert found.unique + found.masked == pytest.approx(found.local_disparity, abs=1e-12)
    assert found.global_disparity <= plain.global_disparity + 1e-12
    assert found.corrected is None and found.band is None


@QUICK
@given(COUNTS, st.randoms(use_true_random=False))
def test_names_of_groups_predictions_and_clients_do_not_matter(values, counts, random):
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
def test_a_client_cut_in_two_changes_nothing_but_masked(values, counts, at, share):
    p, at = counts / counts.sum(), at % counts.shape[2]
    cut = np.concatenate([p, (1 - share) * p[:, :, at : at + 1]], 2)
    cut[:, :, at] *= share
    np.testing.assert_allclose(values(decompose(cut)), values(decompose(p)), atol=1e-12)


@pytest.mark.parametrize("shape", [(3, 2, 2), (3, 3, 4), (4, 2, 10), (5, 4, 3), (10, 2, 3)])
@pytest.mark.parametrize("mean", [1, 30])
def test_three_and_more_groups(info, values, shape, mean):
    counts = np.random.default_rng(mean).poisson(mean, shape)
    found = decompose(counts)
    check_identities(info, counts, found)
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


def test_a_batch_is_its_tables_one_by_one(oracle_keys, values):
    p = np.random.default_rng(2).dirichlet(np.full(2 * 3 * 5, 0.3), 50).reshape(50, 2, 3, 5)
    batch = atoms_binary(p)
    for i, each in enumerate(p):
        np.testing.assert_allclose([batch[name][i] for name in oracle_keys], values(decompose(each)), atol=1e-12)


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
        timed("2 x 2 x 100, counts, corrected", lambda: decompose(wide).corrected, 20)
        timed("2 x 2 x 100, band of 200", lambda: band(wide), 3)
        timed("3 x 3 x 4, cone", lambda: decompose(three), 5)
        timed("3 x 3 x 4, band of 200", lambda: band(three), 1)
