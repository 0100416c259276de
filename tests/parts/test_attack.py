"""What liars do, and who they are."""

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets.engine import advance
from fedlab_widgets.executors import Stacked
from fedlab_widgets.plan import begin
from fedlab_widgets.types import never

TEN = tuple((1.0, i % 3, i) for i in range(10))


def test_sign_flip():
    rows, bad = torch.tensor([[1.0, -2.0], [3.0, 4.0]]), torch.tensor([False, True])
    assert fl.SignFlip(scale=2).lie(rows, bad, torch.zeros(2)).tolist() == [[1, -2], [-6, -8]]
    assert fl.SignFlip().lie(rows, ~bad, torch.zeros(2)).tolist() == [[-1, 2], [3, 4]]


def test_label_flip_turns_labels_round():
    # K = 3 labels: 0 -> 2, 1 -> 1, 2 -> 0; K = 2: the opposite.
    x, y = torch.zeros(2, 3, 1), torch.tensor([[0, 1, 2], [0, 1, 2]])
    xs, ys = fl.LabelFlip().poison(x, y, torch.tensor([True, False]), torch.zeros(2), 3)
    assert ys.tolist() == [[2, 1, 0], [0, 1, 2]] and torch.equal(xs, x)
    assert fl.LabelFlip().poison(x, y[:, :2], torch.tensor([True, True]), torch.zeros(2), 2)[1].tolist() == [[1, 0]] * 2


def model(plan):
    return float(advance(plan, begin(plan), Stacked(2), never)[0].model[0])


def test_a_round_with_a_liar(line):
    # Updates 0.05 and 0.2. Client 1 sends -3 * 0.2 = -0.6: mean -0.275.
    assert model(line(attack=fl.SignFlip(liars=(1,), scale=3.0))) == pytest.approx(-0.275, abs=1e-15)
    # Client 0 trains on labels 2 - y, so (1, 1) and (2, 2): g = ((0 - 1) 1 + (0 - 2) 2)/2 = -2.5, end 0.25; mean 0.225.
    assert model(line(attack=fl.LabelFlip(liars=(0,)))) == pytest.approx(0.225, abs=1e-15)
    assert model(line(attack=fl.SignFlip(liars=()))) == model(line()) == pytest.approx(0.125, abs=1e-15)


def test_a_share_of_liars_is_rounded_and_drawn_by_seed(line):
    plans = [line(TEN, attack=fl.SignFlip(liars=0.3), seed=seed) for seed in range(5)]
    assert all(len(p.liars) == 3 and p.liars.tolist() == sorted(set(p.liars.tolist())) for p in plans)
    assert len({tuple(p.liars.tolist()) for p in plans}) > 1
    assert len(line(TEN, attack=fl.SignFlip(liars=0.0)).liars) == 0
    assert line(TEN, attack=fl.SignFlip(liars=(7, 2, 7))).liars.tolist() == [2, 7]
    assert line(TEN, attack=fl.SignFlip(liars=1.0)).liars.tolist() == list(range(10))


def test_lying_marks_the_right_clients(line):
    plan = line(TEN, attack=fl.SignFlip(liars=(2, 7)))
    assert plan.lying(torch.tensor([0, 2, 3, 7, 9])).tolist() == [False, True, False, True, False]


def test_a_liar_who_is_no_client_is_refused(line):
    with pytest.raises(fl.BadInput, match="attack.liars = 10 is no client"):
        line(TEN, attack=fl.SignFlip(liars=(3, 10)))


@pytest.mark.parametrize("liars", [1.5, -0.1, (-1,)])
def test_liars_out_of_range_are_refused(liars):
    with pytest.raises(fl.BadInput, match="liars"):
        fl.SignFlip(liars=liars)
