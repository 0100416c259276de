"""The lab without a browser: buttons are clicked, widgets are read."""

import asyncio
import html
import re
import threading
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
    made.bar.speed.value = 0.0
    yield made
    made.runner.stop()
    made.runner.join(20)
    made.retire()


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def _kind(widget) -> str:
    return type(widget).__name__


def test_start_draws_and_ends_with_the_fairness_panel(lab):
    assert not lab.bar.buttons["start"].disabled and lab.bar.buttons["stop"].disabled
    lab.bar.buttons["start"].click()
    run = asyncio.run(lab.wait(60))
    assert run.status == "finished" and run is lab.run
    rows = lab.board.table()
    assert [row["round"] for row in rows] == [1, 2, 3]
    assert [row["accuracy"] for row in rows] == pytest.approx(run.history.accuracy.tolist(), abs=1e-6)
    until(lambda: "WhatIf" in map(_kind, lab._fairness.children))
    until(lambda: "Sex is not given to the model" in lab._fairness.children[0].value)
    assert not lab.bar.buttons["start"].disabled and lab.bar.buttons["stop"].disabled


def test_the_partition_is_drawn_before_any_training_and_follows_the_form(lab):
    assert "4 clients hold" in lab.table.table["holds"] and len(lab.table.table["rows"]) == 4
    lab.form.show(lab.experiment.changed(**{"partition.clients": 6}))
    assert "6 clients hold" in lab.table.table["holds"] and len(lab.table.table["rows"]) == 6
    until(lambda: "Forecast: 3 rounds" in lab._forecast.value)


def test_what_goes_wrong_is_said_and_raised_by_wait(lab):
    lab.form.show(lab.experiment.changed(**{"local.lr": 1, "local.weight_decay": 10, "local.steps": 200}))
    lab.bar.buttons["start"].click()
    with pytest.raises(RuntimeError, match="local.lr"):
        asyncio.run(lab.wait(60))
    until(lambda: "local.lr" in lab._problem.value)
    assert "Traceback" not in lab._problem.value


def test_what_was_said_of_another_experiment_is_taken_back(lab):
    until(lambda: "Forecast: 3 rounds" in lab._forecast.value)
    lab.code.button.click()
    lab.say_problem("of the run before")
    lab.form.show(lab.experiment.changed(rounds=5))
    assert "rounds=5" in lab.code.text.value and "rounds=3" not in lab.code.text.value
    assert "3 rounds" not in lab._forecast.value and lab._problem.value == ""
    lab.form.show(lab.experiment.changed(rounds=3))   # there and back, before the forecast has settled
    until(lambda: "Forecast: 3 rounds" in lab._forecast.value)
    lab.code.button.click()
    lab.form.show(lab.experiment.changed(rounds=5))
    assert lab.code.text.value == ""


def test_nothing_starts_while_a_field_shows_something_else(lab):
    lab.form.field("rounds").control.value = 0
    for name in ("start", "step"):
        lab.bar.buttons[name].click()
        assert lab.run is None and "Nothing was started. rounds = 0 is not allowed" in lab._problem.value
    lab.form.field("rounds").control.value = 2
    assert lab._problem.value == ""
    lab.bar.buttons["start"].click()
    assert len(asyncio.run(lab.wait(60)).history) == 2


@pytest.mark.parametrize("partition, why", [(fl.ByGroup(clients=50_000), "more than the 32561 training rows"),
                                            (fl.Natural(), "these data name none")])
def test_a_partition_that_cannot_be_is_said_in_place_of_the_picture(lab, partition, why):
    lab.form.show(lab.experiment.changed(partition=partition))
    assert why in lab.table.table["said"] and why in lab._problem.value and lab.table.table["rows"] == []
    assert "this cannot run" in lab._forecast.value
    lab.form.show(QUICK)
    assert lab.table.table["said"] == lab._problem.value == "" and len(lab.table.table["rows"]) == 4


def test_a_run_that_never_began_clears_the_board(lab):
    lab.start()
    asyncio.run(lab.wait(60))
    lab.form.show(lab.experiment.changed(partition=fl.Natural(), name="in vain"))
    lab.start()
    with pytest.raises(fl.BadInput, match="these data name none"):
        asyncio.run(lab.wait(60))
    until(lambda: lab.board._status["state"] == "failed")
    assert lab.board.table() == [] and lab.board._run.title == "in vain"
    assert lab.board.before().name == "quick"   # still the grey line of the next run
    assert "a former run: “quick”, on adult" in lab._fairness_of.value and not lab._board_of.value


def test_a_run_between_two_looks_is_shown(lab, monkeypatch):
    lab.start()
    asyncio.run(lab.wait(60))
    until(lambda: lab._told is lab.run)
    look, gate = lab._flush, threading.Event()
    monkeypatch.setattr(lab, "_flush", lambda: gate.is_set() and look())
    time.sleep(0.3)   # the look that was under way is over
    lab.form.show(lab.experiment.changed(name="again"))
    lab.start()   # as many events as before, and the same phase in the end
    lab.runner.join(60)
    gate.set()
    until(lambda: lab._told is lab.run)
    assert lab.board._run.title == "again" and lab.board.before().name == "again" and len(lab.board.table()) == 3


