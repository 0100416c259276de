"""What a run gives back: its seeds, models, predictions, clients and history."""

import itertools

import numpy as np
import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets.world import pick_device, world_of


def test_seeds(six_rounds, same_bits, tmp_path, whole):
    run = fl.run(six_rounds, out=tmp_path / "many", seeds=3, progress=False)
    assert sorted(p.name for p in (tmp_path / "many").iterdir()) == ["seed-0", "seed-1", "seed-2"]
    assert [r.experiment.seed for r in (run, *run.replicates)] == [0, 1, 2]
    assert same_bits(run.path, whole.path) and not same_bits(run.replicates[0].path, whole.path)
    spread = run.spread()
    final = [r.history.accuracy.iloc[-1] for r in (run, *run.replicates)]
    assert spread.index.tolist() == [1, 2, 3, 4, 5, 6]
    assert spread.loc[6, ("accuracy", "mean")] == pytest.approx(np.mean(final))
    assert spread.loc[6, ("accuracy", "std")] == pytest.approx(np.std(final, ddof=1))
    again = fl.open_run(tmp_path / "many")
    assert [r.path.name for r in (again, *again.replicates)] == ["seed-0", "seed-1", "seed-2"]
    assert again.spread().equals(spread)
    done = again.resume()
    assert [r.status for r in (done, *done.replicates)] == ["finished"] * 3


@pytest.mark.parametrize("seeds", [0, -1, 1001, 2.0, "3", None])
def test_wrong_seeds(six_rounds, tmp_path, seeds):
    with pytest.raises(fl.BadInput, match="seeds = .* is not allowed: give a whole number from 1 to 1000"):
        fl.run(six_rounds, out=tmp_path / "x", seeds=seeds)


def test_out_of_several_seeds_must_be_new_too(six_rounds, tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(fl.BadInput, match="is there already"):
        fl.run(six_rounds.changed(rounds=1), out=tmp_path / "mine", seeds=2, progress=False)


@pytest.mark.parametrize("make", [
    lambda digits: digits, lambda _: fl.Experiment(rounds=1, partition=fl.IID(clients=3), net=fl.MLP(hidden=(8,))),
    lambda digits: digits.changed(precision="float64", rounds=1)], ids=["digits", "adult", "float64"])
def test_the_kept_model_has_the_recorded_accuracy(six_rounds, tmp_path, make):
    run = fl.run(make(six_rounds), out=tmp_path / "run", progress=False)
    data = world_of(run.experiment, pick_device("cpu")).data
    predicted = run.predict(data.test_x.numpy())
    assert predicted.dtype == np.int64 and predicted.shape == data.test_y.shape
    assert (predicted == data.test_y.numpy()).mean() == run.history.accuracy.iloc[-1]
    net = run.model()
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(net(data.test_x), data.test_y)
    assert float(loss) == pytest.approx(run.history.loss.iloc[-1], rel=1e-5)
    with torch.no_grad():
        next(net.parameters()).zero_()   # a net of the caller's own
    assert (run.predict(data.test_x.numpy()) == predicted).all()


def test_every_client_has_its_own_model(tmp_path):
    experiment = fl.recipe("local-only").changed(**{"task": "digits", "partition": {"part": "iid", "clients": 3},
                                                    "rounds": 2, "net.hidden": (8,)})
    run = fl.run(experiment, out=tmp_path / "run", progress=False)
    data = world_of(run.experiment, pick_device("cpu")).data
    each = [(run.predict(data.test_x.numpy(), client=i) == data.test_y.numpy()).mean() for i in range(3)]
    assert len(set(each)) > 1 and np.mean(each) == pytest.approx(run.history.accuracy.iloc[-1], abs=1e-12)
    with pytest.raises(fl.BadInput, match="client = 3 is no client: ids go from 0 to 2"):
        run.model(3)


@pytest.mark.parametrize("x", [np.zeros((2, 1, 8, 9)), np.zeros((1, 8, 8)), np.zeros(64), np.zeros((3, 64)), 1.0, [],
                               [["a"]], None, [[1.0], [1.0, 2.0]], "text"])
def test_predict_with_something_else(whole, x):
    with pytest.raises(fl.BadInput, match=r"^x (has shape|holds something else than numbers).*\[rows, 1, 8, 8\]"):
        whole.predict(x)


def test_predict_for_no_rows_and_before_a_snapshot(whole, half):
    assert whole.predict(np.zeros((0, 1, 8, 8))).shape == (0,)
    (half / "snapshot.safetensors").unlink()
    with pytest.raises(fl.BadInput, match="holds no snapshot yet; resume the run first"):
        fl.open_run(half).model()


def test_clients_add_up_with_the_data(tmp_path):
    experiment = fl.Experiment(rounds=2, net=fl.Logistic(), schedule=fl.Lockstep(sampler=fl.Fixed(m=4)),
                               attack=fl.LabelFlip(liars=(2, 5)))
    run = fl.run(experiment, out=tmp_path / "run", progress=False)
    table, data = run.clients, world_of(run.experiment, pick_device("cpu")).data
    assert table.index.tolist() == list(range(10))
    rows = table.train + table.held_out
    assert rows.sum() == len(data.y) == 32_561
    assert (table.held_out == rows // 5).all()
    for prefix, names, values in (("label", data.labels, data.y), ("group", data.groups, data.group)):
        columns = table[[f"{prefix} {n}" for n in names]]
        assert (columns.sum(axis=1) == rows).all()
        assert columns.sum().tolist() == torch.bincount(values).tolist()
    assert table.index[table.liar].tolist() == [2, 5]
    assert table.trips.sum() == run.history.trips.iloc[-1] == 8
    counts = run.counts()
    assert (counts.sum((1, 2, 3)) == table.held_out).all()
    assert [table.accuracy.mean(), table.accuracy.min(), table.accuracy.max()] == pytest.approx(
        run.history[["mean_client", "worst_client", "best_client"]].iloc[-1].tolist())
    assert run.counts(99) is None and (run.counts(1) != counts).any()


def test_history_has_one_row_a_round(whole):
    table = whole.history
    expected = ("round time trips seconds accuracy loss mean_client worst_client best_client bytes_up bytes_down "
                "epsilon global_disparity local_disparity unique redundant masked unique_corrected unique_lo").split()
    assert set(expected) <= set(table.columns) and table["round"].tolist() == [1, 2, 3, 4, 5, 6]
    assert (table.trips.diff().dropna() == 4).all() and table.bytes_up.nunique() == 1
    assert all(kind.kind in "if" for kind in table.dtypes)


def test_a_run_that_explodes_keeps_its_rounds(six_rounds, tmp_path):
    looks = itertools.count()
    with pytest.warns(UserWarning, match="no longer finite"):
        run = fl.run(six_rounds.changed(**{"local.correct": (), "net.hidden": (64, 64, 64), "local.lr": 100.0,
                                      "local.momentum": 0.9, "local.epochs": 3}),
                     out=tmp_path / "run", progress=False, stop=lambda: next(looks) < 0)
    assert run.status == "failed" and "lower local.lr (now 100.0)" in run.reason
    assert len(run.history) < 6
