"""The sweep as a panel, without a browser and with real runs: what fills in, what Stop keeps, what is said."""

import math
import re
import threading
import time

import pandas as pd
import pytest

import fedlab_widgets as fl
from fedlab_widgets.sweep import Grid
from fedlab_widgets.widgets.runner import Phase
from fedlab_widgets.widgets.sweep_map import NIGHT, SCALE, page, shades
from fedlab_widgets.widgets.sweep_panel import READ, TICK, SweepPanel
from fedlab_widgets.widgets.sweep_runner import SweepRunner
from fedlab_widgets.widgets.why import Explained

BASE = fl.Experiment(name="swept", task=fl.Digits(), net=fl.Logistic(), partition=fl.IID(clients=4), rounds=2,
                     evaluate=fl.Evaluation(readings=(fl.Accuracy(),)))
CHANGES = {"attack": {"none": None, "sign flip": fl.SignFlip(liars=(0,), scale=8)},
           "aggregate": [fl.Mean(), fl.Median()]}


def cell(html: str, at: str) -> str:
    """What a screen reader and the page are told of a cell."""
    found = re.search(f'<td class="([^"]*)" style="[^"]*" data-at="{at}" aria-label="([^"]*)">(.*?)</td>', html)
    return " | ".join(found.groups())


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", html))


@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    made = SweepPanel(BASE, CHANGES, seeds=2, out=tmp_path_factory.mktemp("sweep") / "runs")
    made.start()
    made.wait(60)
    return made


# --- the map --------------------------------------------------------------------------------------------------------

AXES = {"attack": ("none", "lie"), "rule": ("mean", "median")}
RUNS = pd.DataFrame([("none", "mean", 0, "finished", 0.9), ("none", "mean", 1, "finished", 0.8),
                     ("lie", "mean", 0, "finished", 0.2), ("none", "median", 0, "failed", math.nan)],
                    columns=["attack", "rule", "seed", "status", "accuracy"])


def test_cells_by_hand():
    html = page(AXES, RUNS, "accuracy", "high", 2, "accuracy", running=("lie", "median"))
    # 0.9 and 0.8: mean 0.85, deviation 0.1 / sqrt 2 = 0.0707.
    assert cell(html, "0,0") == (" | none with mean: mean 85.0 %, deviation 7.1, 2 of 2 seeds | "
                                 "<b>85.0</b><small>± 7.1, n 2</small>")
    assert cell(html, "1,0").endswith("1 of 2 seeds | <b>20.0</b><small>n 1</small>")
    assert cell(html, "0,1") == "broken | none with median: 1 failed | <b>1 failed</b>"
    assert cell(html, "1,1").startswith("empty running | lie with median: to come, at work")
    assert "worst of these, mean: 20.0 %" in html and "worst of these, median: to come" in html
    assert "over n of 2 seeds; strong colour is low" in html


def test_the_worst_row_says_of_how_many_rows_it_knows():
    html = page(AXES, RUNS[:2], "accuracy", "high", 2, "accuracy")
    assert "85.0<small>1 of 2</small>" in html
    assert "1 of 2" not in words(page(AXES, RUNS, "accuracy", "high", 2, "accuracy")).partition("worst of these")[2]


def test_a_map_of_nothing_yet_and_of_a_reading_that_is_not_there():
    assert page(AXES, pd.DataFrame(), "accuracy", "high", 2, "accuracy").count("to come") == 6
    assert "<b>–</b>" in page(AXES, RUNS, "loss", "low", 2, "loss")


def test_losses_below_one_are_no_percentages():
    html = page(AXES, RUNS.rename(columns={"accuracy": "loss"}), "loss", "low", 2, "loss")
    assert "<b>0.85</b>" in html and "in %" not in html and "strong colour is high" in html


def test_names_of_parts_are_no_markup():
    told = page({"a": ("<b>", "x"), "b": ("y",)}, pd.DataFrame(), "accuracy", "high", 1, "accuracy")
    assert "&lt;b&gt; with y" in told and "<b>" not in told.partition("<tbody>")[2]


@pytest.mark.parametrize("bad", [i / 50 for i in range(51)])
def test_every_shade_can_be_read(bad):
    for ground, ink in re.findall(r":(#\w{6});--on-\w+:(#\w{3})", shades(bad)):
        parts = [int(ground[i:i + 2], 16) / 255 for i in (1, 3, 5)]
        light = sum(k * ((c + 0.055) / 1.055) ** 2.4 for k, c in zip((0.2126, 0.7152, 0.0722), parts, strict=True))
        assert (1.05 / (light + 0.05) if ink == "#fff" else (light + 0.05) / 0.05) >= 4.5   # WCAG AA


def test_shades_begin_and_end_at_the_scale():
    for place, scale in (("day", SCALE), ("night", NIGHT)):
        assert f"--{place}:{scale[0][1]}" in shades(0) and f"--{place}:{scale[-1][1]}" in shades(1)


# --- the panel ------------------------------------------------------------------------------------------------------

