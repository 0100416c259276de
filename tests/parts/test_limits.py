"""The best accuracy within limits: against values by hand, reference optima, brute force, and its own prices."""

import doctest
import json
import math
from pathlib import Path

import numpy as np
import pytest

from fedlab_widgets.audit import Audit
from fedlab_widgets.evaluate import limits as module
from fedlab_widgets.evaluate.limits import frontier, limits
from fedlab_widgets.evaluate.pid import decompose
from fedlab_widgets.part import BadInput

SCENARIOS = json.loads((Path(__file__).parents[1] / "oracles" / "pid.json").read_text())["aglfop"]["scenarios"]
POINTS = [(name, point) for name, s in SCENARIOS.items() for point in s["points"]]
ADULT = np.array([[14423, 1769], [22732, 9918]])   # [group, label]


def people(name):
    """A scenario's distribution as [group, label, client]; printed to 16 digits, it sums to 1."""
    return np.array(SCENARIOS[name]["p_zsy"]).transpose(0, 2, 1)


def draw(seed, shape, mean=20):
    return np.random.default_rng(seed).integers(1, 4 * mean, shape)


def coin(h):
    """Entropy in bits."""
    h = np.clip(h, 1e-300, 1 - 1e-16)
    return -(h * np.log2(h) + (1 - h) * np.log2(1 - h))


@pytest.mark.parametrize(("name", "point"), POINTS, ids=[f"{n}-{p['eps_g']}-{p['eps_l']}" for n, p in POINTS])
def test_reference_optima(name, point):
    best = limits(people(name), point["eps_g"], point["eps_l"])
    assert abs(best.accuracy - point["accuracy"]) < 1e-4    # theirs solved a zero limit as 1e-9 bits
    assert 0 <= best.gap < 1e-6
    # The reference may exceed ours by its slack at zero, never by more than ours says is possible elsewhere.
    if point["eps_g"] and point["eps_l"]:
        assert point["accuracy"] <= best.accuracy + best.gap + 1e-6


# --- by hand ------------------------------------------------------------------------------------------------------

def test_label_is_group_and_two_clients_alike():
    # Label = group, 30 people of group 0 and 70 of group 1 at clients that are alike. Equal rates r for both groups:
    # accuracy .3 (1 - r) + .7 r, at best .7 = the larger group's share. Without limits it is 1.
    alike = np.array([[[15, 15], [0, 0]], [[0, 0], [35, 35]]])
    for caps in ((0, 0), (0, math.inf), (math.inf, 0)):
        best = limits(alike, *caps)
        assert best.accuracy == pytest.approx(0.7, abs=1e-9) and best.gap < 1e-8
    assert limits(alike).accuracy == 1 and limits(alike, 1, 1).accuracy == 1


def test_equal_rates_meet_at_the_weighted_median():
    # No disparity means one rate r for both. A group whose share of label 1 is b errs on |r - b| of its people, so that
    # the error is sum P(z) |r - b_z|, least at the weighted median: the men's share, .669 of all people are men.
    p = ADULT / ADULT.sum()
    women, men = p[:, 1] / p.sum(1)
    best = limits(ADULT[:, :, None], 0)
    assert best.accuracy == pytest.approx(1 - p[0].sum() * (men - women), abs=1e-9)


def test_clients_with_one_group_each_have_no_local_disparity():
    # Client = group = label: L = 0 whatever is predicted, G = I(Z; Yhat). Locally fair at no cost; globally, 1/2.
    apart = np.zeros((2, 2, 2), int)
    apart[0, 0, 0] = apart[1, 1, 1] = 50
    assert limits(apart, most_local=0).accuracy == pytest.approx(1, abs=1e-8)
    best = limits(apart, most_global=0)
    assert best.accuracy == pytest.approx(0.5, abs=1e-8) and best.local_price == 0


def test_masked_clients_are_globally_fair_at_no_cost():
    # Label = group xor client: P(label | group) = 1/2, so truth has G = 0 and L = 1 bit. Local fairness leaves 1/2:
    # at each client the label is the group (or its opposite), and equal rates are right on half.
    masked = np.zeros((2, 2, 2), int)
    for z in range(2):
        for s in range(2):
            masked[z, z ^ s, s] = 25
    assert limits(masked, most_global=0).accuracy == 1
    best = limits(masked, most_local=0)
    assert best.accuracy == pytest.approx(0.5, abs=1e-8)
    assert best.local_more > 1 and best.local_price == math.inf and best.global_price == 0


