"""The ROC hull: unique disparity without the closed form it must equal, corners by hand, and the picture's words."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from fedlab_widgets import BadInput
from fedlab_widgets.evaluate.hull import hull, one_against_rest
from fedlab_widgets.evaluate.pid import band, decompose
from fedlab_widgets.export import sized
from fedlab_widgets.figure_hull import ALREADY, LIFTED, NO_MORE, NOTHING, SEEMS, hull_data, hull_figure, sentence

ORACLE = json.loads((Path(__file__).parents[1] / "oracles" / "pid.json").read_text())
AND = np.array([[[25, 25], [0, 0]], [[25, 0], [0, 25]]])        # yhat = z and s, z and s fair coins
UNIQUE = np.array([[[25, 25], [0, 0]], [[0, 0], [25, 25]]])     # yhat = z
REDUNDANT = np.array([[[45, 0], [0, 5]], [[5, 0], [0, 45]]])    # yhat = s, which is z nine times in ten
MASKED = np.array([[[25, 0], [0, 25]], [[0, 25], [25, 0]]])     # yhat = z xor s
NAMES = ("women", "men"), ("Bonn", "Kiel"), ("no", "yes")


def corners(curve):
    return [(v.x, v.y, v.index) for v in curve]


def test_and_by_hand():
    # yhat = 1 is never said to group 0 and to half of group 1: (0, 1/2). Clients: the diagonal, ties in their order.
    # Region: the triangle (0, 0), (0, 1/2), (1, 1), of area 1/4. Bits: the hull's edges are (0, 1/4) and (1/2, 1/4),
    # so J = h(1/2) - 3/4 h(1/3) = 1.5 - 3/4 log2 3, and clients tell nothing.
    told = hull(AND)
    assert corners(told.predictions) == [(0, 0, None), (0, 0.5, 1), (1, 1, 0)]
    assert corners(told.clients) == [(0, 0, None), (0.5, 0.5, 0), (1, 1, 1)]
    assert [(v.x, v.y, v.source, v.index) for v in told.added] == [(0, 0.5, "prediction", 1)]
    assert told.area == 0.25 and abs(told.unique - (1.5 - 0.75 * math.log2(3))) < 1e-15


def test_shared_corners_are_the_clients():
    told = hull(REDUNDANT)
    assert told.unique == 0 and told.added == () and told.area == 0
    assert [(round(v.x, 12), round(v.y, 12), v.source) for v in told.hull] == [
        (0, 0, "client"), (0.1, 0.9, "client"), (1, 1, "client")]


def test_clients_of_one_group_and_one_client():
    told = hull(np.array([[[30, 0], [10, 0]], [[0, 5], [0, 15]]]))     # each client holds one group
    assert corners(told.clients) == [(0, 0, None), (0, 1, 1), (1, 1, 0)] and told.unique == 0
    alone = hull(np.array([[[30], [10]], [[5], [15]]]))                # one client: all that is told is unique
    assert abs(alone.unique - decompose([[[30], [10]], [[5], [15]]]).global_disparity) < 1e-15
    assert corners(alone.clients) == [(0, 0, None), (1, 1, 0)]


def test_equals_the_closed_form():
    rng, seen = np.random.default_rng(0), 0
    for _ in range(300):
        shape = (2, rng.integers(1, 6), rng.choice([1, 2, 7, 30]))
        counts = rng.integers(0, rng.choice([3, 30, 1000]), shape) * (rng.random(shape) < rng.choice([0.3, 0.7, 1]))
        if (counts.sum((1, 2)) == 0).any():
            continue
        for table in (counts, counts / counts.sum()):
            told = hull(table)
            assert abs(told.unique - decompose(table).unique) <= 1e-12
            assert bool(told.added) == (told.unique > 1e-15) == (told.area > 1e-15)
            seen += bool(told.added)
    assert seen > 100


@pytest.mark.parametrize("case", [c for c in ORACLE["cases"] if len(c["pmf"]) == 2], ids=lambda c: c["name"])
def test_oracle(case):
    p = np.array(case["pmf"])
    assert abs(hull(p).unique - decompose(p).unique) <= 1e-12


def test_five_hundred_clients():
    counts = np.random.default_rng(1).integers(0, 30, (2, 2, 500))
    told = hull(counts)
    assert abs(told.unique - decompose(counts).unique) <= 1e-12 and len(told.clients) == 501
    assert [v.index for v in told.clients[1:]] == sorted(
        range(500), key=lambda s: -counts[1, :, s].sum() / counts[:, :, s].sum())


def test_groups_against_the_rest():
    counts = np.random.default_rng(2).integers(0, 40, (4, 2, 5))
    counts[2] = 0
    found = one_against_rest(counts)
    assert list(found) == [0, 1, 3]
    rest = np.stack([counts[0] + counts[3], counts[1]])
    assert found[1].told.masked == decompose(rest).masked
    assert list(one_against_rest(counts[[1, 2, 3]])) == [2]      # an empty group between two leaves one hull


@pytest.mark.parametrize("counts, words", [
    (np.ones((3, 2, 2), int), "has 3 groups; .* use one_against_rest"), (AND * [[[1]], [[0]]], "nobody in group 1"),
    (np.ones((2, 2), int), "has 2 axes"), (AND * 1.0, "sums to 100")])
def test_refused(counts, words):
    with pytest.raises(ValueError, match=words):
        hull(counts)
    with pytest.raises(ValueError, match="somebody in 1 group"):
        one_against_rest(AND * [[[1]], [[0]]])


# --- the picture ----------------------------------------------------------------------------------------------------

def words(figure):
    return " ".join(a.text.replace("<br>", " ") for a in figure.layout.annotations)


def trace(figure, name):
    return next((t for t in figure.data if t.name == name), None)


def test_picture_of_what_is_unique():
    figure = hull_figure(AND, *NAMES)
    assert list(trace(figure, "prediction").y) == [0, 0.5, 1] and list(trace(figure, "client").x) == [0, 0.5, 1]
    shade = trace(figure, "what the prediction adds")
    ring = np.array([shade.x, shade.y])
    area = abs((ring[0] * np.roll(ring[1], -1) - ring[1] * np.roll(ring[0], -1)).sum()) / 2
    assert abs(area - 0.25) < 1e-12
    assert f"Unique disparity: 0.3113 bits (chance reaches {band(AND)['unique'][1]:.4f})" in words(figure)
    assert ALREADY not in words(figure) and not any(t.showlegend is not False for t in figure.data)
    assert "client Bonn</b><br>50 rows: 50.0% men, 50.0% women" in trace(figure, "client").text[1]
    assert trace(figure, "prediction").text[1].startswith("<b>predicted “yes”</b><br>25 rows: 100.0% men")
    assert figure.layout.xaxis.title.text == "share of women counted so far" and figure.layout.yaxis.scaleratio == 1


def test_sentence_where_nothing_is_shaded():
    assert sentence(hull(AND)) == "" and trace(hull_figure(REDUNDANT, *NAMES), "what the prediction adds") is None
    assert ALREADY in words(hull_figure(REDUNDANT, *NAMES)) and sentence(hull(REDUNDANT)) == ALREADY
    assert sentence(hull(MASKED)).startswith(NOTHING) and "1.0000 bits, masked" in sentence(hull(MASKED))
    constant = np.array([[[30, 10]], [[10, 30]]])
    assert sentence(hull(constant)) == NOTHING and hull(constant).unique == 0


def test_many_small_fair_clients_are_a_false_alarm():
    rng, counts = np.random.default_rng(0), np.zeros((2, 2, 100), int)
    for z in (0, 1):
        n = rng.binomial(20, 0.5, 100)
        yes = rng.binomial(n, 0.3)
        counts[z] = n - yes, yes
    said = sentence(hull(counts))
    assert NO_MORE in said and LIFTED in said
    rng = np.random.default_rng(1)      # the same, but yes to 35 and 45 in a hundred: the client only seems to tell it
    for z in (0, 1):
        n = rng.binomial(20, 0.5, 100)
        yes = rng.binomial(n, 0.35 + 0.1 * z)
        counts[z] = n - yes, yes
    assert sentence(hull(counts)) == f"{SEEMS} {LIFTED}"
    assert LIFTED not in sentence(hull(REDUNDANT * 10)) and sentence(hull(counts / counts.sum())) == ALREADY


def test_three_groups_in_small_multiples():
    counts = np.random.default_rng(3).integers(1, 60, (3, 2, 4))
    figure = hull_figure(counts, "abc", "wxyz", ("no", "yes"))
    whole = decompose(counts)
    assert f"All 3 groups at once: unique {whole.unique:.4f}" in words(figure)
    assert whole.gap > 0 and "certified to within" in words(figure)
    assert [t.name for t in figure.data].count("client") == 3 and "b against all others" in words(figure)
    table = hull_data(counts, "abc", "wxyz", ("no", "yes"))
    at_w = table[(table.group == "b") & (table.curve == "clients") & (table["counted last"] == "w")].iloc[0]
    assert at_w.people == counts[:, :, 0].sum() and at_w["of the group"] == counts[1, :, 0].sum()


@pytest.mark.parametrize("table, groups, said", [
    (AND, ("a",), r"table is \[2, 2, 2\]; with these names it must be \[1 groups"),
    (np.ones((11, 2, 2), int), "abcdefghijk", "table has 11 groups"),
    (AND * [[[1]], [[0]]], ("a", "b"), "table has somebody in 1 group")])
def test_picture_refused(table, groups, said):
    with pytest.raises(BadInput, match=said):
        hull_figure(table, groups, NAMES[1], NAMES[2])


def test_a_column_has_no_blank_paper():
    layout = sized(hull_figure(AND, *NAMES), 3.35).layout     # a square, and its margins
    assert layout.height - layout.margin.t - layout.margin.b == layout.width - layout.margin.l - layout.margin.r