def test_the_map_holds_what_the_runs_came_to(panel):
    table = panel.sweep.table().set_index(["attack", "aggregate"])
    for at, names in (("0,0", ("none", "mean")), ("1,0", ("sign flip", "mean")), ("1,1", ("sign flip", "median"))):
        assert f"<b>{100 * table['mean'][names]:.1f}</b>" in cell(panel.map.html, at)
    assert panel.runner.phase is Phase.DONE and "8 of 8 runs" in panel.bar.value and "All runs have ended" in (
        panel.status.value)
    assert panel.buttons["start"].disabled and panel.buttons["stop"].disabled
    assert "359 test rows, after 2 rounds" in panel.map.html


def test_a_chosen_cell_tells_its_runs_and_its_code_opens_one(panel):
    panel.map.chosen = "1,0"
    data = panel.sweep.data.query("attack == 'sign flip' and aggregate == 'mean'")
    for seed, accuracy in zip(data.seed, data.accuracy, strict=True):
        assert f"seed {seed} {100 * accuracy:.1f} %" in panel.told.value
    code = words(panel.told.value).replace("&#x27;", "'").replace("&quot;", '"')
    run = eval(re.search(r"run = (fl\.open_run\('.*?'\))", code)[1], {"fl": fl})
    assert run.experiment.attack.name == "sign_flip" and run.experiment.aggregate.name == "mean"


def test_another_reading_is_another_map(panel):
    before = panel.map.html
    panel.reading.value = "worst client"
    assert panel.map.html != before and "worst client" in panel.map.html and "worst client" in panel.told.value
    panel.reading.value = "accuracy"
    assert panel.map.html == before and "loss" in panel.reading.options and "attack success" not in (
        panel.reading.options)


def test_every_control_has_its_question_mark(panel):
    told = {box.why.button.tooltip for row in panel.children for box in (row, *getattr(row, "children", ()))
            if isinstance(box, Explained)}
    assert told == {"what is Start and Stop?", "what is the reading?", "what is the heat map?"}


def test_the_picture_needs_no_kernel(panel):
    assert "8 of 8 runs" in panel.picture() and "<script" not in panel.picture()
    assert cell(panel.map.html, "0,0") in panel.picture() or cell(panel.picture(), "0,0") == cell(panel.map.html, "0,0")


def test_the_same_folder_again_shows_what_is_there_and_trains_nothing(panel):
    made = {p: p.stat().st_mtime_ns for p in panel.grid.path.rglob("*")}
    again = SweepPanel(BASE, CHANGES, seeds=2, out=panel.grid.path)
    again.wait(30)
    assert again.runner.phase is Phase.DONE and again.map.html == panel.map.html
    assert {p: p.stat().st_mtime_ns for p in again.grid.path.rglob("*")} == made
    wider = SweepPanel(BASE, CHANGES, seeds=3, out=panel.grid.path)
    wider.wait(30)
    assert "8 of 12 runs" in wider.bar.value and wider.buttons["start"].description == "Go on"


def test_stop_keeps_what_is_done_and_go_on_ends_in_the_same_bits(tmp_path):
    slow = BASE.changed(**{"rounds": 30, "evaluate.every": 30})
    made = SweepPanel(slow, CHANGES, seeds=2, out=tmp_path / "cut")
    made.start()
    while not (made.runner.now and made.runner.now[1] >= 3 and made.runner.rows):
        assert made.runner.thread.is_alive()
        time.sleep(0.001)
    assert made.runner.left > 0
    made.stop()
    done = dict(made.runner.rows)
    made.runner.join(30)
    assert made.runner.phase is Phase.STOPPED and len(done) <= len(made.runner.rows) < 8
    half = next(made.grid.folder(*job) for job in made.grid.runs if job not in made.runner.rows)
    assert fl.open_run(half).status == "stopped" and len(fl.open_run(half).history) < 30
    deadline = time.monotonic() + 10
    while "Stopped." not in made.status.value:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert made.buttons["start"].description == "Go on" and not made.buttons["start"].disabled
    later = SweepPanel(slow, CHANGES, seeds=2, out=tmp_path / "cut")   # the cell, run again
    later.start()
    later.wait(60)
    e = fl.open_run(half).experiment
    assert fl.open_run(half).history.accuracy.iloc[-1] == fl.run(e, tmp_path / "whole", progress=False).history[
        "accuracy"].iloc[-1]


def test_a_second_panel_of_the_folder_stops_the_first_and_waits_for_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    slow = BASE.changed(rounds=500)
    first = SweepPanel(slow, CHANGES, seeds=1)
    first.start()
    while not (first.runner.now and first.runner.now[1]):   # its folder is there
        time.sleep(0.001)
    second = SweepPanel(slow, CHANGES, seeds=1)   # no `out`: the folder of the first, as long as this kernel lives
    assert second.grid.path == first.grid.path
    second.runner.join(30)   # it has only looked
    assert first.runner.phase is Phase.STOPPED and second.runner.phase is Phase.IDLE
    other = SweepPanel(BASE.changed(rounds=3), CHANGES, seeds=1)
    assert other.grid.path != first.grid.path