@pytest.mark.parametrize("most", [0.002, 0.01, 0.05, 0.1])
def test_one_client_against_brute_force(most):
    # One client, two groups of shares P(z) and base rates b(z). At a rate h(z) the least error is P(z) |h - b|: try
    # all pairs of rates on a fine grid. The grid finds no more than the best, and nearly that.
    counts = np.array([[[40], [10]], [[15], [55]]])
    p = counts[:, :, 0] / counts.sum()
    share, base = p.sum(1), p[:, 1] / p.sum(1)
    h0, h1 = np.meshgrid(np.linspace(0, 1, 2001), np.linspace(0, 1, 2001), indexing="ij")
    G = coin(share[0] * h0 + share[1] * h1) - share[0] * coin(h0) - share[1] * coin(h1)
    accuracy = np.where(most >= G, 1 - share[0] * abs(h0 - base[0]) - share[1] * abs(h1 - base[1]), 0).max()
    best = limits(counts, most)
    assert accuracy <= best.accuracy + best.gap + 1e-12 and accuracy > best.accuracy - 1e-3


# --- properties ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("shape", [(2, 2, 1), (2, 2, 3), (3, 2, 4), (10, 2, 2), (2, 2, 40)])
@pytest.mark.parametrize("caps", [(0.01, 0.02), (0, 0.02), (0.01, 0), (0, 0), (0, math.inf)])
def test_the_table_keeps_the_people_and_the_limits(shape, caps):
    counts = draw(3, shape)
    best = limits(counts, *caps)
    t, p = best.table, counts / counts.sum()
    assert (t >= 0).all() and np.allclose(t.sum(2), p, atol=1e-15)
    assert t[:, 0, 0].sum() + t[:, 1, 1].sum() == pytest.approx(best.accuracy, abs=1e-12)
    told = best.disparity if shape[0] * shape[2] < 20 else decompose(best.table.sum(1))
    assert told.global_disparity == pytest.approx(best.global_disparity, abs=1e-12)
    assert told.local_disparity == pytest.approx(best.local_disparity, abs=1e-12)
    for cap, found in zip(caps, (told.global_disparity, told.local_disparity), strict=True):
        assert found <= cap + 1e-12         # a limit of zero: exactly zero
    assert 0 <= best.gap < 1e-5


def test_monotone_and_concave():
    front = frontier(draw(1, (3, 2, 3)), np.linspace(0, 0.04, 5), np.linspace(0, 0.08, 5))
    assert front.gap < 1e-6
    for axis in (0, 1):
        steps = np.diff(front.accuracy, axis=axis)
        assert (steps >= 0).all() and steps.max() > 1e-3
        assert (np.diff(steps, axis=axis) <= 1e-6).all()     # each hundredth buys less than the one before


def test_the_frontier_is_limits_on_a_grid():
    counts, seen = draw(2, (2, 2, 4)), []
    front = frontier(counts, [0, 0.004, 0.02], [0.001, 0.1], on_row=lambda *at: seen.append(at))
    for i, g in enumerate(front.global_limits):
        for j, local in enumerate(front.local_limits):
            best = limits(counts, g, local)
            assert front.accuracy[i, j] == pytest.approx(best.accuracy, abs=1e-6)
            if g:
                assert front.global_price[i, j] == pytest.approx(best.global_price, rel=1e-3, abs=1e-3)
    assert seen == [(1, 3), (2, 3), (3, 3)]
    plain = frontier(counts, points=3)
    truth = decompose(np.stack([counts[:, 0], counts[:, 1]], 1))
    assert plain.global_limits == pytest.approx(truth.global_disparity * np.array([0, 0.25, 1]))
    assert plain.local_limits == pytest.approx(truth.local_disparity * np.array([0, 0.25, 1]))
    assert plain.accuracy[-1, -1] == 1


@pytest.mark.parametrize(("seed", "shape", "shares"), [(0, (2, 2, 3), (0.5, 0.3)), (1, (3, 2, 2), (0.2, 0.6)),
                                                       (2, (2, 2, 8), (0.3, 0.7)), (3, (4, 2, 3), (0.1, 0.05))])
def test_prices_are_the_slopes(seed, shape, shares):
    counts = draw(seed, shape)
    truth = decompose(counts)      # perfect predictions: [group, prediction = label, client]
    at = np.array([truth.global_disparity, truth.local_disparity]) * shares
    best = limits(counts, *at)
    prices, more = (best.global_price, best.local_price), (best.global_more, best.local_more)
    for i, d in enumerate(0.01 * at):
        step = np.eye(2)[i]
        up, down = (limits(counts, *(at + sign * d * step)).accuracy for sign in (1, -1))
        # Points per hundredth of a bit: 100 points in 1, times 0.01.
        assert prices[i] == pytest.approx((up - down) / (2 * d), rel=0.01, abs=2e-3)
        bought = 100 * (limits(counts, *(at + 0.01 * step)).accuracy - best.accuracy)
        assert more[i] == pytest.approx(bought, abs=1e-6) and more[i] <= prices[i] + 1e-5
    assert max(prices) > 0.1


