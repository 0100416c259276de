"""Readings of made-up tables."""

import math
from dataclasses import replace

import pandas as pd
import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets.evaluate.decomposition import private_of
from fedlab_widgets.evaluate.measure import measure
from fedlab_widgets.evaluate.private_tables import chance, release
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


# --- noisy tables ---------------------------------------------------------------------------------------------------


def noisy(epsilon=1.0, **fields):
    """Ten clients of 40 rows, half of them u; label 1 predicted for 15 of 20 u and 5 of 20 v: unique."""
    counts = [[[[5, 0], [0, 15]], [[15, 0], [0, 5]]]] * 10
    return fl.Decomposition(epsilon=epsilon), replace(tables(counts), seed=3, round=7, reading=2, **fields)


def test_with_epsilon_all_figures_are_of_the_released_tables():
    part, t = noisy()
    told = release(t.counts.sum(2).permute(1, 2, 0).numpy(), 1.0, seed=3, round=7)
    found, reached = part.read(t), chance(told)
    for name, bits in told.parts.items():
        assert name == "client_unique" or found[name] == pytest.approx(bits, abs=1e-12)
    assert found["tables_epsilon"] == 2.0 and found["disparity_gap"] == 0
    assert math.isnan(found["masked_corrected"])
    assert part.later(t, 7) == {f"{a}_{end}": reached[a][i] for a in ("unique", "redundant", "masked")
                                for i, end in enumerate(("lo", "hi"))}
    # By hand, of the counts: 1 - h(1/4) = 0.1887 bits, all of it unique, none of it masked; noise of deviation 1.4 on
    # cells of 5 and 15 leaves the first within a third and makes some of the second.
    assert found["unique"] == pytest.approx(0.1887, abs=0.06) and found["masked"] > 0.002
    plain = fl.Decomposition().read(t)
    assert plain["unique"] == pytest.approx(0.188722, abs=1e-6) and plain["masked"] == pytest.approx(0, abs=1e-9)
    assert "tables_epsilon" not in plain


def test_the_noise_follows_from_seed_and_round():
    part, t = noisy()
    assert part.read(t) == pytest.approx(part.read(t), nan_ok=True)
    others = [part.read(replace(t, **change))["masked"] for change in ({}, {"seed": 4}, {"round": 8}, {"reading": 9})]
    assert others[0] == others[3] and len(set(others)) == 3


def test_delta_makes_many_releases_cheaper():
    part, t = noisy(0.1)
    t = replace(t, reading=100)
    loose = fl.Decomposition(epsilon=0.1, delta=1e-5)
    assert part.read(t)["tables_epsilon"] == pytest.approx(10)
    assert 3 < loose.read(t)["tables_epsilon"] < 4.76      # see test_private_tables


def test_noise_that_leaves_nobody_is_no_figure():
    # One person among noise of deviation 14 a cell: the sum of the cells is not above 0 in nearly half of the cases.
    alone = tables([[[[1, 0], [0, 0]], [[0, 0], [0, 0]]]])
    found = [fl.Decomposition(epsilon=0.1).read(replace(alone, seed=seed)) for seed in range(40)]
    assert 8 < sum(math.isnan(f["unique"]) for f in found) < 32 and all(f["tables_epsilon"] == 0.1 for f in found)


@pytest.mark.parametrize("bad", [{"epsilon": 0}, {"epsilon": 101}, {"delta": 1}, {"delta": -0.1}])
def test_epsilon_and_delta_out_of_range(bad):
    with pytest.raises(fl.BadInput, match=next(iter(bad))):
        fl.Decomposition(**bad)


def test_a_run_that_was_stopped_and_resumed_spends_what_one_run_does(tmp_path):
    """Five rounds, read after 2, 4 and the last: three releases at 0.5 each, whatever happened between."""
    e = fl.Experiment(name="noisy", task=fl.TwoGaussians(rows=400), net=fl.Logistic(), partition=fl.IID(clients=4),
                      rounds=5, evaluate=fl.Evaluation(every=2, readings=(fl.Decomposition(epsilon=0.5),)))
    whole = fl.run(e, out=tmp_path / "whole", progress=False)
    steps = iter(range(100))
    cut = fl.run(e, out=tmp_path / "cut", progress=False, stop=lambda: next(steps) > 6)
    assert 1 < len(cut.history) < 5
    cut = cut.resume(progress=False)
    columns = ["round", "unique", "masked", "masked_hi", "tables_epsilon"]
    pd.testing.assert_frame_equal(whole.history[columns], cut.history[columns])
    assert whole.history.tables_epsilon.dropna().tolist() == [0.5, 1.0, 1.5]
    # Computed again from the recorded counts, the release is the one that was recorded.
    private, last = private_of(whole), whole.history.iloc[-1]
    told = private.release(whole.counts().sum(2).transpose(1, 2, 0))
    assert told.parts["masked"] == pytest.approx(last["masked"], abs=1e-12)
    assert (private.round, private.releases, private.spent) == (5, 3, 1.5)


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
