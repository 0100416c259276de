"""Rows to one row, by hand."""

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets.engine import advance
from fedlab_widgets.executors import Stacked
from fedlab_widgets.plan import begin
from fedlab_widgets.types import never

ROWS = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 12.0]], dtype=torch.float64)
SIZES = torch.tensor([1, 1, 2])


def combine(part, rows=ROWS, sizes=SIZES, expected=4.0):
    weights = part.weigh(sizes)
    total = part.fold(part.fold(None, rows[:2], weights[:2]), rows[2:], weights[2:])
    return part.finish(total, weights, expected).tolist()


def test_mean_by_rows():
    # (1 + 3 + 2 * 5) / 4 and (2 + 4 + 2 * 12) / 4.
    assert combine(fl.Mean()) == [3.5, 7.5]


def test_mean_of_equals():
    assert combine(fl.Mean(weights="uniform")) == [3.0, 6.0]


def test_mean_up_to_a_cap():
    # cap 2: weights 1/2, 1/2, 1, sum 2: (0.5 + 1.5 + 5) / 2. cap 1: all count 1. cap 4: 1/4, 1/4, 1/2, the same ratio.
    assert fl.Mean(weights="capped", cap=2).weigh(SIZES).tolist() == [0.5, 0.5, 1.0]
    assert combine(fl.Mean(weights="capped", cap=2)) == [3.5, 7.5]
    assert combine(fl.Mean(weights="capped", cap=1)) == [3.0, 6.0]
    assert fl.Mean(weights="capped", cap=4).weigh(torch.tensor([1, 100])).tolist() == [0.25, 1.0]


def test_mean_over_what_was_expected():
    # Sums 9 and 18 over an expected 4, whoever came.
    part = fl.Mean(weights="uniform", denominator="expected")
    assert combine(part) == [2.25, 4.5]
    assert part.stands_for(3, 4.0) == 4.0 and fl.Mean().stands_for(3, 4.0) == 3


def test_what_a_round_is_expected_to_bring(line):
    # Two clients with 2 rows and 1 row, each coming with chance 0.5 * 0.8 = 0.4.
    schedule = fl.Lockstep(sampler=fl.Poisson(q=0.5), dropout=0.2)
    for part, expected in ((fl.Mean(weights="uniform"), 0.8), (fl.Mean(), 1.2),
                           (fl.Mean(weights="capped", cap=4), 0.3)):
        assert line(aggregate=part, schedule=schedule).expected == pytest.approx(expected)
    # Only client 1 may come: its single row.
    assert line(aggregate=fl.Mean(), schedule=fl.Lockstep(clients=(1,))).expected == 1


def test_a_round_weighs_by_rows(line):
    # Updates 0.05 (two rows) and 0.2 (one row): (0.1 + 0.2) / 3 = 0.1.
    plan = line(aggregate=fl.Mean())
    assert float(advance(plan, begin(plan), Stacked(2), never)[0].model[0]) == pytest.approx(0.1, abs=1e-15)


def test_weights_follow_their_clients_past_the_first_block(line):
    # 16 clients with one row and update 0.1, then 4 with three rows and update 0.2: (1.6 + 3 * 0.8) / (16 + 12) = 1/7.
    rows = tuple((1.0, 1, i) for i in range(16)) + tuple((1.0, 2, i) for i in range(16, 20)) * 3
    plan = line(rows, aggregate=fl.Mean())
    for chunk in (20, 3):
        assert float(advance(plan, begin(plan), Stacked(chunk), never)[0].model[0]) == pytest.approx(1 / 7, abs=1e-15)


def test_terms_of_the_mean():
    assert fl.Mean().sensitivity is None and fl.Mean(denominator="expected").sensitivity is None
    assert fl.Mean(weights="uniform").sensitivity is None
    assert fl.Mean(weights="uniform", denominator="expected").sensitivity == 1
    assert fl.Mean(weights="capped", denominator="expected").sensitivity == 1


def test_clients_without_rows_do_not_divide_by_zero():
    assert combine(fl.Mean(), sizes=torch.tensor([0, 0, 0])) == [0.0, 0.0]


def test_median_of_odd_and_even():
    # 1, 5, 3 -> 3. 1, 9, 3, 5 -> (3 + 5) / 2.
    def median(values):
        rows = torch.tensor([[v, -v] for v in values])
        return fl.Median().finish([rows[:2], rows[2:]], None, 0.0).tolist()

    assert median([1.0, 5.0, 3.0]) == [3, -3] and median([1.0, 9.0, 3.0, 5.0]) == [4, -4]
    assert median([1.0, 2.0]) == [1.5, -1.5] and median([7.0, 7.0, 7.0, 1e9]) == [7, -7]


def test_columns_have_medians_of_their_own():
    rows = torch.tensor([[1.0, 30.0], [2.0, 10.0], [3.0, 20.0]])
    assert fl.Median().finish([rows], None, 0.0).tolist() == [2, 20]


def test_median_ignores_weights_and_liars(line):
    # Five clients with updates 0.1 * y for y = 0, 1, 2, 1, 2 (g = -y): median 0.1. The last sends -1000 * 0.2:
    # still 0.1 for 0, 0.1, 0.2, 0.1, -200.
    rows = tuple((1.0, y, i) for i, y in enumerate((0, 1, 2, 1, 2)))
    for attack in (None, fl.SignFlip(liars=(4,), scale=1000.0)):
        plan = line(rows, aggregate=fl.Median(), attack=attack)
        assert float(advance(plan, begin(plan), Stacked(3), never)[0].model[0]) == pytest.approx(0.1, abs=1e-15)


def test_a_median_of_two_says_so(line):
    assert "protects against nobody" in fl.Median().warning(2) and fl.Median().warning(3) is None
    plan = line(aggregate=fl.Median())
    assert "median of 2 rows" in advance(plan, begin(plan), Stacked(2), never)[1][0].text
