"""The lab without a browser: buttons are clicked, widgets are read."""

import asyncio
import time

import pytest

import fedlab_widgets as fl
from fedlab_widgets.part import _CATALOGUE
from fedlab_widgets.widgets.lab import Lab
from fedlab_widgets.widgets.starts import STARTS

QUICK = fl.Experiment(name="quick", partition=fl.ByGroup(clients=4), rounds=3)


@pytest.fixture
def lab(tmp_path):
    made = Lab(QUICK, out=tmp_path / "runs", name=str(tmp_path))
    made.speed.value = 0.0
    yield made
    made.runner.stop()
    made.runner.join(20)
    made.retire()


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def test_start_draws_and_ends_with_the_fairness_panel(lab):
    assert not lab.buttons["start"].disabled and lab.buttons["stop"].disabled
    lab.buttons["start"].click()
    run = asyncio.run(lab.wait(60))
    assert run.status == "finished" and run is lab.run
    rows = lab.board.table()
    assert [row["round"] for row in rows] == [1, 2, 3]
    assert [row["accuracy"] for row in rows] == pytest.approx(run.history.accuracy.tolist(), abs=1e-6)
    until(lambda: type(lab._fairness.children[-1]).__name__ == "WhatIf")
    until(lambda: "sex is not given to the model" in lab._fairness.children[0].value)
    assert not lab.buttons["start"].disabled and lab.buttons["stop"].disabled


def test_the_partition_is_drawn_before_any_training_and_follows_the_form(lab):
    before = lab._picture.value
    assert "4 clients hold" in before and "<svg" in before and "<table" in before
    lab.form.show(lab.experiment.changed(**{"partition.clients": 6}))
    assert "6 clients hold" in lab._picture.value
    until(lambda: "Forecast: 3 rounds" in lab._forecast.value)


def test_what_goes_wrong_is_said_and_raised_by_wait(lab):
    lab.form.show(lab.experiment.changed(**{"local.lr": 1, "local.weight_decay": 10, "local.steps": 200}))
    lab.buttons["start"].click()
    with pytest.raises(RuntimeError, match="local.lr"):
        asyncio.run(lab.wait(60))
    until(lambda: "local.lr" in lab._problem.value)
    assert "Traceback" not in lab._problem.value


def test_a_part_from_a_cell_is_in_the_menu_at_once(lab):
    before = dict(_CATALOGUE["aggregate"])
    try:
        @fl.part
        class Loudest(fl.Aggregate):
            """Take the longest row. Source: this test."""

            def finish(self, total, weights, expected):
                return total[0][0]

        field = next(f for f in lab.form.fields() if f.path == "aggregate")
        assert "loudest" in str([w.options for w in _walk(field) if hasattr(w, "options")])
    finally:
        _CATALOGUE["aggregate"].clear()
        _CATALOGUE["aggregate"].update(before)
        lab.form.refresh()


def _walk(field):
    todo = [getattr(field, "box", field)]
    while todo:
        widget = todo.pop()
        yield widget
        todo += list(getattr(widget, "children", ()))


def test_a_cell_run_again_attaches_to_the_run_at_work(lab):
    lab.speed.value = 30.0
    lab.buttons["start"].click()
    until(lambda: len(lab.runner.events) >= 3)
    again = Lab(out=lab.out, name=lab.name)
    try:
        assert again.runner is lab.runner
        until(lambda: again.board.table())
    finally:
        again.runner.stop()
        again.runner.join(20)
        again.retire()


def test_reset_clears_the_picture(lab):
    lab.buttons["start"].click()
    asyncio.run(lab.wait(60))
    until(lambda: not lab.buttons["reset"].disabled)
    lab.buttons["reset"].click()
    assert lab.board.table() == [] and lab.run is None


@pytest.mark.parametrize("quick", STARTS, ids=lambda q: q.title)
def test_one_click_starts_are_valid(quick):
    assert quick.point and quick.experiment.forecast().seconds < 20


def test_a_picture_that_fails_is_said_and_the_run_goes_on(lab, monkeypatch):
    def broken(row):
        raise KeyError("no such curve")

    monkeypatch.setattr(lab.board, "add", broken)
    lab.buttons["start"].click()
    assert asyncio.run(lab.wait(60)).status == "finished"
    until(lambda: "no such curve" in lab._problem.value)
