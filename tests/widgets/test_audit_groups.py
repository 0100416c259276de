"""The audit tab beyond one column of groups: crossed columns, ranges, the summary as a file, and the pictures."""

import html
import re

import numpy as np
import pandas as pd
import pytest

import fedlab_widgets as fl
from fedlab_widgets.widgets.audit_tab import AuditTab
from fedlab_widgets.widgets.limits_panel import LimitsPanel

# Two sites of 40: f are granted 10 of 20 at a and 5 of 20 at b, m 15 of 20 at both. Every second one repays.
ROWS = [(site, sex, "no yes".split()[i % 2], "yes" if i < good else "no") for site, sex, good in
        (("a", "f", 10), ("a", "m", 15), ("b", "f", 5), ("b", "m", 15)) for i in range(20)]
TABLE = pd.DataFrame(ROWS, columns=["site", "sex", "repaid", "prediction"])
ORDER = ["sex", "age", "race", "site", "repaid", "prediction"]   # what they are guessed by
AGES = [18, 24, 25, 39, 40, 64, 65, 65, 30, 50, 60, 20, 19, 21, 22, 23]   # 15 different


@pytest.fixture
def tab(tmp_path):
    made = AuditTab(tmp_path / "audits")
    made.chooser.show(TABLE.assign(age=AGES * 5, race=["b", "w"] * 40)[ORDER], "loans.csv")
    return made


def text(widget) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", widget.value)))


def shown(widget) -> bool:
    return widget.layout.display != "none"


def pressed(tab) -> str:
    tab.button.click()
    tab.status.thread.join(30)
    return text(tab.status)


def test_crossed_columns_are_read_as_in_python(tab):
    tab.groups.columns[1].value = "race"
    assert pressed(tab).strip() == "" and tab.panel.frozen.groups == ("f, b", "f, w", "m, b", "m, w")
    told = fl.audit(tab.chooser.frame, outcome="repaid", prediction="prediction", group=["sex", "race"], client="site",
                    favourable="yes")
    assert (tab.audit.counts == told.counts).all()


def test_the_next_menu_opens_once_this_one_is_chosen(tab):
    menus = tab.groups._columns
    assert [shown(m) for m in menus] == [True, True, False]
    tab.groups.columns[1].value = "race"
    assert [shown(m) for m in menus] == [True, True, True]
    tab.groups.columns[2].value = "site"
    tab.groups.columns[1].value = tab.groups.columns[1].options[0][1]      # none: what comes after it does not count
    assert [shown(m) for m in menus] == [True, True, False] and tab.groups.chosen() == ("sex", None)


def test_ranges_are_asked_for_where_a_column_needs_them(tab):
    assert not any(map(shown, tab.groups._ranges))
    tab.controls["group"].value = "age"
    assert [shown(r) for r in tab.groups._ranges] == [True, False, False]
    assert tab.groups.ranges[0].description == "ranges of age" and tab.groups.chosen() == ("age", {"age": 4})
    tab.groups.ranges[0].value = "18, 25; 40 65"
    assert pressed(tab).strip() == ""
    # Of the 16 ages 18 19 20 21 22 23 24 are below 25, 25 30 39 below 40, the other six are 40 to 65; five of each.
    assert tab.panel.frozen.groups == ("18 to 24", "25 to 39", "40 to 65")
    assert tab.audit.counts.sum((0, 2, 3)).tolist() == [35, 15, 30]


def test_ranges_of_a_crossed_column(tab):
    tab.groups.columns[1].value = "age"
    tab.groups.ranges[1].value = "2"
    assert tab.groups.chosen() == (["sex", "age"], {"age": 2})
    assert pressed(tab).strip() == "" and len(tab.audit.groups) == 4 and tab.audit.groups[0].startswith("f, 18 to ")


@pytest.mark.parametrize("ranges, said", [
    ("", "ranges of age = '': type how many, from 2 to 10"), ("a few", "rising limits"), ("nan", "rising limits"),
    ("11", "ranges = 11: from 2 to 10 ranges can be compared"), ("1", "from 2 to 10 ranges"),
    ("40, 18", "rising limits"),
    ("18, 25, 40", "values outside the limits 18 to 40; it goes from 18 to 65; widen ranges")])
def test_wrong_ranges_are_said_and_nothing_is_lost(tab, ranges, said):
    pressed(tab)
    before = tab.panel
    tab.controls["group"].value = "age"
    tab.groups.ranges[0].value = ranges
    assert said in pressed(tab) and 'role="alert"' in tab.status.value
    assert tab.panel is before and before in tab.result.children and tab.groups.ranges[0].value == ranges


def test_more_than_ten_groups_are_refused_with_the_way_out(tab):
    tab.groups.columns[1].value = "age"
    tab.groups.ranges[1].value = "6"
    assert "12 different combinations; from 2 to 10 can be compared; name fewer columns" in pressed(tab)
    assert "bins" not in text(tab.status)      # that is Python's word
    tab.groups.columns[1].value = "sex"
    assert "names a column twice" in pressed(tab) and tab.panel is None


