"""Inside the method: the pictures of live readings, the panel, and the lab that shows it."""

import asyncio
import math
import re
import time
from xml.etree import ElementTree

import pytest

pytest.importorskip("anywidget", reason="the lab's widgets are not installed")
import fedlab_widgets as fl  # noqa: E402
from fedlab_widgets.events import RoundEnded, Shown, Started  # noqa: E402
from fedlab_widgets.part import _CATALOGUE  # noqa: E402
from fedlab_widgets.types import View  # noqa: E402
from fedlab_widgets.widgets import inside as panels  # noqa: E402
from fedlab_widgets.widgets.inside import Inside  # noqa: E402
from fedlab_widgets.widgets.lab import Lab  # noqa: E402
from fedlab_widgets.widgets.still import still  # noqa: E402
from fedlab_widgets.widgets.view_html import card, page  # noqa: E402
from fedlab_widgets.widgets.view_pictures import LEFT, Scale  # noqa: E402
from fedlab_widgets.widgets.view_words import extremes, over_rounds, sentence, without_itself  # noqa: E402

NAMES = ("client 0", "client 1", "client 2")
MATRIX = View("matrix", "Overlap", "Shared.", NAMES, ((1.0, 0.2, 0.8), (0.2, 1.0, 0.5), (0.8, 0.5, 1.0)))
GRAPH = View("graph", "Topology", "Links.", NAMES, (0.1, 0.5, 0.9), ((0, 1), (1, 2)))
TREE = View("tree", "Tree", "Nodes.", values=((0, 1, 1, 0), (0, 2, 2, 0), (0, 3, 3, 1), (0, 4, 4, 0), (1, 1, 2, 1),
                                              (1, 3, 4, 0), (2, 1, 4, 0)))


def lines(*rows, names=NAMES):
    return [(t, View("lines", "Trust", "How much.", names[:len(row)], tuple(row))) for t, row in enumerate(rows, 1)]


def drawn(read, last=None):
    """The picture of a view, as XML; what is no XML is refused."""
    svg = re.search('<svg class="fv".*?</svg>', card(read, last or read[-1][0]), re.S)[0]
    return ElementTree.fromstring(svg)


def words(svg):
    return ["".join(t.itertext()) for t in svg.iter("text")]


def started(rounds=10):
    return Started(0, rounds, 0.5, 10, 10, ["a"], ["all"])


def shown(round, **views):
    return Shown(round, {n: {k: getattr(v, k) for k in ("kind", "title", "about", "labels", "values", "links")}
                         for n, v in views.items()})


# --- pictures -------------------------------------------------------------------------------------------------------

def test_lines_run_from_the_first_round_to_the_last_and_bear_their_names():
    svg = drawn(lines((0.0, 1.0), (0.5, 0.5), (1.0, 0.25)))
    first, second = [[tuple(map(float, p.split(","))) for p in line.get("points").split()]
                     for line in svg.iter("polyline")]
    assert [x for x, _ in first] == [x for x, _ in second] and first[0][0] == LEFT
    assert first[1][0] - first[0][0] == pytest.approx(first[2][0] - first[1][0], abs=0.11)
    # 0 to 1 fills the axis, so that 0.25 lies at a quarter of it
    floor, top = first[0][1], first[2][1]
    assert second[2][1] == pytest.approx(floor - 0.25 * (floor - top), abs=0.11)
    assert any(t.startswith("client 0 1") for t in words(svg)) and any("client 1 0.25" in t for t in words(svg))
    dashes = [line.get("stroke-dasharray") for line in svg.iter("polyline")]
    assert len(set(dashes)) == 2, "two lines differ by colour alone"


def test_the_axis_of_rounds_has_room_for_the_whole_run():
    read = lines((0.0,), (0.5,), (1.0,))
    ends = [float(next(drawn(read, last).iter("polyline")).get("points").split()[-1].split(",")[0]) for last in (3, 5)]
    assert ends[1] - LEFT == pytest.approx((ends[0] - LEFT) / 2, abs=0.2)   # two of four steps, not two of two