def test_at_most_ten_messages_a_second(tmp_path):
    made = SweepPanel(BASE.changed(rounds=8), CHANGES, seeds=4, out=tmp_path / "told")
    made.map.chosen, sent = "1,1", []
    for widget in (made.map, made.bar, made.status, made.told):
        widget.observe(lambda change: sent.append(time.monotonic()), list(widget.keys))
    made.start()
    made.wait(60)
    last = [sum(t - 1 < other <= t for other in sent) for t in sent]
    assert sent and max(last) <= 10 and TICK >= 0.4


def test_a_failed_run_is_told_in_words_and_the_others_go_on(tmp_path):
    # A step of 100 with a decay of 10 makes weights 999 times as long: beyond float32 after 13 steps.
    made = SweepPanel(BASE.changed(**{"local.weight_decay": 10.0}), {"local.lr": [0.1, 100.0],
                                                                     "aggregate": [fl.Mean(), fl.Median()]},
                      seeds=1, out=tmp_path / "bad")
    made.start()
    made.wait(30)
    assert cell(made.map.html, "1,0").startswith("broken | 100.0 with mean: 1 failed")
    assert "1 failed; choose a cell" in made.status.value   # the median just stays a number
    made.map.chosen = "1,0"
    assert "seed 0 failed: the model is no longer finite after round 2" in made.told.value
    assert "Traceback" not in made.told.value


def test_a_part_that_raises_fails_its_own_runs_only(tmp_path):
    @fl.part
    class Breaks(fl.Aggregate):
        """Raises."""

        def fold(self, total, rows, weights):
            raise ArithmeticError("no such sum")

    made = SweepPanel(BASE, {"aggregate": [fl.Mean(), Breaks()], "local.lr": [0.1, 0.2]}, seeds=1,
                      out=tmp_path / "breaks")
    made.start()
    made.wait(30)
    assert made.runner.phase is Phase.DONE and made.sweep.data.status.tolist() == ["finished"] * 2 + ["failed"] * 2
    assert "no such sum" in made.runs(("breaks", "0.1"))


def test_what_stops_the_sweep_is_said(tmp_path):
    fl.run(BASE, tmp_path / "other" / "none" / "mean" / "seed-0", progress=False)
    made = SweepPanel(BASE.changed(rounds=3), CHANGES, seeds=1, out=tmp_path / "other")
    with pytest.raises(RuntimeError, match="holds another experiment"):
        made.wait(30)
    deadline = time.monotonic() + 10
    while "role=alert" not in made.status.value:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert "holds another experiment" in made.status.value and "Traceback" not in made.status.value


def test_a_backdoor_brings_its_reading(tmp_path):
    made = SweepPanel(BASE, {"attack": {"none": None, "door": fl.Backdoor(target=7, liars=(0,))},
                             "aggregate": [fl.Mean()]}, seeds=1, out=tmp_path / "door")
    assert "attack success" in made.reading.options
    made.start()
    data = made.wait(30).data
    run = fl.open_run(tmp_path / "door" / data.folder[1])
    assert data.attack_success[1] == fl.attack_success(run).rate
    made.reading.value = "attack success"
    assert f"<b>{100 * data.attack_success[1]:.1f}</b>" in cell(made.map.html, "1,0")
    assert "strong colour is high" in made.map.html


@pytest.mark.parametrize("changes, said", [
    ({"aggregate": [fl.Mean()]}, "the map has two axes"),
    ({"aggregate": [fl.Mean()], "local.lr": [0.1], "rounds": [1]}, "the map has two axes"),
    ({"seed": [1, 2], "aggregate": [fl.Mean()]}, "seed is no axis"),
    ({"attack": {"one": fl.SignFlip(liars=(4,))}, "aggregate": [fl.Mean()]}, "one with mean: attack.liars = 4"),
])
def test_what_cannot_be_drawn_is_refused(tmp_path, changes, said):
    with pytest.raises(fl.BadInput, match=said):
        SweepPanel(BASE, changes, seeds=1, out=tmp_path / "none")


def test_nothing_to_read_yet(tmp_path):
    made = SweepPanel(BASE, CHANGES, seeds=1, out=tmp_path / "none")
    assert "Press Start: 4 runs" in made.status.value and made.picture() == "" and not (tmp_path / "none").exists()
    with pytest.raises(fl.BadInput, match="no run has ended yet"):
        _ = made.sweep
    made.stop()   # nothing to stop
    assert made.runner.phase is Phase.IDLE


def test_start_while_it_looks_trains_when_it_has_looked(panel):
    grid, gate = Grid.of(BASE, CHANGES, 3, panel.grid.path), threading.Event()

    class Held:
        join = staticmethod(gate.wait)

    runner = SweepRunner(grid, after=Held())
    assert runner.look() and runner.start() and not runner.start()
    runner.stop()
    gate.set()
    runner.join(30)
    assert runner.phase is Phase.STOPPED and not runner.rows


def test_readings_are_columns_of_a_run(panel):
    assert {column for column, *_ in READ.values()} - {"attack_success"} <= {*fl.open_run(
        panel.grid.path / panel.sweep.data.folder[0]).history.columns}
