"""The map of limits and its panel without a browser: what is drawn, said, clicked, and refused."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import fedlab_widgets as fl
from fedlab_widgets.audit import Audit
from fedlab_widgets.evaluate.limits import Frontier, frontier, limits, tables
from fedlab_widgets.figure_limits import _ticks, figure, levels, veil
from fedlab_widgets.part import BadInput
from fedlab_widgets.widgets.limits_panel import ANY, EACH, OWN, LimitsPanel, folded, standing, way
from fedlab_widgets.widgets.limits_still import region
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
    panel.whose.value = EACH
    panel.wait()
    assert panel.best == limits(people, 0.0025, 0.01, of=predicted, each_client=True) and EACH in panel.picture()
    panel.whose.value = ANY
    panel.wait()
    assert panel.front.accuracy.max() == 1


def test_sliders_move_the_cross_as_a_click_does(run, panel):
    people, _ = tables(run)
    sliders = [limit.children[1] for limit in panel.children[2].widget.children]
    tops = panel.front.global_limits[-1], panel.front.local_limits[-1]
    for slider, at in zip(sliders, (0.5, 0.2), strict=True):
        slider.position = at
    panel.wait()
    # Half of the way along an axis of square roots is a quarter of its bits; a fifth is a twenty-fifth.
    assert [box.value for box in panel.boxes] == pytest.approx([tops[0] / 4, tops[1] / 25], rel=5e-3)
    cross = panel.map.children[0].data[-1]
    assert cross.x == pytest.approx([0.2 * tops[1]**0.5], rel=5e-3)
    assert cross.y == pytest.approx([0.5 * tops[0]**0.5], rel=5e-3)
    assert panel.best == limits(people, *(box.value for box in panel.boxes))
    assert [s.label for s in sliders] == ["global ≤, slider", "local ≤, slider"]
    panel.boxes[0].value = 9      # beyond the map: the cross stays at its edge
    panel.wait()
    assert sliders[0].position == 1 and panel.map.children[0].data[-1].y == pytest.approx([tops[0]**0.5])
    panel.boxes[0].value = float(f"{tops[0] / 2:.2g}")
    panel.wait()


def test_bits_stand_beside_each_box(panel):
    for limit, box in zip(panel.children[2].widget.children, panel.boxes, strict=True):
        beside = limit.children[0].children
        assert beside[0] is box and beside[1].value == "bits"


def test_the_map_has_no_paper_of_its_own(panel):
    drawn = panel.map.children[0]
    assert drawn.layout.paper_bgcolor == drawn.layout.plot_bgcolor == "rgba(0,0,0,0)"
    shades = {colour for _, colour in drawn.data[0].colorscale}
    assert len(shades) == 1 and shades.pop().startswith("rgba(65,147,198,0.")
    # n lines and the ground, one layer each: together they cover three quarters, whatever is beneath.
    for n in (1, 4, 8):
        assert 1 - (1 - veil(n))**(n + 1) == pytest.approx(0.75, abs=5e-3)


# --- the picture without a kernel ---------------------------------------------------------------------------------

def test_a_line_of_the_still_lies_where_the_accuracy_is():
    # Accuracy x + y on roots 0, 1, 2: the line of 1.5 runs from (0, 1.5) over (0.5, 1), (1, 0.5) to (1.5, 0).
    roots = np.arange(3.0)
    at = region(Frontier(roots**2, roots**2, roots[:, None] + roots, None, None), 1.5)
    assert at.tolist() == [[0, 1.5], [0.5, 1], [1, 0.5], [1.5, 0]]
    assert not len(region(Frontier(roots**2, roots**2, roots[:, None] + roots, None, None), 0))
    front = frontier(PEOPLE, points=5)
    for cut in levels(front):
        line = region(front, cut)
        assert (np.diff(line[:, 0]) >= 0).all() and (np.diff(line[:, 1]) <= 1e-12).all()


def test_the_still_says_what_the_panel_shows(panel):
    from xml.etree import ElementTree

    picture = panel.picture()
    assert f"{panel.best.at_most:.2f}\u00a0%" in picture and panel.best.sentences[0] in picture
    assert "round 1" in picture and "round 2" in picture and "the limits set" in picture and ANY in picture
    assert "script" not in picture and "http" not in picture and len(picture) < 30_000
    assert "prefers-color-scheme:dark" in picture and "--jp-content-font-color1" in picture
    svg = picture[picture.index("<svg"):picture.index("</svg>") + 6]
    for name in ("role=img", "font-size=12"):
        svg = svg.replace(name, name.replace("=", '="') + '"')
    drawn = ElementTree.fromstring(svg)
    n = sum(len(region(panel.front, cut)) > 0 for cut in levels(panel.front))
    assert len(drawn.findall("polygon")) == n + 1      # the ground, and what is above each line
    x = [float(a) for p in drawn.findall("polygon") for at in p.get("points").split() for a in at.split(",")]
    assert min(x) >= 0 and max(x) <= 640


def test_the_still_stands_beneath_the_panel(panel, monkeypatch):
    shown = []
    monkeypatch.setattr("fedlab_widgets.widgets.limits_panel.display", lambda *a, **k: shown.append((a, k)))
    panel._ipython_display_()      # without a loop: nobody could draw it anew
    assert len(shown) == 2 and "widget-view" in str(shown[0][0]) and shown[1][0][0].data == panel.picture()


def test_every_control_is_explained(panel):
    def inside(widget):
        return {id(widget)}.union(*(inside(c) for c in getattr(widget, "children", ())))

    held = set().union(*(inside(box.widget) for box in panel.children if isinstance(box, Explained)))
    assert {id(c) for c in (*panel.boxes, panel.whose, panel.map)} <= held


def test_an_audit_and_plain_tables_have_no_path():
    counts = np.random.default_rng(1).integers(5, 40, (3, 2, 2, 2))
    read = LimitsPanel.of(Audit(counts, ("f", "m"), ("no", "yes"), 1, ("x", "y", "z")))
    plain = LimitsPanel(PEOPLE)
    for made in (read, plain):
        made.wait()
        assert made.best is not None and "After round" not in made.view.value and len(made.map.children[0].data) == 3
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