def test_of_many_lines_the_extremes_are_named_and_the_rest_is_thin():
    names = tuple(f"client {i}" for i in range(64))
    read = lines([0.5] * 64, [i / 64 for i in range(64)], names=names)
    assert extremes(over_rounds(read)) == ["client 63", "client 62", "client 1", "client 0"]
    svg = drawn(read)
    assert sum(line.get("stroke-width") == "1" for line in svg.iter("polyline")) == 60
    assert "thin: the other 60" in card(read, 2)
    assert "highest client 63 (0.984), lowest client 0 (0), of 64" in sentence(read)


def test_names_at_the_ends_of_lines_do_not_lie_on_each_other():
    svg = drawn(lines([0.5] * 3, [1.0, 1.0, 0.999]))
    at = sorted(float(t.get("y")) for t in svg.iter("text") if "client" in "".join(t.itertext()))
    assert len(at) == 3 and all(b - a > 11 for a, b in zip(at, at[1:], strict=False))


def test_what_is_missing_leaves_a_gap_and_one_reading_is_a_dot():
    read = lines((0.5, None), (math.nan, 0.25), (0.75, None))
    assert over_rounds(read) == {"client 0": [(1, 0.5), (3, 0.75)], "client 1": [(2, 0.25)]}
    svg = drawn(read)
    assert len(list(svg.iter("polyline"))) == 1 and len(list(svg.iter("circle"))) == 1


def test_a_matrix_leaves_each_with_itself_out_of_its_scale():
    assert without_itself(MATRIX)
    svg = drawn([(4, MATRIX)])
    cells = {rect.find("title").text: rect.get("style") for rect in svg.iter("rect") if rect.find("title") is not None}
    assert len(cells) == 6 and cells["client 0 and 2: 0.8"].endswith("opacity:1.0")
    assert cells["client 0 and 1: 0.2"] == cells["client 1 and 0: 0.2"] != cells["client 0 and 2: 0.8"]
    assert sentence([(4, MATRIX)]) == ("After round 4: largest between client 0 and client 2 (0.8); smallest between "
                                       "client 0 and client 1 (0.2).")
    assert not without_itself(View("matrix", "", "", NAMES[:2], ((0.5, 0.9), (0.9, 0.5))))
    tied = View("matrix", "", "", NAMES, ((0, 1, 1), (1, 0, 0), (0, 0, 0)))
    assert sentence([(4, tied)]) == "After round 4: largest for 2 pairs (1); smallest for 5 pairs (0)."


def test_a_large_matrix_stays_small_on_the_wire():
    n = 64
    view = View("matrix", "Overlap", "", tuple(map(str, range(n))),
                tuple(tuple((7 * i * j) % 11 / 11 for j in range(n)) for i in range(n)))
    assert len(card([(1, view)], 1)) < 80_000
    cells = [p.get("d").count("M") for p in drawn([(1, view)]).iter("path") if p.get("transform")]
    assert sum(cells) == n * n


def test_a_scale_has_a_hue_for_each_sign_and_faint_is_zero():
    scale = Scale([-1.0, 0.1, 0.5])
    assert "orange" in scale.paint(-1.0) and "opacity:1.0" in scale.paint(-1.0) and "blue" in scale.paint(0.1)
    assert [Scale([0, 7]).shade(v) for v in (0, 0.9, 1.1, 3.5, 6.9, 7)] == [0, 0, 1, 3, 6, 6]
    assert "all are 2" in Scale([2, 2]).key() and Scale([None]).paint(None) == "fill:none"


def test_nodes_stay_where_they_are_and_links_are_lines():
    at = [(c.get("cx"), c.get("cy")) for c in drawn([(1, GRAPH)]).iter("circle")]
    other = View("graph", "Topology", "", NAMES, (0.9, 0.1, 0.2), ((0, 2),))
    assert at == [(c.get("cx"), c.get("cy")) for c in drawn([(2, other)]).iter("circle")]
    assert next(drawn([(1, GRAPH)]).iter("path")).get("d").count("M") == 2
    assert "3 nodes and 2 links" in sentence([(1, GRAPH)]) and "1 link;" in sentence([(2, other)])