def test_a_limit_that_holds_anyway_is_free_and_words_say_so():
    counts = draw(0, (2, 2, 3))
    best = limits(counts, 0.01, 1.5)
    assert best.local_price == best.local_more == 0
    assert best.sentences[2] == "The limit on local disparity costs nothing here."
    assert "One hundredth of a bit less global disparity costs at least" in best.sentences[1]
    zero = limits(counts, 0)
    assert zero.global_price == math.inf and len(zero.sentences) == 2
    assert f"would buy {zero.global_more:.2f} points" in zero.sentences[1]


def test_empty_groups_and_clients_change_nothing():
    counts = draw(5, (2, 2, 3))
    wide = np.zeros((4, 2, 6), int)
    wide[np.ix_([0, 2], [0, 1], [1, 2, 5])] = counts
    for caps in ((0.01, 0.01), (0, 0)):
        some, more = limits(counts, *caps), limits(wide, *caps)
        assert some.accuracy == pytest.approx(more.accuracy, abs=1e-7) and more.table.shape == (4, 2, 2, 6)


@pytest.mark.parametrize("most", [1e-4, 1e-6, 1e-8, 1e-12])
def test_near_zero_the_gap_stays_honest(most):
    # A thousandth of a limit has at least a thousandth of the gain (concave), and never less than a limit of zero.
    counts = draw(7, (2, 2, 3))
    none, best = limits(counts, 0, 0), limits(counts, most, most)
    assert best.accuracy >= none.accuracy - 1e-9 and best.global_disparity <= most
    assert best.accuracy + best.gap >= none.accuracy + most / 0.01 * (limits(counts, 0.01, 0.01).accuracy
                                                                      - none.accuracy) - 1e-9
    assert best.gap < 5e-3


# --- what one model allows ----------------------------------------------------------------------------------------

def model(rates, counts):
    """Predictions [group, label, prediction, client] of a model with P(1 | group, label, client) = rates."""
    rates = np.broadcast_to(np.asarray(rates, float), counts.shape)
    return np.stack([counts * (1 - rates), counts * rates], 2).round().astype(int)


def test_post_processing_by_hand():
    # 100 people in each of the four kinds. Group 0 has (fpr, tpr) = (.2, .8): right on .8. Group 1 has (.7, .3), worse
    # than chance: flipped, (.3, .7), right on .7. Together .75, where plain limits say 1. Both predict 1 for half of a
    # group then, so that no disparity costs nothing more.
    counts = np.full((2, 2, 1), 100)
    of = model([[[0.2], [0.8]], [[0.7], [0.3]]], counts)
    for caps in ((), (0, 0)):
        best = limits(counts, *caps, of=of)
        assert best.accuracy == pytest.approx(0.75, abs=1e-7) and best.gap < 1e-6
    assert limits(counts, 0, 0).accuracy == 1
    assert "answers made from this model's cannot be right on more than 75.00 %" in best.sentences[0]
    # A coin that looks at nothing: only one rate for both labels is in reach, and 300 of 400 are 1 in group 1.
    counts = np.array([[[200], [200]], [[100], [300]]])
    assert limits(counts, of=model(0.5, counts)).accuracy == pytest.approx((200 + 300) / 800, abs=1e-7)


def test_opposite_mistakes_are_mended_only_by_who_knows_the_client():
    # Right at client 0, always wrong at client 1: over both, fpr = tpr = 1/2, so that labels cannot be told apart.
    counts = np.full((2, 2, 2), 50)
    of = model([[[0, 1], [1, 0]]] * 2, counts)
    assert limits(counts, of=of).accuracy == pytest.approx(0.5, abs=1e-7)
    assert limits(counts, of=of, each_client=True).accuracy == pytest.approx(1, abs=1e-7)


