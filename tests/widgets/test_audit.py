"""Predictions from elsewhere: any values in the columns, and what is said about columns that will not do."""

import numpy as np
import pandas as pd
import pytest

from fedlab_widgets import BadInput, decompose
from fedlab_widgets.audit import Audit, audit

COLUMNS = dict(outcome="y", prediction="p", group="g", client="c")


def frame(n=400, **columns):
    rng = np.random.default_rng(0)
    rows = {"y": rng.integers(0, 2, n), "p": rng.integers(0, 2, n), "g": rng.choice(["f", "m"], n),
            "c": rng.choice(["Bonn", "Kiel"], n)}
    return pd.DataFrame({**rows, **columns})


def test_counts_by_hand():
    rows = pd.DataFrame([(0, 1, "f", "x"), (1, 1, "m", "x"), (1, 0, "m", "y"), (1, 1, "f", "y"), (1, 1, "f", "y")],
                        columns=["y", "p", "g", "c"])
    told = audit(rows, **COLUMNS)
    expected = np.zeros((2, 2, 2, 2), int)           # [client, group, label, prediction]
    expected[0, 0, 0, 1] = expected[0, 1, 1, 1] = expected[1, 1, 1, 0] = 1
    expected[1, 0, 1, 1] = 2
    assert (told.counts == expected).all()
    assert (told.groups, told.labels, told.clients, told.favourable) == (("f", "m"), ("0", "1"), ("x", "y"), 1)
    assert told.disparity == decompose(expected.sum(2).transpose(1, 2, 0))
    assert told.reading.accuracy == 3 / 5


@pytest.mark.parametrize("yes, no", [(True, False), ("hired", "declined"), (2.0, 1.0), (("a", 1), ("a", 0)),
                                     (pd.Timestamp("2020"), pd.Timestamp("2019"))])
def test_columns_hold_any_hashable(yes, no):
    rows = frame()
    for c in "yp":
        values = np.empty(len(rows), dtype=object)
        values[:] = [yes if v else no for v in rows[c]]
        rows[c] = values
    rows["c"] = [frozenset([v]) for v in rows["c"]]
    told = audit(rows, **COLUMNS, favourable=yes)
    assert told.labels[told.favourable] == str(yes)
    assert (told.counts.sum(0)[:, ::-1, ::-1] if told.favourable == 0 else told.counts.sum(0)).tolist() == \
        audit(frame(), **COLUMNS).counts.sum(0).tolist()


def test_categories_and_mixed_types():
    rows = frame(g=pd.Categorical(["f", "m"] * 200, categories=["m", "f", "nobody"]), c=[1, "one"] * 200)
    told = audit(rows, **COLUMNS)
    assert told.groups == ("f", "m") and told.clients == ("1", "one")
    assert audit(frame(c=[1, "1"] * 200), **COLUMNS).clients == ("1", "'1'")     # two clients, two names


def test_more_answers_than_two_are_one_against_the_others():
    rows = frame(y=["low", "mid", "high", "mid"] * 100, p=["low", "low", "high", "mid"] * 100)
    told = audit(rows, **COLUMNS, favourable="high")
    assert told.labels == ("not high", "high") and told.counts.sum((0, 1)).tolist() == [[300, 0], [0, 100]]
    with pytest.raises(BadInput, match=r"3 values \('high', 'low', 'mid'\); say which one is good to get"):
        audit(rows, **COLUMNS)


def test_one_client_will_do():
    assert "One client holds everybody" in audit(frame(c="all"), **COLUMNS).text()


def test_text_and_html():
    told = audit(frame(), **COLUMNS)
    assert isinstance(told, Audit) and told.text().startswith("In these 400 rows “1” is predicted for")
    assert "client Bonn: f " in told.text() and "<caption>" in told._repr_html_()
    assert repr(told) == "<Audit of 400 predictions, 2 clients, groups f, m>"


@pytest.mark.parametrize("change, words", [
    (dict(outcome="gone"), "outcome = 'gone' is no column of the frame; its columns are 'y', 'p', 'g', 'c'"),
    (dict(client=["c"]), "is no column"),
    (dict(favourable=7), "favourable = 7 is no value of outcome or prediction; they hold 0, 1")])
def test_wrong_arguments(change, words):
    with pytest.raises(BadInput, match=words):
        audit(frame(), **{**COLUMNS, **change})


@pytest.mark.parametrize("columns, words", [
    (dict(g=["f", None] * 200), "group = 'g' has 200 missing values; drop these rows"),
    (dict(p=[1.0, np.nan] * 200), "prediction = 'p' has 200 missing values"),
    (dict(g="f"), "holds the one value 'f'; with a single group there is nothing to compare"),
    (dict(g=np.arange(400)), "holds 400 different values; from 2 to 10 can be compared.*bins=4"),
    (dict(p=np.linspace(0, 1, 400)), "give predicted labels written like the outcomes"),
    (dict(p=["0", "1"] * 200), "prediction holds '0', which is no outcome"),
    (dict(y=1, p=1), "hold the one value 1"),
    (dict(c=[[1]] * 400), "client holds values that cannot be told apart")])
