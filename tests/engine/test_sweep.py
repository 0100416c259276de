"""A sweep runs what is not there yet, and its heat map draws what its table holds."""

import math
import shutil

import pandas as pd
import pytest

import fedlab_widgets as fl
from fedlab_widgets.figure_attacks import WORST, cells, heat_map
from fedlab_widgets.sweep import sweep

BASE = fl.Experiment(name="swept", task=fl.Digits(), net=fl.Logistic(), partition=fl.IID(clients=4), rounds=2,
                     evaluate=fl.Evaluation(readings=(fl.Accuracy(),)))
AXES = {"attack": {"none": None, "sign flip": fl.SignFlip(liars=(0,), scale=8)}, "aggregate": [fl.Mean(), fl.Median()]}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return sweep(BASE, AXES, seeds=2, out=tmp_path_factory.mktemp("sweep") / "runs",
                 read=lambda run: {"rows sent": float(run.history.trips.iloc[-1])})


def test_every_combination_with_every_seed_is_a_run_of_its_own(found):
    assert found.data[["attack", "aggregate", "seed"]].values.tolist() == [
        [a, b, s] for a in ("none", "sign flip") for b in ("mean", "median") for s in (0, 1)]
    assert set(found.data.status) == {"finished"} and (found.data["rows sent"] == 8).all()
    for row in found.data.itertuples():
        run = fl.open_run(found.path / row.folder)
        e = run.experiment
        assert e.seed == row.seed and e.aggregate.name == row.aggregate and (e.attack is None) == (row.attack == "none")
        assert run.history.accuracy.iloc[-1] == row.accuracy
        assert row.accuracy == fl.run(e, found.path / f"again-{row.Index}", progress=False).history.accuracy.iloc[-1]
    assert "2 attack x 2 aggregate x 2 seeds" in repr(found)


def test_the_same_call_again_runs_nothing_and_what_is_missing_is_run(found):
    made = {p: p.stat().st_mtime_ns for p in found.path.rglob("events.jsonl")}
    gone = found.path / found.data.folder[3]
    shutil.rmtree(gone)
    again = sweep(BASE, AXES, seeds=2, out=found.path, progress=False)
    pd.testing.assert_frame_equal(again.data.drop(columns="seconds"),
                                  found.data.drop(columns=["seconds", "rows sent"]))
    kept = {p for p, t in made.items() if p.exists() and p.stat().st_mtime_ns == t}
    assert kept == {p for p in made if gone not in p.parents} and len(kept) < len(made)


def test_a_run_that_was_cut_off_goes_on(tmp_path):
    axes = {"aggregate": [fl.Mean()]}
    whole = sweep(BASE, axes, seeds=1, out=tmp_path / "whole")
    calls = []
    fl.run(BASE.changed(aggregate=fl.Mean()), tmp_path / "cut" / "mean" / "seed-0", progress=False,
           stop=lambda: len(calls) > 3 or calls.append(0))
    assert fl.open_run(tmp_path / "cut" / "mean" / "seed-0").status == "stopped"
    assert sweep(BASE, axes, seeds=1, out=tmp_path / "cut").data.accuracy[0] == whole.data.accuracy[0]


def test_warnings_of_runs_stay_in_their_records(tmp_path, recwarn):
    rare = BASE.changed(schedule=fl.Lockstep(sampler=fl.Poisson(q=0.01)))   # an empty round, in 24 of 25
    noted = sweep(rare, {"local.lr": [0.1]}, seeds=1, out=tmp_path / "noted", progress=False)
    assert noted.data.notes[0] >= 1
    assert not [w for w in recwarn if "nobody took part" in str(w.message)]


def test_the_bar_says_what_is_left(tmp_path, capsys):
    sweep(BASE, {"local.lr": [0.1, 0.2]}, seeds=1, out=tmp_path / "bar", progress=True)
    said = capsys.readouterr().err
    assert "2/2" in said and "about 0 s left" in said and "0.2, seed 0" in said


@pytest.mark.parametrize("changes, said", [
    ({"axes": {}}, "names no field"),
    ({"axes": {"aggregate": []}}, "aggregate has no values"),
    ({"axes": {"aggregate": [fl.Mean(), fl.Mean(weights="uniform")]}}, "two values of aggregate go by one name"),
    ({"axes": {"local.lr": {"a b": 0.1, "a/b": 0.2}}}, "names of local.lr differ only in signs"),
    ({"axes": {"local.lr": [0.1, -1.0]}}, "^-1.0: local.lr = -1.0 is not allowed"),
    ({"axes": {"attack": {"one": fl.SignFlip(liars=(4,))}}}, "^one: attack.liars = 4 is no client"),
    ({"axes": [fl.Mean()]}, "names no field"),
    ({"axes": {"seed": [1, 2]}}, "seed is no axis"),
    ({"seeds": 0}, "seeds = 0 is not allowed"),
    ({"seeds": 900}, "3,600 runs"),
    ({"experiment": "fedavg"}, "is no Experiment"),
])
def test_what_cannot_work_is_refused_before_the_first_run(tmp_path, changes, said):
    with pytest.raises(fl.BadInput, match=said):
        sweep(**{"experiment": BASE, "axes": AXES, "out": tmp_path / "none", **changes})
    assert not (tmp_path / "none").exists()