def test_figures_on_other_data_are_named_as_those_of_a_former_run(lab):
    lab.start()
    asyncio.run(lab.wait(60))
    until(lambda: "WhatIf" in map(_kind, lab._fairness.children) and not lab._fairness_of.value)
    assert not lab._board_of.value
    lab.form.show(lab.experiment.changed(rounds=2, **{"task.withhold": False}))   # no other data
    assert not lab._board_of.value and not lab._fairness_of.value
    lab.form.show(lab.experiment.changed(task=fl.Digits()))
    for line in (lab._board_of, lab._fairness_of):
        assert "These figures are of a former run: “quick”, on adult." in line.value
    lab.start()
    asyncio.run(lab.wait(60))
    until(lambda: "names no groups" in getattr(lab._fairness.children[-1], "value", ""))
    until(lambda: not lab._fairness_of.value)
    assert not lab._board_of.value


def test_the_fairness_of_the_run_before_is_named_while_another_goes(lab):
    lab.start()
    asyncio.run(lab.wait(60))
    until(lambda: "WhatIf" in map(_kind, lab._fairness.children) and not lab._fairness_of.value)
    lab.bar.speed.value = 30.0
    lab.start()
    until(lambda: "a former run: “quick”" in lab._fairness_of.value)


def test_details_of_a_bug_are_folded_away(lab, monkeypatch):
    def broken(*_):
        raise KeyError("no such file")

    monkeypatch.setattr("fedlab_widgets.widgets.runner.folder_for", broken)
    lab.start()
    with pytest.raises(KeyError):
        asyncio.run(lab.wait(60))
    until(lambda: "no such file" in lab._problem.value)
    words, _, details = lab._problem.value.partition("<details>")
    assert "Traceback" not in words and "Traceback" in details


def test_clients_are_picked_in_their_table(lab):
    lab.table._handle_custom_msg({"op": "part", "client": 1, "on": False}, [])
    assert lab.experiment.schedule.clients == (0, 2, 3)
    lab.table._handle_custom_msg({"op": "liar", "client": 2, "on": True}, [])
    assert lab.experiment.attack == fl.SignFlip(liars=(2,))
    lab.start()
    run = asyncio.run(lab.wait(60))
    assert run.clients.trips.tolist() == [3, 0, 3, 3] and run.clients.liar.tolist() == [False, False, True, False]
    until(lambda: lab.table.table["read"])
    accuracy = {row[0]: row[5] for row in lab.table.table["rows"]}
    assert [accuracy[i] for i in range(4)] == pytest.approx(run.clients.accuracy.tolist(), abs=1e-4)


def test_the_code_of_the_form_makes_the_same_experiment(lab):
    show = lab.form.actions.children[0]
    show.button.click()
    source = html.unescape(re.search("<pre[^>]*>(.*)</pre>", show.text.value, re.S)[1])
    names: dict = {}
    exec(source.partition("run = fl.run(")[0], names)
    assert names["experiment"] == lab.experiment and source.endswith("run = fl.run(experiment)\n")
    show.button.click()
    assert not show.text.value


def test_a_run_is_described_and_its_figures_are_saved(lab):
    lab.start()
    run = asyncio.run(lab.wait(60))
    until(lambda: lab.keep.run is not None)
    assert "4 clients" in lab.keep.text.value
    lab.keep.save()
    kept = sorted(p.name for p in (run.path / "figures").iterdir())
    assert "disparity.csv" in kept and "hull.csv" in kept and len(kept) == 14, lab.keep.status.value


def test_what_a_quick_start_set_is_said_and_taken_back(lab):
    quick = next(q for q in STARTS if q.experiment.attack is not None)
    next(b for b in _walk(lab) if getattr(b, "description", "") == quick.title).click()
    lab.bar.buttons["stop"].click()
    lab.runner.join(30)
    assert html.escape(quick.point) in lab._point.value
    lab.form.host.submit("task", "adult")
    assert "Still set by" in lab._point.value and "sign flip" in lab._point.value
    lab.form.field("method").control.value = "fedavg"
    assert lab.experiment.attack is None and not lab._point.value


def test_what_a_run_warns_of_is_said_once(lab):
    lab.form.show(fl.recipe("dp-fedavg").changed(**{"task": fl.Digits(), "partition": fl.IID(clients=5),
                                                            "rounds": 3}))
    lab.start()
    run = asyncio.run(lab.wait(60))
    texts = {e.text for e in run.events if type(e).__name__ == "Warned"}
    assert texts and all(lab._warned.value.count(html.escape(text)) == 1 for text in texts)
    until(lambda: not lab.bar.buttons["reset"].disabled)
    lab.bar.buttons["reset"].click()
    assert not lab._warned.value


def test_the_audit_is_a_tab_that_needs_no_run(lab):
    lab.panels.selected_index = 1
    assert type(lab.panels.children[1]).__name__ == "AuditTab" and lab.run is None


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
    lab.bar.speed.value = 30.0
    lab.bar.buttons["start"].click()
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
    lab.bar.buttons["start"].click()
    asyncio.run(lab.wait(60))
    until(lambda: not lab.bar.buttons["reset"].disabled)
    lab.bar.buttons["reset"].click()
    assert lab.board.table() == [] and lab.run is None


@pytest.mark.parametrize("quick", STARTS, ids=lambda q: q.title)
def test_one_click_starts_are_valid(quick):
    assert quick.point and quick.experiment.forecast().seconds < 20


def test_a_picture_that_fails_is_said_and_the_run_goes_on(lab, monkeypatch):
    def broken(row):
        raise KeyError("no such curve")

    monkeypatch.setattr(lab.board, "add", broken)
    lab.bar.buttons["start"].click()
    assert asyncio.run(lab.wait(60)).status == "finished"
    until(lambda: "no such curve" in lab._problem.value)
