"""The map of limits and its panel without a browser: what is drawn, said, clicked, and refused."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import fedlab_widgets as fl
from fedlab_widgets.audit import Audit
from fedlab_widgets.evaluate.limits import frontier, limits, tables
from fedlab_widgets.figure_limits import _ticks, figure
from fedlab_widgets.part import BadInput
from fedlab_widgets.widgets.limits_panel import ANY, OWN, LimitsPanel, folded, standing, way
from fedlab_widgets.widgets.why import Explained

PEOPLE = np.random.default_rng(0).integers(5, 80, (2, 2, 3))
PATH = pd.DataFrame({"round": [1, 2, 3], "global_disparity": [0.001, 0.004, 0.009],
                     "local_disparity": [0.002, np.nan, 0.01], "accuracy": [0.6, 0.7, 0.75]})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    experiment = fl.Experiment(name="limits", partition=fl.ByGroup(clients=3), rounds=2)
    return fl.run(experiment, out=tmp_path_factory.mktemp("runs") / "limits", progress=False)


@pytest.fixture(scope="module")
def panel(run):
    made = LimitsPanel.of(run)
    made.wait()
    return made


# --- the figure ---------------------------------------------------------------------------------------------------

def test_contours_are_the_frontier_on_axes_of_square_roots():
    front = frontier(PEOPLE, [0, 0.01, 0.04], [0, 0.09])
    drawn = figure(front)
    contour = drawn.data[0]
    assert np.array_equal(contour.z, front.accuracy)
    assert contour.x == pytest.approx([0, 0.3]) and contour.y == pytest.approx([0, 0.1, 0.2])
    corner = drawn.layout.annotations[0].text.replace("\u00a0", " ")
    assert corner == f"<b>no disparity: {100 * front.accuracy[0, 0]:.2f} %</b>"
    for axis in (drawn.layout.xaxis, drawn.layout.yaxis):
        assert [float(t) for t in axis.ticktext] == pytest.approx(np.square(axis.tickvals))
    assert not drawn.layout.showlegend
    later = figure(frontier(PEOPLE, [0.01, 0.04], [0, 0.09]))
    assert later.layout.annotations[0].text.startswith("<b>strictest")


def test_the_path_is_drawn_with_its_first_and_its_last_round_marked():
    drawn = figure(frontier(PEOPLE, points=4), PATH.assign(best=[0.9, np.nan, 0.95]))
    named = {t.name.replace("\u00a0", " "): t for t in drawn.data if t.name and t.showlegend}
    assert set(named) == {"round 1: 60.0 %, at best 90.0 %", "round 3: 75.0 %, at best 95.0 %"}   # round 2 has no L
    first, last = named.values()
    assert first.x == pytest.approx([0.002**0.5]) and last.y == pytest.approx([0.009**0.5])
    assert first.marker.symbol != last.marker.symbol and drawn.layout.showlegend
    far = figure(frontier(PEOPLE, points=4), PATH.assign(local_disparity=[0.3, 0.5, 0.9]))
    assert far.layout.xaxis.range[1] > 0.9**0.5       # a run beyond the grid is still in the picture
    alone = figure(frontier(PEOPLE, points=4), PATH[:1])
    assert [t.name for t in alone.data if t.name and t.showlegend] == ["round 1: 60.0 %"] and alone.layout.showlegend


def test_ticks_are_round_numbers_apart():
    assert _ticks(0.0367) == [0, 0.03, 0.02, 0.01, 0.005, 0.002]
    for end in (1e-4, 0.0007, 0.05, 0.999, 1.0, 3.2):
        ticks = np.sqrt(sorted(_ticks(end)))
        assert 4 <= len(ticks) <= 8 and (np.diff(ticks) > 0.1 * end**0.5).all() and ticks[-1] <= 1.001 * end**0.5


@pytest.mark.parametrize(("front", "path", "said"), [
    (([0], [0, 1]), None, "contours need two of each"),
    (([0, 1], [0, 1]), PATH.drop(columns="accuracy"), "path lacks accuracy"),
    (([0, 1], [0, 1]), PATH[1:2], "path has no round"),
    (([0, 1], [0, 1]), "run", "path lacks round"),
])
def test_what_cannot_be_drawn_is_refused_in_words(front, path, said):
    with pytest.raises(BadInput, match=said):
        figure(frontier(PEOPLE, *front), path)


# --- the panel ----------------------------------------------------------------------------------------------------

def test_the_way_of_a_run_is_that_of_its_record(run):
    told = way(run)
    assert told["round"].tolist() == [1, 2]
    for name in ("global_disparity", "local_disparity"):
        assert told[name].values == pytest.approx(run.history[name].values, abs=1e-12)
    counts = run.counts()
    assert told.accuracy.iloc[-1] == np.einsum("cgll->", counts) / counts.sum()


def test_numbers_and_words_of_a_run(run, panel):
    people, predicted = tables(run)
    last = way(run).iloc[-1]
    caps = [box.value for box in panel.boxes]
    assert caps == pytest.approx([last.global_disparity / 2, last.local_disparity / 2], rel=0.05)
    assert panel.best == limits(people, *caps) and panel.status.value == ""
    text = panel.view.value
    assert f"{panel.best.at_most:.2f}\u00a0%" in text and panel.best.sentences[1] in text
    assert "It exceeds the limits: its global disparity by" in text
    assert panel.front.accuracy.shape == (16, 16)
    assert panel.map.children[0].data[0].z.shape == (16, 16)


def test_boxes_clicks_and_whose_answers(run, panel):
    people, predicted = tables(run)
    panel.boxes[0].value = 0.5
    panel.boxes[1].value = 0.5
    panel.wait()
    assert panel.best.accuracy == 1 and "It keeps within both limits." in panel.view.value
    before = panel.map.children[0]
    before.data[0]._dispatch_on_click(SimpleNamespace(point_inds=[[1, 1]], xs=[0.1], ys=[0.05], trace_index=0), None)
    panel.wait()
    assert [box.value for box in panel.boxes] == pytest.approx([0.0025, 0.01])
    assert panel.best == limits(people, 0.0025, 0.01) and panel.map.children[0] is before
    panel.whose.value = OWN
    panel.wait()
    assert panel.best == limits(people, 0.0025, 0.01, of=predicted)
    assert panel.map.children[0] is not before and panel.front.accuracy.max() < 1
    panel.whose.value = ANY
    panel.wait()
    assert panel.front.accuracy.max() == 1


def test_every_control_is_explained(panel):
    held = {id(c) for box in panel.children if isinstance(box, Explained)
            for c in (box.widget, *getattr(box.widget, "children", ()))}
    assert {id(c) for c in (*panel.boxes, panel.whose, panel.map)} <= held


def test_an_audit_and_plain_tables_have_no_path():
    counts = np.random.default_rng(1).integers(5, 40, (3, 2, 2, 2))
    read = LimitsPanel.of(Audit(counts, ("f", "m"), ("no", "yes"), 1, ("x", "y", "z")))
    plain = LimitsPanel(PEOPLE)
    for made in (read, plain):
        made.wait()
        assert made.best is not None and "After round" not in made.view.value and len(made.map.children[0].data) == 2
    assert plain.children[3].layout.display == "none"      # no model, nothing to choose


def test_standing_says_what_is_over():
    best = limits(PEOPLE, 0.005, 0.5)
    at = pd.Series({"round": 3.0, "global_disparity": 0.007, "local_disparity": 0.02, "accuracy": 0.8, "best": 0.95})
    first, second = (line.replace("\u00a0", " ") for line in standing(best, at))
    assert "After round 3 the run is right on 80.00 %" in first and "95.00 % would be possible" in first
    assert second == "It exceeds the limits: its global disparity by 0.0020 bits."
    assert "by changing its answers" in standing(best, at, OWN)[0]


def test_what_has_no_limits_is_refused_in_words(tmp_path):
    digits = fl.run(fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=2), rounds=1), out=tmp_path / "d",
                    progress=False)
    with pytest.raises(BadInput, match="no groups"):
        LimitsPanel.of(digits)
    with pytest.raises(BadInput, match="give a run or an Audit"):
        LimitsPanel.of(PEOPLE)
    with pytest.raises(BadInput, match="counts has 3 labels"):
        LimitsPanel(np.ones((2, 3, 2), int))


def test_the_folded_panel_is_made_when_it_is_opened(run):
    section = folded(run)
    assert not section.children[0].children and section.selected_index is None
    section.selected_index = 0
    made = section.children[0].children[0]
    assert isinstance(made, LimitsPanel)
    made.wait()
    section.selected_index = None
    section.selected_index = 0
    assert section.children[0].children == (made,) and made.best.accuracy > 0.5


def test_the_folded_panel_says_what_has_no_limits(tmp_path):
    e = fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=2), rounds=1)
    section = folded(fl.run(e, out=tmp_path / "digits", progress=False))
    section.selected_index = 0
    assert "role=note" in section.children[0].children[0].value