def test_wrong_columns(columns, words):
    with pytest.raises(BadInput, match=words):
        audit(frame(**columns), **COLUMNS)


def test_wrong_frames():
    with pytest.raises(BadInput, match="frame is a dict; give a pandas DataFrame"):
        audit({}, **COLUMNS)
    with pytest.raises(BadInput, match="has no rows"):
        audit(frame().iloc[:0], **COLUMNS)
    twice = pd.concat([frame(), frame()[["g"]]], axis=1)
    with pytest.raises(BadInput, match="names several columns"):
        audit(twice, **COLUMNS)


def test_crossed_columns_by_hand():
    rows = frame(4, g=["f", "f", "m", "f"], race=["b", "w", "w", "b"], y=[0, 1, 0, 1], p=[1, 1, 0, 0], c="x")
    told = audit(rows, **{**COLUMNS, "group": ["g", "race"]})
    assert told.groups == ("f, b", "f, w", "m, w")         # nobody is m, b
    assert told.counts[0].tolist() == [[[0, 1], [1, 0]], [[0, 0], [0, 1]], [[1, 0], [0, 0]]]


@pytest.mark.parametrize("bins, groups, n", [
    ([17, 25, 40, 65], ("17 to 24", "25 to 39", "40 to 65"), [2, 2, 4]),     # 25 is in the second, 65 in the last
    (2, ("18 to 39", "40 to 65"), [4, 4]),
    ([0, 40, 41, 90], ("0 to 39", "40", "41 to 90"), [4, 1, 3]),
    ([0, 39.5, 90], ("0 to below 39.5", "39.5 to 90"), [4, 4])])
def test_ranges_by_hand(bins, groups, n):
    rows = frame(8, g=[18, 24, 25, 39, 40, 64, 65, 65], y=[0, 1] * 4, p=[0, 1] * 4)
    told = audit(rows, **COLUMNS, bins=bins)
    assert told.groups == groups and told.counts.sum((0, 2, 3)).tolist() == n


def test_ranges_of_one_of_several_columns():
    rows = frame(age=np.arange(400) % 60 + 20)
    crossed = {**COLUMNS, "group": ["g", "age"]}
    assert audit(rows, **crossed, bins=2).groups == audit(rows, **crossed, bins={"age": 2}).groups
    assert audit(rows, **crossed, bins={"age": [20, 50, 79]}).groups[0] == "f, 20 to 49"
    nearly = frame(g=[0] * 390 + [3] * 5 + [9] * 5)
    assert audit(nearly, **COLUMNS, bins=4).groups == ("0 to 2", "3 to 9")


@pytest.mark.parametrize("more, words", [
    (dict(group="age"), "'age' holds 60 different values.*bins=4"),
    (dict(group=["g", "age"]), "holds .* different combinations; from 2 to 10 can be compared; name fewer columns"),
    (dict(group=[]), "names no column"), (dict(group=["g", "g"]), "names a column twice"),
    (dict(group=["g", "gone"]), "'gone' is no column"),
    (dict(group="age", bins=[30, 40, 50]), "values outside the limits 30 to 50; it goes from 20 to 79"),
    (dict(group="age", bins=1), "bins = 1: from 2 to 10"), (dict(group="age", bins=[50, 40, 30]), "rising limits"),
    (dict(group="age", bins="four"), "bins = 'four': give how many"), (dict(group="age", bins=True), "give how many"),
    (dict(group="g", bins=3), "bins cuts numbers, and group = 'g' holds others"),
    (dict(group="far", bins=3), "bins cuts numbers"), (dict(group="gap", bins=3), "has 200 missing values"),
    (dict(group=["g", "c"], bins=3), "does not say which column"),
    (dict(group="age", bins={"g": 3}), "bins names 'g', which is no column of group")])
def test_wrong_ranges(more, words):
    rows = frame(age=np.arange(400) % 60 + 20, far=[1.0, np.inf] * 200, gap=[1.0, np.nan] * 200)
    with pytest.raises(BadInput, match=words):
        audit(rows, **{**COLUMNS, **more})


def test_figure():
    told = audit(frame(), **COLUMNS)
    figure = told.figure("hull")
    assert figure.name == "hull" and set(figure.data["curve"]) == {"clients", "predictions", "hull"}
    with pytest.raises(BadInput, match="there is one, \"hull\""):
        told.figure("roc")


def test_five_hundred_clients_and_a_client_of_one_group():
    told = audit(frame(5000, c=np.arange(5000) % 499, g=["f", "m"] * 2500), **COLUMNS)
    assert told.counts.shape[0] == 499
    lone = audit(pd.concat([frame(), frame(10, g="f", c="Ulm")]), **COLUMNS)
    assert lone.reading.clients[-1].gap is None and lone.figure().data["counted last"].isin(["Ulm"]).any()