def test_the_tree_fills_what_counts_in_its_place():
    """Round 3 is 11 in binary: the release holds rounds 1 and 2 as one node, and round 3 as another."""
    svg = drawn([(3, TREE)])
    bars = {r.find("title").text: r for r in svg.iter("rect")}
    full = {name for name, r in bars.items() if "blue" in r.get("style")}
    assert len(bars) == 7 and full == {"rounds 1 to 2, counts 1", "rounds 3 to 3, counts 1"}
    wide = {name: float(r.get("width")) for name, r in bars.items()}
    assert wide["rounds 1 to 4, does not count now"] == pytest.approx(4 * wide["rounds 3 to 3, counts 1"] + 6, abs=0.5)
    assert sentence([(3, TREE)]) == "After round 3: 2 of 7 intervals count now: rounds 1–2, 3."


def test_names_cannot_break_the_page():
    evil = View("lines", "<script>x</script>", "a & b", ('"><img src=x>', "b"), (1.0, 2.0))
    text = page({"evil": [(1, evil)]}, numbers=True)
    assert "<script" not in text and "<img" not in text and "A &amp; b" in text
    drawn([(1, evil)])


@pytest.mark.parametrize("view", [View("lines", "t", "a"), View("matrix", "t", "a"), View("graph", "t", "a"),
                                  View("tree", "t", "a"), View("matrix", "t", "a", ("x",), ((None,),)),
                                  View("graph", "t", "a", ("x",)), View("lines", "t", "a", ("x",), (None,))])
def test_an_empty_view_is_an_empty_picture(view):
    assert "After round 1" in page({"v": [(1, view)]}, numbers=True)


# --- the panel ------------------------------------------------------------------------------------------------------

def test_the_panel_is_hidden_until_something_is_shown():
    panel = Inside()
    panel.hear(started())
    assert panel.layout.display == "none" and not panel.flush(now=True)
    panel.hear(shown(1, overlap=MATRIX))
    assert panel.flush() and panel.layout.display is None and "Overlap" in panel.pictures.value
    panel.hear(started())
    assert panel.flush(now=True) and panel.layout.display == "none" and not panel.views