@pytest.mark.parametrize("each_client", [False, True])
@pytest.mark.parametrize("caps", [(), (0.004, 0.01), (0, 0)])
def test_rates_stay_in_the_parallelogram(each_client, caps):
    counts = draw(4, (2, 2, 3), 200)
    rates = np.random.default_rng(4).uniform(0.1, 0.45, counts.shape) + np.array([0, 0.4])[:, None]
    of = model(rates, counts)
    best = limits(counts, *caps, of=of, each_client=each_client)
    assert best.accuracy <= limits(counts, *caps).accuracy + 1e-9 and best.gap < 1e-6
    assert best.accuracy > 0.6
    axes = () if each_client else (3,)
    got, had = ((t.sum(axes) / t.sum(axes).sum(2, keepdims=True))[:, :, 1] for t in (best.table, of))
    # In the coordinates w of its sides (0, 0) to (fpr, tpr), and (0, 0) to (1 - fpr, 1 - tpr), a point has 0 <= w <= 1.
    had, got = np.moveaxis(had, 1, -1).reshape(-1, 2), np.moveaxis(got, 1, -1).reshape(-1, 2)
    for model_at, at in zip(had, got, strict=True):
        w = np.linalg.solve(np.stack([model_at, 1 - model_at], 1), at)
        assert (w > -1e-9).all() and (w < 1 + 1e-9).all()


# --- input --------------------------------------------------------------------------------------------------------

def test_an_audit_is_read_and_labels_beyond_two_are_one():
    counts = np.random.default_rng(0).integers(5, 40, (3, 2, 3, 3))   # [client, group, label, prediction]
    audit = Audit(counts, ("f", "m"), ("a", "b", "c"), 1, ("x", "y", "z"))
    people = np.stack([counts[:, :, [0, 2]].sum((2, 3)), counts[:, :, 1].sum(2)], 2).transpose(1, 2, 0)
    assert limits(audit, 0.001, 0.002) == limits(people, 0.001, 0.002)
    made = module.tables(audit)[1]
    assert made[1, 1, 1, 2] == counts[2, 1, 1, 1] and made[0, 1, 0, 1] == counts[1, 0, 1, [0, 2]].sum()
    assert limits(audit, of=audit).accuracy < limits(people).accuracy == 1


GOOD = np.full((2, 2, 2), 5)


@pytest.mark.parametrize(("arguments", "said"), [
    ((np.full((2, 3, 2), 5),), "counts has 3 labels; limits take two"),
    ((np.full((11, 2, 2), 5),), "counts has 11 groups; up to 10"),
    ((np.full((2, 2), 5),), r"counts is int64 \[2, 2\]"),
    (("people",), "must hold numbers"),
    (([[[1], [2, 3]]],), r"counts is \[\[\[1\], \[2, 3\]\]\]; it must hold numbers .* rows of equal length"),
    (("x",), r"counts is 'x'; it must hold numbers \[groups, 2 labels, clients\]: give such a table, .* or an Audit"),
    ((GOOD, 0, 0, "x"), r"of is 'x'; it must hold numbers"),
    ((GOOD * 1.0,), "sums to 40; floats are probabilities"),
    ((GOOD * 0,), "holds nobody"),
    ((GOOD - 6,), r"counts is -1 at \[0, 0, 0\]"),
    ((np.where(np.eye(2)[:, :, None], np.nan, 0.25).repeat(2, 2),), "is nan at"),
    ((GOOD, -0.1), "most_global = -0.1 is not allowed"),
    ((GOOD, 0, math.nan), "most_local = nan"),
    ((GOOD, 0, "low"), "most_local = 'low'"),
    ((GOOD, 0, 0, np.full((2, 2, 2, 3), 5)), r"of has \[2, 2, 2, 3\] cells"),
    ((GOOD, 0, 0, GOOD), "of is int64"),
    ((GOOD, 0, 0, np.full((2, 2, 2, 2), 5) * np.array([0, 1])[:, None, None, None]), "of holds nobody of group 0"),
])
def test_bad_input_is_refused_in_words(arguments, said):
    with pytest.raises(BadInput, match=said):
        limits(*arguments)


@pytest.mark.parametrize(("fields", "said"), [
    ({"points": 1}, "points = 1"), ({"points": 2.5}, "points = 2.5"),
    ({"global_limits": [0.1, 0.1]}, "global_limits = .* must increase"), ({"local_limits": 0.1}, "give a list of bits"),
    ({"local_limits": []}, "give a list of bits"), ({"local_limits": [-1, 0]}, "local_limits = -1.*is not allowed"),
])
def test_bad_grids_are_refused_in_words(fields, said):
    with pytest.raises(BadInput, match=said):
        frontier(GOOD, **fields)


def test_odd_people():
    one = limits([[[3, 2], [5, 1]]], 0, 0)                      # one group: no disparity, whatever is predicted
    assert one.accuracy == pytest.approx(1, abs=1e-8)
    alone = limits([[[0, 0], [7, 0]], [[0, 0], [0, 3]]], 0, 0)   # label 1 only
    assert alone.accuracy == pytest.approx(1, abs=1e-8)


def test_the_examples_in_the_docstrings():
    result = doctest.testmod(module)
    assert result.attempted and not result.failed
