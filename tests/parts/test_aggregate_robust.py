"""Robust rules by hand, on the golden vectors of byzfl 0.0.11, and beside byzfl itself where it is installed."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets import aggregate as a
from fedlab_widgets.aggregate import rows as by_rows
from fedlab_widgets.bench import robust
from fedlab_widgets.engine import advance
from fedlab_widgets.executors import Stacked
from fedlab_widgets.plan import begin
from fedlab_widgets.types import Memory, never

ROWS = torch.tensor([[1, 2, 3], [2, 1, 4], [3, 3, 3], [2, 2, 2], [1, 3, 4], [50, -40, 30]], dtype=torch.float64)


def combine(rule, rows=ROWS, weights=None, round=1, mine=None):
    """The combined row and memory of rows, folded in two blocks, in a round of clients 0, 1, …"""
    rows = torch.as_tensor(rows, dtype=torch.float64)
    if rows.dim() == 1:
        rows = rows[:, None]
    weights = torch.ones(len(rows), dtype=torch.float64) if weights is None else torch.tensor(weights).double()
    total = rule.fold(rule.fold(None, rows[:2], weights[:2]), rows[2:], weights[2:])
    world = robust._World(len(rows))
    cohort = robust.Cohort(round, torch.arange(len(rows)), weights.long(), weights, weights.long() * 0, len(rows), 1.0)
    mine = mine or Memory({"sent": torch.zeros_like(rows)}, {"last": torch.zeros_like(rows[0])})
    return rule.combine(world, total, weights, float(weights.sum()), cohort, mine)


def value(rule, *args, **named):
    return combine(rule, *args, **named)[0].tolist()


def test_trimmed_mean():
    # Of 1, 2, 4, 9, 100 with f = 1: (2 + 4 + 9) / 3 = 5; f = 2: 4. Columns apart: of 5, 0, 7 with f = 1: 5.
    assert value(a.TrimmedMean(f=1), [4, 100, 1, 9, 2]) == [5] and value(a.TrimmedMean(f=2), [4, 100, 1, 9, 2]) == [4]
    assert value(a.TrimmedMean(f=1), [[1, 5], [2, 0], [9, 7]]) == [2, 5]
    # The median is what is left of the largest f. Four rows allow f = 1: (2 + 3) / 2.
    assert value(a.TrimmedMean(f=2), [1, 2, 3, 80]) == [2.5] and value(a.TrimmedMean(f=2), [7, 8]) == [7.5]


def test_krum():
    # 0, 1, 3, 4.5, 100, f = 1: the two nearest of each. 0: 1 + 9; 1: 1 + 4; 3: 2.25 + 4; 4.5: 2.25 + 12.25; so 1.
    assert value(a.Krum(f=1), [0, 1, 3, 4.5, 100]) == [1]
    # The scores are 10, 5, 6.25, 14.5, huge: the best two are 1 and 3, the best four all but 100; C - f at most.
    assert value(a.Krum(f=1, select=2), [0, 1, 3, 4.5, 100]) == [2]
    assert value(a.Krum(f=1, select=9), [0, 1, 3, 4.5, 100]) == [8.5 / 4]
    # f = 0 in three rows: one neighbour. 2 and 3 have the same score, and 2 is nearer to all: 1 + 4 < 1 + 9.
    assert value(a.Krum(f=2), [3, 0, 2]) == value(a.Krum(f=2), [2, 0, 3]) == [2]
    assert value(a.Krum(f=2), [3, 1]) == [2]   # two rows: their mean


def test_geometric_median():
    # On a line it is the median. Of a right triangle with legs 1 it is the Fermat point, (3 - sqrt 3) / 6 twice; where
    # an angle is wider than 120 degrees it is that corner.
    assert value(a.GeometricMedian(), [0, 1, 1000]) == pytest.approx([1], abs=1e-4)
    point = (3 - math.sqrt(3)) / 6
    assert value(a.GeometricMedian(), [[0, 0], [1, 0], [0, 1]]) == pytest.approx([point, point], abs=1e-5)
    long = a.GeometricMedian(steps=5000, tolerance=0)
    assert value(long, [[-5, 0], [0, 1], [5, 0]]) == pytest.approx([0, 1], abs=1e-3)
    # One step from the mean of 0, 1, 5, which is 2, at distances 2, 1, 3: (0/2 + 1/1 + 5/3) / (1/2 + 1 + 1/3) = 16/11.
    assert value(a.GeometricMedian(steps=1), [0, 1, 5]) == pytest.approx([16 / 11])
    # Weights: the mean of 0, 1, 5 weighing 2, 1, 1 is 1.5; (1/.5 + 5/3.5) / (2/1.5 + 1/.5 + 1/3.5) = (24/7) / (76/21).
    assert value(a.GeometricMedian(steps=1), [0, 1, 5], weights=[2, 1, 1]) == pytest.approx([18 / 19])


def test_the_geometric_median_has_the_smallest_sum_of_distances():
    x = torch.randn(9, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    z = combine(a.GeometricMedian(steps=1000, tolerance=1e-9), x)[0]
    beside = torch.cat([x, z + 0.01 * torch.randn(500, 4, generator=torch.Generator().manual_seed(2))])
    assert bool(((beside[:, None] - x).norm(dim=2).sum(1) >= (z - x).norm(dim=1).sum() - 1e-6).all())


def test_bulyan():
    # 0, 1, 2, 4, 5, 6.5, 100 with f = 1, so 5 choices. Scores are sums over the n - 3 nearest of the n that are left.
    # n = 7, four nearest: 0: 1 + 4 + 16 + 25 = 46; 1: 1 + 1 + 9 + 16 = 27; 2: 1 + 4 + 4 + 9 = 18; 4: 1 + 4 + 6.25 + 9 =
    # 20.25; 5: 1 + 2.25 + 9 + 16 = 28.25; 6.5: 2.25 + 6.25 + 20.25 + 30.25. So 2 is chosen.
    # n = 6 (0 1 4 5 6.5 100), three: 0: 42; 1: 1 + 9 + 16 = 26; 4: 1 + 6.25 + 9 = 16.25; 5: 1 + 2.25 + 16 = 19.25; 6.5:
    # 38.75. So 4. n = 5 (0 1 5 6.5 100), two: 0: 26; 1: 17; 5: 18.25; 6.5: 32.5. So 1.
    # n = 4 (0 5 6.5 100), one: 5 and 6.5 have 2.25, and 6.5 is nearer to all: 2.25 + 42.25 + 93.5^2 < 2.25 + 25 + 95^2.
    # n = 3 (0 5 100), one: 0 and 5 have 25, and 5 is nearer to 100.
    # Chosen: 2, 4, 1, 6.5, 5. Their median is 4, and the 7 - 4 = 3 nearest to it are 4, 5, 2: 11/3.
    assert value(a.Bulyan(f=1), [0, 1, 2, 4, 5, 6.5, 100]) == pytest.approx([11 / 3])
    assert value(a.Bulyan(f=1), [0, 1, 2, 4, 5, 100]) == pytest.approx([112 / 6])   # six rows allow f = 0: the mean


def test_centred_clipping_remembers():
    # From 0 with tau 2: 1, 3, -8 pull by 1, 2, -2: 1/3. From there: 2/3, 2, -2 (8.33 away): 1/3 + 2/9 = 5/9.
    rule = a.CentredClipping(tau=2.0)
    first, mine = combine(rule, [1, 3, -8])
    assert first.tolist() == pytest.approx([1 / 3]) and mine.shared["last"].tolist() == first.tolist()
    assert value(rule, [1, 3, -8], mine=mine) == pytest.approx([5 / 9])
    assert value(a.CentredClipping(tau=2.0, steps=2), [1, 3, -8]) == pytest.approx([5 / 9])
    # Without tau: distances 1, 3, 8, median 3: (1 + 3 - 3) / 3.
    assert value(a.CentredClipping(), [1, 3, -8]) == pytest.approx([1 / 3])


def test_norm_clipping():
    # Lengths 5, 10, 1, median 5: (3, 4), half of (6, 8), (0, 1): mean (2, 3). Bound 1: (0.6, 0.8) twice, (0, 1).
    x = [[3, 4], [6, 8], [0, 1]]
    assert value(a.NormClipping(), x) == pytest.approx([2, 3])
    assert value(a.NormClipping(bound=1.0), x) == pytest.approx([0.4, 2.6 / 3])
    # Weights are the next rule's business: 2, 1, 1 make (9 / 4, 13 / 4). A row of length 0 stays.
    assert value(a.NormClipping(), x, weights=[2, 1, 1]) == pytest.approx([9 / 4, 13 / 4])
    assert value(a.NormClipping(then=a.Median()), [[0, 0], [0, 0], [3, 4]]) == [0, 0]
    assert a.NormClipping().weigh(torch.tensor([3, 4])).tolist() == [3, 4] and not a.NormClipping().equal_weights


def test_fools_gold():
    # Two clients that send the same, and one at a right angle: cosines 1, 0, 0. The twins' trust is 0, the other's 1.
    assert value(a.FoolsGold(), [[1, 0], [1, 0], [0, 3]]) == [0, 3]
    # Cosines 0.6 (rows 0 and 1), 0 (0 and 2), 0.8 (1 and 2): v = 0.6, 0.8, 0.8. Row 0 is pardoned towards 1: 0.6 times
    # 0.6 / 0.8 = 0.45; so apart = 0.55, 0.2, 0.2; over the largest 1, 4/11, 4/11; ln(4/7) + 1/2 = -0.06 is cut to 0.
    assert value(a.FoolsGold(), [[1, 0], [0.6, 0.8], [0, 1]]) == pytest.approx([1, 0])
    # Cosines 0.6, 0 and 0: v = 0.6, 0.6, 0; apart = 0.4, 0.4, 1; kappa (ln(2/3) + 1/2) = 0.0945 kappa, and 1.
    for kappa in (1, 2):
        t = kappa * (math.log(2 / 3) + 0.5)
        expected = [1.6 * t / (1 + 2 * t), 0.8 * t / (1 + 2 * t), 1 / (1 + 2 * t)]
        assert value(a.FoolsGold(kappa=kappa), [[1, 0, 0], [0.6, 0.8, 0], [0, 0, 1]]) == pytest.approx(expected)
    assert value(a.FoolsGold(), [[1, 0], [1, 0]]) == [0, 0] and value(a.FoolsGold(), [[1, 2]]) == [1, 2]


def test_fools_gold_looks_at_all_that_was_sent():
    # Before this round, 0 and 1 sent (9, 0, 0) each; now the sums are (9, 1, 0), (9, 0, 1), (0, 0, 1). Cosines: 81/82
    # = 0.988, 0, 1/sqrt 82 = 0.110. v = 0.988, 0.988, 0.110; row 2 is pardoned: 0.110 * 0.110 / 0.988 = 0.012. The two
    # have 0.012 / 0.988 of its trust, so none.
    mine = Memory({"sent": torch.tensor([[9.0, 0, 0], [9, 0, 0], [0, 0, 0]], dtype=torch.float64)})
    rows = torch.eye(3, dtype=torch.float64)[[1, 2, 2]]
    found, after = combine(a.FoolsGold(), rows, mine=mine)
    assert found.tolist() == pytest.approx([0, 0, 1])
    assert after.own["sent"].tolist() == [[9, 1, 0], [9, 0, 1], [0, 0, 1]]


def test_fltrust():
    # g = (2, 0). (3, 4): cosine 0.6, brought to length 2: (1.2, 1.6). (5, 0): cosine 1, (2, 0). (-9, 0): not believed.
    # (0.6 (1.2, 1.6) + (2, 0)) / 1.6 = (1.7, 0.6).
    x = [[2, 0], [3, 4], [5, 0], [-9, 0]]
    assert value(a.FLTrust(), x) == pytest.approx([1.7, 0.6])
    assert value(a.FLTrust(trusted=3), x) == [-9, 0]   # all others are against it
    assert value(a.FLTrust(), [[2, 0]]) == [2, 0] and value(a.FLTrust(), [[0, 0], [1, 1]]) == [0, 0]


def test_majority_sign():
    # Signs of columns: + + -, - - +, 0 0 0, + - (and no number): even.
    x = [[0.1, -5, 0, 1], [7, -1, 0, -1], [-100, 2, 0, math.nan]]
    assert value(a.MajoritySign(step=0.5), x) == [0.5, -0.5, 0, 0]


def test_bucketing():
    # Five rows in buckets of 2, 2, 1: means of means, whatever the order. Weighted, the mean of all stays the mean.
    x = [1.0, 2.0, 4.0, 8.0, 16.0]
    assert value(a.Bucketing(then=a.Mean()), x) == pytest.approx([31 / 5])
    assert value(a.Bucketing(then=a.Mean(), size=3), x, weights=[1, 0, 0, 3, 0]) == pytest.approx([25 / 4])
    assert value(a.Bucketing(size=1), x) == [4] and value(a.Bucketing(size=9), x) == pytest.approx([31 / 5])
    # Sums of bits say who is with whom: every round another order, the same again for the same round.
    found = {round: value(a.Bucketing(then=a.TrimmedMean(f=1)), x, round=round)[0] for round in range(1, 9)}
    assert len(set(found.values())) > 2 and found[3] == value(a.Bucketing(then=a.TrimmedMean(f=1)), x, round=3)[0]
    pairs = {(p + q) / 2 for p in x for q in x if p != q} | set(x)
    assert set(found.values()) <= pairs   # of three buckets the middle one


def test_nearest_neighbour_mixing():
    # 0, 1, 3, 100 with f = 1: each with its two nearest: 4/3, 4/3, 4/3, 104/3. The median of these is 4/3.
    assert value(a.NearestNeighbourMixing(f=1), [0, 1, 3, 100]) == pytest.approx([4 / 3])
    mean = a.NearestNeighbourMixing(f=1, then=a.Mean())
    assert value(mean, [0, 1, 3, 100]) == pytest.approx([(12 + 104) / 12])
    assert value(mean, [0, 1, 3, 100], weights=[1, 0, 0, 1]) == pytest.approx([18])   # (4/3 + 104/3) / 2


# Results of byzfl 0.0.11 on ROWS with f = 1, as its authors' code gives them.
GOLDEN = [
    (a.Mean(weights="uniform"), [9.833333, -4.833333, 7.666667]),
    (a.Median(), [2, 2, 3.5]),
    (a.TrimmedMean(f=1), [2, 2, 3.5]),
    (a.Krum(f=1, select=5), [1.8, 2.2, 3.2]),   # C - f rows: which neighbours count does not matter here
    (a.CentredClipping(tau=1.0, steps=5), [1.790037, 1.69994, 2.857898]),
    (a.NearestNeighbourMixing(f=1, then=a.TrimmedMean(f=1)), [1.8, 2.2, 3.2]),
    (a.NearestNeighbourMixing(f=1, then=a.Mean()), [(9 + 11.6) / 6, (11 - 6.4) / 6, (16 + 8.4) / 6]),
]


@pytest.mark.parametrize("rule, golden", GOLDEN, ids=lambda v: repr(v)[:40])
def test_golden_vectors(rule, golden):
    assert value(rule) == pytest.approx(golden, abs=1e-6)


def test_clipping_of_the_golden_vectors():
    # byzfl: the last row clipped to 2 is this; all five others are longer than 2 too, sqrt 14 = 3.74 the first.
    clipped, _ = a.NormClipping(bound=2.0).mix(None, ROWS.clone(), None, None)
    assert clipped[5].tolist() == pytest.approx([1.414214, -1.131371, 0.848528], abs=1e-6)
    assert clipped[0].tolist() == pytest.approx((ROWS[0] * 2 / math.sqrt(14)).tolist())


def test_where_byzfl_is_not_the_paper():
    # Krum: byzfl counts the C - f - 1 = 4 nearest others and gives row 0 for f = 1. The paper counts C - f - 2 = 3.
    # Squared distances of rows 0 .. 4: 0: 3 5 1 2; 1: 3 6 5 5; 2: 5 6 2 5; 3: 1 5 2 6; 4: 2 5 5 6. The three nearest:
    # 6, 13, 12, 8, 12: row 0 as well. With four: 11, 19, 18, 14, 18.
    assert value(a.Krum(f=1)) == [1, 2, 3]
    # Here they part, f = 2 of 7, 3 or 4 nearest: 0, 0.1, 0.2, 3, 3.5, 4, 9.
    # Three: 0: .01+.04+9; 0.1: .01+.01+8.41 = 8.43; 0.2: .04+.01+7.84 = 7.89; 3: .25+1+7.84 = 9.09; 3.5: .25+.25+10.89.
    # Four: 0.2: 7.89+10.89 = 18.78; 3: .25+1+7.84+8.41 = 17.5; 3.5: .5+10.89+11.56 = 22.95: byzfl takes 3.
    assert value(a.Krum(f=2), [0, 0.1, 0.2, 3, 3.5, 4, 9]) == [0.2]
    # Geometric median: byzfl begins at 0 and takes three steps of nu = 0.1, and gives (1.961, 1.918, 3.316). With steps
    # enough it comes to (1.914911, 1.966446, 3.269036), and so do we; the few steps are not copied.
    assert value(a.GeometricMedian()) == pytest.approx([1.914911, 1.966446, 3.269036], abs=2e-5)


needs_byzfl = pytest.mark.skipif(not robust.byzfl(), reason="byzfl is not installed")
X = (np.random.default_rng(4).normal(size=(23, 40)) + 0.5) * np.where(np.arange(23) < 18, 1, -3)[:, None]


@needs_byzfl
@pytest.mark.parametrize("rule, other", [
    (a.TrimmedMean(f=5), ("aggregators", "TrMean", {"f": 5})),
    (a.Median(), ("aggregators", "Median", {})),
    (a.GeometricMedian(tolerance=0, steps=300), ("aggregators", "GeometricMedian", {"nu": 1e-6, "T": 300})),
    (a.CentredClipping(tau=3.0, steps=4), ("aggregators", "CenteredClipping", {"tau": 3.0, "L": 4})),
    (a.NormClipping(bound=4.0, then=a.Mean(weights="uniform")), ("preaggregators", "Clipping", {"c": 4.0}, "Average")),
    (a.NearestNeighbourMixing(f=5, then=a.Mean()), ("preaggregators", "NNM", {"f": 5}, "Average")),
    (a.NearestNeighbourMixing(f=5), ("preaggregators", "NNM", {"f": 5}, "Median")),
    (a.Bucketing(size=1), ("preaggregators", "Bucketing", {"s": 1}, "Median")),
], ids=lambda v: repr(v)[:50])
def test_beside_byzfl(rule, other):
    assert value(rule, X.copy()) == pytest.approx(robust.theirs(*other)(X.copy()).tolist(), abs=1e-9)


@needs_byzfl
def test_multi_krum_with_the_neighbours_of_byzfl():
    # Its C - f - 1 neighbours are ours with f - 1, and it keeps the C - f best.
    theirs = robust.theirs("aggregators", "MultiKrum", {"f": 5})(X.copy())
    assert value(a.Krum(f=4, select=18), X) == pytest.approx(theirs.tolist(), abs=1e-12)
    theirs = robust.theirs("aggregators", "Krum", {"f": 5})(X.copy())
    assert value(a.Krum(f=4), X) == pytest.approx(theirs.tolist(), abs=1e-12)


def test_distances_keep_their_digits_beside_a_row_far_away():
    # Four rows 1e-3 apart at length 100, and one at 1e9: float32 products would blur 1e-6 beside 1e4.
    x = torch.full((5, 2000), 100 / math.sqrt(2000))
    x[torch.arange(4), torch.arange(4)] += 1e-3
    x[4] *= 1e7
    exact = (x.double()[:, None] - x.double()).square().sum(2)
    assert torch.allclose(by_rows.squared_distances(x)[:4, :4], exact[:4, :4], rtol=1e-3, atol=1e-12)


FAR = [a.TrimmedMean(f=2), a.Krum(f=2), a.Krum(f=2, select=3), a.GeometricMedian(), a.Bulyan(f=2), a.CentredClipping(),
       a.NormClipping(), a.NormClipping(bound=5.0), a.FLTrust(), a.MajoritySign(),
       a.Bucketing(then=a.Krum(f=2), size=1),
       a.NearestNeighbourMixing(f=2, then=a.TrimmedMean(f=2))]


@pytest.mark.parametrize("rule", FAR, ids=lambda r: repr(r)[:40])
@pytest.mark.parametrize("lie", [1e9, math.inf, -math.inf, math.nan])
def test_two_lies_of_any_size_do_not_carry_the_result_away(rule, lie):
    x = torch.randn(11, 30, generator=torch.Generator().manual_seed(2)) + 1
    x[9:] = lie
    total, ones = [x[:5], x[5:]], torch.ones(11, dtype=torch.float64)
    cohort = robust.Cohort(1, torch.arange(11), ones.long(), ones, ones.long(), 11, 1.0)
    total = rule.fold(rule.fold(None, x[:5], ones[:5]), x[5:], ones[5:])
    found, _ = rule.combine(robust._World(11), total, ones, 11.0, cohort, Memory({}, {"last": torch.zeros(30)}))
    assert float((found - x[:9].mean(0)).norm()) < 1.2 * float((x[:9] - x[:9].mean(0)).norm(dim=1).max())


SIX = tuple((1.0, i % 3, i) for i in range(6))


def refusal(line, rows=SIX, **fields):
    with pytest.raises(fl.BadInput) as error:
        line(rows, **fields)
    return str(error.value)


def test_too_few_rows_are_refused_before_the_run(line):
    said = refusal(line, aggregate=a.Krum(f=2))
    assert "krum with f = 2 needs 7 rows" in said and "6 are expected" in said and "set f to 1" in said
    assert "trimmed_mean with f = 3 needs 7 rows" in refusal(line, aggregate=a.TrimmedMean(f=3))
    assert "bulyan with f = 1 needs 7 rows" in refusal(line, aggregate=a.Bulyan())
    assert "nearest_neighbour_mixing with f = 3" in refusal(line, aggregate=a.NearestNeighbourMixing(f=3))
    assert "set f to 0" in refusal(line, aggregate=a.Krum(f=1), schedule=fl.Lockstep(sampler=fl.Fixed(m=4)))
    assert "another rule" in refusal(line, aggregate=a.Krum(f=1), schedule=fl.Lockstep(clients=(0, 3)))
    assert "select to 5" in refusal(line, aggregate=a.Krum(f=1, select=6))
    assert "3 buckets" in refusal(line, aggregate=a.Bucketing(then=a.Krum(f=1)))
    line(SIX, aggregate=a.Bucketing(then=a.TrimmedMean(f=1)))
    line(SIX, aggregate=a.Krum(f=1, select=5))


def test_too_many_liars_are_refused_before_the_run(line):
    liars = fl.SignFlip(liars=(0, 3))
    said = refusal(line, aggregate=a.Krum(f=1), attack=liars)
    assert "f = 1 tolerates as many liars a round, and 2 of 6" in said and "set f to" not in said   # 2 needs 7 rows
    assert "set f to 2, or" in refusal(line, aggregate=a.TrimmedMean(f=1), attack=liars)
    line(SIX, aggregate=a.TrimmedMean(f=2), attack=liars)
    half = fl.SignFlip(liars=(0, 1, 3))
    for rule in (a.GeometricMedian(), a.CentredClipping(), a.MajoritySign()):
        assert "fewer than half" in refusal(line, aggregate=rule, attack=half)
        line(SIX, aggregate=rule, attack=liars)
    # Who never takes part does not count; who comes in half of the rounds counts half.
    line(SIX, aggregate=a.TrimmedMean(f=1), attack=liars, schedule=fl.Lockstep(clients=(1, 2, 3, 4)))
    line(SIX, aggregate=a.TrimmedMean(f=1), attack=liars, schedule=fl.Lockstep(sampler=fl.Poisson(q=0.5)))


def test_the_trusted_client_must_be_there_and_honest(line):
    assert "ids from 0 to 5" in refusal(line, aggregate=a.FLTrust(trusted=6))
    assert "ids from 1 to 2" in refusal(line, aggregate=a.FLTrust(), schedule=fl.Lockstep(clients=(1, 2)))
    said = refusal(line, aggregate=a.FLTrust(), schedule=fl.Lockstep(dropout=0.5))
    assert "a share of 0.5" in said and "dropout to 0" in said
    assert "client 3, which lies" in refusal(line, aggregate=a.FLTrust(trusted=3), attack=fl.SignFlip(liars=(3,)))


def test_rules_that_know_clients_take_no_mixed_rows(line):
    for wrap in (a.Bucketing, a.NearestNeighbourMixing):
        assert "choose another rule" in refusal(line, aggregate=wrap(then=a.FoolsGold()))
        assert "fltrust" in refusal(line, aggregate=wrap(then=a.NormClipping(then=a.FLTrust())))
    line(SIX, aggregate=a.NormClipping(then=a.FLTrust()))


def test_majority_sign_takes_no_control_variates(line):
    local = fl.SGD(lr=0.1, epochs=1, batch=None, correct=(fl.ControlVariate(),))
    assert "sends control" in refusal(line, aggregate=a.MajoritySign(), local=local)
    assert "one" in refusal(line, ((1.0, 1, 0),), aggregate=a.FoolsGold())


def test_a_round_that_is_too_small_says_so(line):
    assert "needs 5 rows, and 4 came: in this round it tolerates 0" in a.Krum(f=1).warning(4)
    assert a.Krum(f=1).warning(5) is None and "0 liars" in a.TrimmedMean(f=1).warning(1)
    assert "2 rows" in a.Bucketing().warning(4) and a.Bucketing().warning(5) is None
    assert "nearest" in a.NearestNeighbourMixing(f=2).warning(4) and "1 liars" in a.Bulyan(f=2).warning(10)
    plan = line(tuple((1.0, i % 3, i) for i in range(20)), aggregate=a.Krum(f=6),
                schedule=fl.Lockstep(sampler=fl.Poisson(q=0.8)))
    state, said = begin(plan), []
    for _ in range(12):
        state, events = advance(plan, state, Stacked(20), never)
        said += [e.text for e in events if hasattr(e, "text")]
    assert any("krum with f = 6 needs 15 rows, and 1" in text for text in said) and len(said) < 12


def test_rounds_with_memory_by_hand(line):
    # Clients 0 .. 2 with updates 0.1 y for y = 0, 1, 2 at w = 0 (g = w - y): 0, 0.1, 0.2. tau 0.05 from 0: 0, 0.05 and
    # 0.05: w = 1/30. Then updates 0.1 (y - w), 1/300 less each; seen from 1/30: -11/300, 19/300, 49/300; clipped:
    # -11/300 + 15/300 + 15/300 = 19/300; a third of it on top of 1/30: 49/900. w = 1/30 + 49/900 = 79/900.
    plan = line(tuple((1.0, i, i) for i in range(3)), aggregate=a.CentredClipping(tau=0.05))
    state, _ = advance(plan, begin(plan), Stacked(2), never)
    assert float(state.model[0]) == pytest.approx(1 / 30)
    state, _ = advance(plan, state, Stacked(2), never)
    assert float(state.model[0]) == pytest.approx(79 / 900)


def test_fools_gold_keeps_what_clients_sent_between_rounds(line):
    plan = line(tuple((1.0, i % 3, i) for i in range(3)), aggregate=a.FoolsGold(),
                schedule=fl.Lockstep(sampler=fl.Fixed(m=2)))
    state, seen = begin(plan), set()
    for _ in range(4):
        state, events = advance(plan, state, Stacked(2), never)
        seen |= set(events[-1].cohort)
    assert set(state.memory["aggregate"].own["sent"].ids.tolist()) == seen


def test_stands_for_and_terms_are_those_of_the_next_rule():
    expected = a.Mean(weights="uniform", denominator="expected")
    assert a.NormClipping(then=expected).stands_for(3, 7.0) == 7 and a.Bucketing().stands_for(3, 7.0) == 3
    assert a.NormClipping(then=expected).sensitivity is None   # a median length depends on everybody
    assert replace(Memory()).shared == {} and a.Bucketing(then=a.Mean()).weigh(torch.tensor([2, 5])).tolist() == [2, 5]
