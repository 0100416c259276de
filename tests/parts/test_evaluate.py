"""Readings of made-up tables."""

import math

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets.evaluate.measure import measure
from fedlab_widgets.plan import begin
from fedlab_widgets.slots import Tables


def tables(counts, test=None, test_loss=0.0, favourable=1, groups=("u", "v")):
    """counts [client][group][label][prediction]."""
    counts = torch.tensor(counts)
    test = torch.zeros_like(counts[0]) if test is None else torch.tensor(test)
    losses = torch.zeros(len(counts), dtype=torch.float64)
    return Tables(torch.arange(len(counts)), counts, losses, test, test_loss, groups, favourable)


# Group u: label 0 predicted 0, 1: 6, 4 times; label 1: 2, 8. Group v: 9, 1 and 6, 4. Spread over two clients.
ONE = [[[6, 4], [0, 3]], [[9, 1], [6, 4]]]
TWO = [[[0, 0], [2, 5]], [[0, 0], [0, 0]]]


def test_accuracy_on_a_made_up_table():
    # Test: right 3 + 4 + 5 + 6 = 18 of 24. Client 0: right 6 + 3 + 9 + 4 = 22 of 33; client 1: 5 of 7; client 2 has
    # no rows.
    test = [[[3, 1], [2, 4]], [[5, 0], [3, 6]]]
    found = fl.Accuracy().read(tables([ONE, TWO, [[[0, 0], [0, 0]]] * 2], test, test_loss=12.0))
    assert found == {"accuracy": 0.75, "loss": 0.5, "mean_client": pytest.approx((22 / 33 + 5 / 7) / 2),
                     "worst_client": pytest.approx(22 / 33), "best_client": pytest.approx(5 / 7)}


def test_accuracy_of_nothing():
    found = fl.Accuracy().read(tables([[[[0, 0], [0, 0]]] * 2]))
    assert all(math.isnan(v) for v in found.values())


def test_gaps_on_a_made_up_table():
    # Predicted 1: u 12 of 20 = 0.6, v 5 of 20 = 0.25: parity gap 0.35.
    # Of label 1: u 8 of 10, v 4 of 10: opportunity gap 0.4. Of label 0: u 4 of 10, v 1 of 10: 0.3. Odds gap max = 0.4.
    found = fl.Gaps().read(tables([ONE, TWO]))
    assert found == {"parity_gap": pytest.approx(0.35), "opportunity_gap": pytest.approx(0.4),
                     "odds_gap": pytest.approx(0.4)}
    # With label 0 favourable: u 8 of 20, v 15 of 20; of label 0: 0.6 and 0.9; of label 1: 0.2 and 0.6.
    found = fl.Gaps().read(tables([ONE, TWO], favourable=0))
    assert [found[k] for k in ("parity_gap", "opportunity_gap", "odds_gap")] == pytest.approx([0.35, 0.3, 0.4])


def test_gaps_of_three_groups_are_between_the_extremes():
    # Shares predicted favourable 1/4, 2/4 and 4/4, all with label 1: parity = opportunity = 0.75; no rows of label 0.
    counts = [[[[0, 0], [3, 1]], [[0, 0], [2, 2]], [[0, 0], [0, 4]]]]
    found = fl.Gaps().read(tables(counts, groups=("u", "v", "w")))
    assert found["parity_gap"] == found["opportunity_gap"] == 0.75 and math.isnan(found["odds_gap"])


@pytest.mark.parametrize("how", [{"favourable": None}, {"groups": ("all",)}])
def test_gaps_without_groups_or_a_good_label(how):
    counts = [ONE] if "favourable" in how else [[ONE[0]]]
    assert all(math.isnan(v) for v in fl.Gaps().read(tables(counts, **how)).values())


def test_decomposition_of_two_extremes():
    """[group, prediction, client] with one bit in each variable.

    Prediction = group = client: all of the 1 bit is known from the client too, so it is redundant, and none is local.
    Prediction = group xor client: alone neither says anything of the group, together everything: 1 masked bit.
    """
    redundant = [[[[8, 0], [0, 0]], [[0, 0], [0, 0]]], [[[0, 0], [0, 0]], [[0, 8], [0, 0]]]]
    masked = [[[[8, 0], [0, 0]], [[0, 8], [0, 0]]], [[[0, 8], [0, 0]], [[8, 0], [0, 0]]]]
    for counts, bits in ((redundant, (1, 0, 0, 1, 0)), (masked, (0, 1, 0, 0, 1))):
        found = fl.Decomposition().read(tables(counts))
        names = ("global_disparity", "local_disparity", "unique", "redundant", "masked")
        assert [found[n] for n in names] == pytest.approx(bits, abs=1e-9)


def test_the_tables_count_held_out_rows_and_the_test_set(line):
    """Ten rows (1, 1) of one client: 8 to learn from, 2 held out. At w = 0 the single output is label 0 for all: wrong.

    The loss of a row is (0 - 1)^2 / 2 = 0.5: 1.0 over the held-out rows, 5.0 over the ten test rows.
    """
    plan = line(((1.0, 1, 0),) * 10)
    found = measure(plan, begin(plan))
    assert found.counts.shape == (1, 1, 3, 3) and int(found.counts[0, 0, 1, 0]) == int(found.counts.sum()) == 2
    assert int(found.test_counts[0, 1, 0]) == int(found.test_counts.sum()) == 10
    assert found.losses.tolist() == pytest.approx([1.0]) and found.test_loss == pytest.approx(5.0)
    read = fl.Accuracy().read(found)
    assert (read["accuracy"], read["mean_client"], read["loss"]) == (0.0, 0.0, pytest.approx(0.5))


def test_personal_models_are_read_on_their_own_rows(line):
    """Two clients with ten rows (1, 1) and (1, 2), weights 1 and 2 kept at home: no loss on their own held-out rows.

    On the test set (ten rows of each) every client's model is read: (0 + 10 * 0.5) + (10 * 0.5 + 0) over 2 * 20 rows.
    """
    plan = line(((1.0, 1, 0),) * 10 + ((1.0, 2, 1),) * 10, distribute=fl.KeepLayers())
    state = begin(plan)
    state.own.scatter(torch.tensor([0, 1]), torch.tensor([[1.0], [2.0]], dtype=torch.float64))
    found = measure(plan, state)
    assert found.losses.tolist() == pytest.approx([0, 0], abs=1e-15)
    assert found.test_loss == pytest.approx(10.0) and int(found.test_counts.sum()) == 40
    assert fl.Accuracy().read(found)["loss"] == pytest.approx(0.25)