def test_pictures_keep_their_pace_and_none_is_lost(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(panels.time, "monotonic", lambda: now[0])
    panel = Inside()
    panel.hear(shown(1, trust=lines((0.1,))[0][1]))
    assert panel.flush()
    panel.hear(shown(2, trust=lines((0.9,))[0][1]))
    assert not panel.flush(), "a second picture at once"
    now[0] += panels.PACE
    assert panel.flush() and "After round 2" in panel.pictures.value and not panel.flush()


def test_a_folded_panel_sends_nothing_and_catches_up():
    panel = Inside()
    panel.section.selected_index = None
    panel.hear(shown(1, overlap=MATRIX))
    panel.flush(now=True)
    assert panel.pictures.value == ""
    panel.section.selected_index = 0
    assert "Overlap" in panel.pictures.value


def test_an_earlier_round_can_be_looked_at():
    panel = Inside()
    panel.hear(started(rounds=5))
    for t, view in lines(*[(v / 5,) for v in range(1, 6)]):
        panel.hear(shown(t, trust=view))
    panel.draw()
    assert "After round 5" in panel.pictures.value
    panel.slider.position = panel.slider.step * 2   # two steps from the left end
    assert panel.round == 3 and "After round 3" in panel.pictures.value and panel.slider.said == "round 3"
    panel.slider.position = panel.slider.step * 4   # as far as the handle goes
    assert panel.round is None and "After round 5" in panel.pictures.value


def test_before_the_first_reading_the_panel_says_so():
    panel = Inside()
    panel.hear(started(rounds=10))
    panel.hear(shown(5, overlap=MATRIX))
    panel.slider.position = 0.0
    assert "the first reading is that of round 5" in panel.pictures.value


def test_numbers_are_a_table():
    panel = Inside()
    panel.hear(shown(1, topology=GRAPH))
    panel.numbers.value = True
    assert "<tr><th scope=row>client 1<td>0.5<td>0, 2" in panel.pictures.value
    assert "<th scope=col><" not in panel.pictures.value


def test_events_of_other_kinds_are_passed_over():
    panel = Inside()
    panel.hear(RoundEnded(1, 1.0, 1, 0.1, 1, 1, None, None, None))
    assert not panel.flush(now=True)


# --- in the lab -----------------------------------------------------------------------------------------------------

@pytest.fixture
def telling():
    before = dict(_CATALOGUE["aggregate"])

    @fl.part
    class TellsInside(fl.Mean):
        """Take the mean, and show four views of it. Source: this test."""

        def shows(self, plan, state, cohort):
            norm = float(state.model.norm())
            return {"trust": View("lines", "Trust", "How much.", NAMES, (norm, norm / 2, 0.0)), "overlap": MATRIX,
                    "topology": GRAPH, "tree": TREE}

    yield TellsInside
    _CATALOGUE["aggregate"].clear()
    _CATALOGUE["aggregate"].update(before)


def test_a_run_in_the_lab_is_shown_and_the_next_one_without_views_hides_it(tmp_path, telling):
    e = fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=3), rounds=3, aggregate=telling())
    lab = Lab(e, out=tmp_path, name=str(tmp_path))
    try:
        lab.bar.speed.value = 0.0
        assert lab.inside.layout.display == "none"
        lab.start()
        run = asyncio.run(lab.wait(60))
        assert lab.inside.views.keys() == {"trust", "overlap", "topology", "tree"} == run.views.keys()
        assert [t for t, _ in lab.inside.views["trust"]] == [1, 2, 3] == [t for t, _ in run.views["trust"]]
        assert lab.inside.layout.display is None and "After round 3" in lab.inside.pictures.value
        assert still(run).count("<svg class=\"fv\"") == 4
        lab.form.show(e.changed(aggregate=fl.Mean()))
        lab.start()
        assert asyncio.run(lab.wait(60)).views == {}
        end = time.monotonic() + 20
        while lab.inside.layout.display != "none":   # the flusher may look a moment after the run has ended
            assert time.monotonic() < end, "the pictures of a former run stayed"
            time.sleep(0.02)
        assert '<svg class="fv"' not in still(lab.run)
    finally:
        lab.runner.stop()
        lab.runner.join(20)
        lab.retire()


def test_board_and_pictures_take_turns(tmp_path, telling, monkeypatch):
    """One message a flush: both only where the runner came to another phase."""
    lab = Lab(fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=3), rounds=25, aggregate=telling()),
              out=tmp_path, name=str(tmp_path))
    monkeypatch.setattr(panels, "PACE", 0.0)   # there is always a picture to be drawn
    ticks, look = [], lab._flush

    def one_look():
        before = lab._shown
        ticks.append([0, 0])
        look()
        ticks[-1].append(before != lab._shown)

    post = lab.board._post
    monkeypatch.setattr(lab.board, "_post", lambda *a: (ticks and ticks[-1].__setitem__(0, 1), post(*a)))
    lab.inside.pictures.observe(lambda _: ticks and ticks[-1].__setitem__(1, 1), "value")
    monkeypatch.setattr(lab, "_flush", one_look)
    try:
        lab.start()
        lab.runner.seconds_a_round = 0.08
        asyncio.run(lab.wait(60))
        whole = [tick for tick in ticks if len(tick) == 3]
        assert sum(tick[1] for tick in whole) >= 3 and sum(tick[0] for tick in whole) >= 3
        assert not any(tick[:2] == [1, 1] and not tick[2] for tick in whole)
        assert len(lab.board.table()) == 25 == len(lab.inside.views["trust"])
    finally:
        lab.runner.stop()
        lab.runner.join(20)
        lab.retire()