@pytest.mark.parametrize("change, said", [
    ({"sex": "f"}, "holds the one value 'f'; with a single group there is nothing to compare"),
    ({"sex": None}, "every row has a gap in one of these columns")])
def test_columns_that_cannot_be_compared(tab, change, said):
    tab.chooser.show(tab.chooser.frame.assign(**change), "loans.csv")
    tab.controls["group"].value = "sex"
    assert said in pressed(tab)


def test_gaps_in_a_column_with_ranges_are_left_out(tab):
    frame = tab.chooser.frame.assign(age=lambda t: t["age"].where(t["age"] > 20))   # 18, 20 and 19 of each 16
    tab.chooser.show(frame, "loans.csv")
    tab.controls["group"].value = "age"
    assert "15 of 80 rows have a gap" in pressed(tab) and tab.audit.counts.sum() == 65


def test_the_summary_is_saved_and_said_where(tab, tmp_path):
    pressed(tab)
    for name in ("audit-loans.html", "audit-loans-2.html"):     # nothing is overwritten
        tab.summary.buttons["html"].click()
        tab.summary.status.thread.join(20)
        assert f"Saved in {tmp_path / 'audits'}: {name}" in text(tab.summary.status)
        assert (tmp_path / "audits" / name).read_text().startswith("<!doctype html>")
    assert not any(b.disabled for b in tab.summary.buttons.values())


def test_the_summary_as_pdf(tab, tmp_path):
    pressed(tab)
    tab.summary.buttons["pdf"].click()
    tab.summary.status.thread.join(90)
    said = text(tab.summary.status)
    if "Saved in" not in said:
        assert "save it as .html" in said
        pytest.skip(said)
    assert (tmp_path / "audits" / "audit-loans.pdf").read_bytes().startswith(b"%PDF")


def test_where_no_browser_prints_it_is_said(tab, tmp_path, monkeypatch):
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "no such browser"))
    pressed(tab)
    tab.summary.buttons["pdf"].click()
    tab.summary.status.thread.join(90)
    assert "save it as .html" in text(tab.summary.status) and 'role="alert"' in tab.summary.status.value
    assert not any((tmp_path / "audits").iterdir()) and not tab.summary.buttons["pdf"].disabled


def test_what_cannot_be_summarised_is_said(tab, tmp_path):
    tab.chooser.show(tab.chooser.frame.assign(prediction="no"), "constant.csv")    # and yet it is read
    assert pressed(tab).strip() == "" and tab.panel.reading.gap.points == 0
    tab.summary.buttons["html"].click()
    tab.summary.status.thread.join(20)
    assert "everybody is predicted 'no'" in text(tab.summary.status) and not list((tmp_path / "audits").iterdir())


def test_a_folder_that_cannot_be_made(tab, tmp_path):
    (tmp_path / "audits").write_text("a file of that name")
    pressed(tab)
    tab.summary.buttons["html"].click()
    tab.summary.status.thread.join(20)
    assert f"the folder {tmp_path / 'audits'} cannot be made" in text(tab.summary.status)


def test_the_pictures_are_made_when_opened(tab):
    pressed(tab)
    hull, best = tab.result.children[-2:]
    assert hull.selected_index is None and hull.inside.children == () and best.selected_index is None
    hull.selected_index = 0
    hull.status.thread.join(30)
    drawn = hull.inside.children[0].children[-1].children[0]
    assert {"prediction", "client", "hull"} <= {trace.name for trace in drawn.data} and text(hull.status).strip() == ""
    best.selected_index = 0
    panel = next(w for w in best.children[0].children if isinstance(w, LimitsPanel))
    panel.wait(30)
    # f and m repay alike at both sites, so that right answers tell nothing of the group: no limit costs anything.
    assert panel.best.accuracy > 0.99


def test_numbers_that_are_texts_and_yes_and_no_are_not_cut(tab):
    frame = tab.chooser.frame.assign(code=[str(a) for a in AGES] * 5, flag=[True, False] * 40,
                                     real=np.linspace(0, 1, 80))
    tab.chooser.show(frame, "loans.csv")
    for column, cut in (("code", False), ("flag", False), ("real", True)):
        tab.controls["group"].value = column
        assert shown(tab.groups._ranges[0]) is cut
    assert re.search("holds 15 different values.*merge some", _refused(tab, "code"))


def _refused(tab, column) -> str:
    tab.controls["group"].value = column
    return pressed(tab)


def test_a_column_twice_in_the_table_is_refused_not_fatal():
    tab = AuditTab()
    twice = pd.concat([TABLE, TABLE[["sex"]]], axis=1)
    tab.chooser.status.guarded(lambda: tab.chooser.show(twice, "twice.csv"))
    assert tab.panel is None
