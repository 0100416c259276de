"""A task on one's own rows."""

import numpy as np
import pytest
import torch

import fedlab_widgets as fl

X = np.arange(40.0).reshape(20, 2)
Y = np.array(["no", "yes"] * 10)


def test_a_fifth_is_the_test_set_and_no_row_is_lost():
    data = fl.from_arrays(X, Y, group=np.arange(20) // 10, client=np.arange(20) % 4).load()
    assert (len(data.x), len(data.test_x)) == (16, 4)
    rows = torch.cat([data.x, data.test_x])
    assert sorted(rows[:, 0].tolist()) == X[:, 0].tolist()
    # Row i is (2 i, 2 i + 1), has label i mod 2, group i div 10, client i mod 4.
    row = data.x[:, 0].long() // 2
    assert torch.equal(data.y, row % 2) and torch.equal(data.group, row // 10) and torch.equal(data.client, row % 4)
    assert torch.equal(data.test_y, data.test_x[:, 0].long() // 2 % 2)


def test_names_and_the_good_label():
    task = fl.from_arrays(X, Y, group=["u"] * 5 + ["v"] * 15)
    assert (task.labels, task.groups, task.favourable, task.shape) == (("no", "yes"), ("u", "v"), 1, (20, 2))
    assert fl.from_arrays(X, np.arange(20) % 3).favourable is None
    assert fl.from_arrays(X, Y).groups == ("all",) and not fl.from_arrays(X, Y).load().group.any()


def test_clients_keep_their_names():
    assert fl.from_arrays(X, Y, client=["north", "east"] * 10).clients == ("east", "north")   # in order of number
    assert fl.from_arrays(X, Y, client=np.arange(20) % 2).clients == fl.from_arrays(X, Y).clients == ()
    assert fl.from_arrays(X, Y, client=np.arange(20) % 2 + 5).clients == ("5", "6")
    many = np.arange(2002) % 1001
    assert fl.from_arrays(np.zeros((2002, 1)), many % 2, client=[f"c{i}" for i in many]).clients == ()   # over 1 000
    assert "clients" in fl.Arrays().model_dump() and fl.Arrays(title="of an older version").clients == ()


@pytest.mark.parametrize("partition, names", [(fl.Natural(), ["east", "north"]), (fl.IID(clients=2), [None, None])])
def test_a_run_says_the_names_of_clients_that_the_data_name(partition, names, tmp_path):
    task = fl.from_arrays(X, Y, client=["north", "east"] * 10)
    e = fl.Experiment(task=task, partition=partition, net="logistic", rounds=1)
    run = fl.run(e, tmp_path / "run", progress=False)
    assert [c.get("name") for c in run.events[0].clients] == names


def test_the_fingerprint_follows_the_rows():
    assert fl.from_arrays(X, Y) == fl.from_arrays(X.copy(), list(Y))
    others = [fl.from_arrays(X + 1, Y), fl.from_arrays(X, Y[::-1]), fl.from_arrays(X, Y, group=np.arange(20) % 2),
              fl.from_arrays(X, Y, name="another"), fl.from_arrays(X, Y, client=np.arange(20) % 2)]
    assert len({t.sha256 for t in [fl.from_arrays(X, Y), *others]}) == 6


def test_cross_entropy_by_hand():
    # Logits (0, log 3): chances 1/4 and 3/4, losses log 4 and log (4/3).
    outputs = torch.tensor([[[0.0, np.log(3.0)], [0.0, np.log(3.0)]]], dtype=torch.float64)
    loss = fl.from_arrays(X, Y).loss(outputs, torch.tensor([[0, 1]]))
    assert loss.shape == (1, 2) and loss[0].tolist() == pytest.approx([np.log(4), np.log(4 / 3)], rel=1e-6)


@pytest.mark.parametrize("x, y, how, said", [
    (X, Y[:5], {}, "y has shape"), (X, Y, {"group": [1]}, "group has shape"), (X[:9], Y[:9], {}, "at least 10 rows"),
    (X[:, 0], Y, {}, r"\[rows, columns\]"), (np.where(X == 3, np.nan, X), Y, {}, "missing or infinite"),
    (X, np.where(np.arange(20) == 1, np.nan, 1.0), {}, "y has missing"), (X, ["one"] * 20, {}, "the one label"),
    (X, Y, {"client": [None] * 20}, "client has missing")])
def test_what_cannot_be_learned_from_is_refused(x, y, how, said):
    with pytest.raises(fl.BadInput, match=said):
        fl.from_arrays(x, y, **how)


def test_rows_that_are_not_here_are_asked_for():
    with pytest.raises(fl.BadInput, match="call fl.from_arrays"):
        type(fl.from_arrays(X, Y))(title="lost", sha256="0" * 64).load()