def test_a_folder_of_another_experiment_is_refused(found):
    with pytest.raises(fl.BadInput, match="holds another experiment"):
        sweep(BASE.changed(rounds=3), AXES, seeds=2, out=found.path)


def test_a_model_that_explodes_is_a_failed_run_and_no_number(tmp_path):
    # A step of 100 with a decay of 10 makes weights 999 times as long: beyond float32 after 13 steps.
    bad = sweep(BASE.changed(**{"local.weight_decay": 10.0}), {"aggregate": [fl.Mean()], "local.lr": [0.1, 100.0]},
                seeds=1, out=tmp_path / "bad", progress=False)
    failed = bad.data[bad.data.status == "failed"]
    assert failed["local.lr"].tolist() == ["100.0"] and failed.accuracy.isna().all()
    assert failed.reason.tolist()[0].startswith("the model is no longer finite") and bad.data.reason.isna().sum() == 1
    words = [a.text for a in bad.figure().figure.layout.annotations]
    assert words.count("1 failed") == 1 and words.count("failed") == 1   # its cell, and the worst of its column


# --- the picture ----------------------------------------------------------------------------------------------------

RUNS = pd.DataFrame([(a, b, s, "finished", x) for a, b, s, x in [
    ("none", "mean", 0, 0.9), ("none", "mean", 1, 0.8), ("none", "median", 0, 0.8), ("none", "median", 1, 0.8),
    ("lie", "mean", 0, 0.1), ("lie", "mean", 1, 0.3), ("lie", "median", 0, 0.7), ("lie", "median", 1, 0.5)]],
    columns=["attack", "rule", "seed", "status", "accuracy"])


def test_cells_by_hand():
    table = cells(RUNS, ("attack", "rule"), "accuracy").set_index(["attack", "rule"])
    # 0.9 and 0.8: mean 0.85, deviation 0.1 / sqrt 2 = 0.0707; 0.1 and 0.3: 0.2 and 0.1414.
    assert table.loc[("none", "mean")].tolist() == pytest.approx([0.85, 0.0707107, 2, 0])
    assert table.loc[("lie", "mean")].tolist() == pytest.approx([0.2, 0.1414214, 2, 0])
    failed = RUNS.assign(status=["failed", *["finished"] * 7], accuracy=[math.nan, *RUNS.accuracy[1:]])
    assert cells(failed, ("attack", "rule"), "accuracy").iloc[0, 2:].tolist()[::2] == pytest.approx([0.8, 1])


def drawn(figure):
    return {(a.x, a.y): a.text for a in figure.figure.layout.annotations if a.xref != "paper"}


def test_the_map_holds_mean_deviation_and_the_worst_of_each_column():
    picture = heat_map(RUNS, "attack", "rule", told="accuracy on 359 test rows")
    said = drawn(picture)
    assert said[0, 0].startswith("85.0<br>") and "± 7.1" in said[0, 0] and "± 14.1" in said[0, 1]
    assert said[0, 2.25] == "<b>20.0</b>" and said[1, 2.25] == "<b>60.0</b>"
    assert picture.figure.layout.yaxis.ticktext == ("none", "lie", f"<b>{WORST}</b>")
    # Of shares: 0.85 is best, 0.2 is worst and 0.65 behind; 0.6 is 0.25 / 0.65 of the way.
    assert picture.figure.data[0].z[1].tolist() == pytest.approx([1, 0.25 / 0.65])
    told = picture.figure.layout.annotations[-1].text.replace("<br>", " ")
    assert "accuracy on 359 test rows, in %: mean ± standard deviation over 2 seeds; dark is low" in told


def test_where_low_is_good_the_worst_is_the_highest():
    picture = heat_map(RUNS, "attack", "rule", good="low")
    assert drawn(picture)[0, 2.25] == "<b>85.0</b>" and picture.figure.data[0].z[0, 0] == 1
    assert "dark is high" in picture.figure.layout.annotations[-1].text


def test_a_map_of_like_numbers_does_not_look_broken():
    near = heat_map(RUNS.assign(accuracy=[0.93, 0.93, 0.9, 0.9] * 2), "attack", "rule")
    assert near.figure.data[0].z.max() == pytest.approx(0.03 / 0.5)


def test_losses_below_one_are_no_percentages():
    picture = heat_map(RUNS.rename(columns={"accuracy": "loss"}), "attack", "rule", "loss", good="low")
    assert drawn(picture)[0, 0].startswith("0.85<br>") and "in %" not in picture.figure.layout.annotations[-1].text


@pytest.mark.parametrize("changes, said", [
    ({"good": "best"}, "good = 'best'"), ({"value": "loss"}, "no column 'loss'"),
    ({"value": "rule"}, "holds no numbers"),
    ({"data": RUNS.assign(accuracy=math.nan)}, "no run has a reading of accuracy"),
])
def test_maps_that_cannot_be_drawn(changes, said):
    with pytest.raises(fl.BadInput, match=said):
        heat_map(**{"data": RUNS, "rows": "attack", "columns": "rule", **changes})


def test_one_axis_makes_a_table_and_no_map(found):
    import dataclasses

    flat = dataclasses.replace(found, axes={"attack": found.axes["attack"]})
    assert len(flat.table()) == 2 and flat.table().n.tolist() == [4, 4]
    with pytest.raises(fl.BadInput, match="a heat map has two"):
        flat.figure()
