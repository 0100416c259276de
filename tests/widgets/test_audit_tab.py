"""The tab "Audit predictions" without a browser."""

import html
import re

import pandas as pd
import pytest

import fedlab_widgets as fl
from fedlab_widgets.widgets.audit_tab import AuditTab, example

# Two sites of 40: f are granted 10 of 20 at a and 5 of 20 at b, m 15 of 20 at both. 25 of 80 f and m … by hand below.
ROWS = [(site, sex, i % 2, "yes" if i < good else "no") for site, sex, good in
        (("a", "f", 10), ("a", "m", 15), ("b", "f", 5), ("b", "m", 15)) for i in range(20)]
TABLE = pd.DataFrame(ROWS, columns=["site", "sex", "repaid", "prediction"]).assign(
    repaid=lambda t: t["repaid"].map({0: "no", 1: "yes"}))


@pytest.fixture
def tab():
    return AuditTab()


def text(widget) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", widget.value)))


def values(tab) -> dict:
    return {role: control.value for role, control in tab.controls.items()}


def test_columns_are_guessed_and_read(tab):
    tab.chooser.show(TABLE, "loans.csv")
    assert values(tab) == {"outcome": "repaid", "prediction": "prediction", "group": "sex", "client": "site",
                           "favourable": "yes"}
    tab.button.click()
    tab.status.thread.join(30)
    assert tab.panel in tab.result.children and text(tab.status).strip() == ""
    # f: 15 of 40 are predicted yes, m: 30 of 40, so m - f = 75 % - 37.5 % = 37.5 points.
    assert tab.panel.reading.gap.points == pytest.approx(37.5) and tab.panel.reading.gap.first.group == "m"
    assert tab.panel.frozen.clients == ("a", "b")
    tab.controls["favourable"].value = "no"
    tab.read()
    assert tab.panel.reading.gap.points == pytest.approx(37.5) and tab.panel.reading.gap.first.group == "f"


def test_a_file_is_read_like_the_lab_reads_one(tab, tmp_path):
    TABLE.to_csv(tmp_path / "loans.csv", index=False)
    tab.chooser.path.value = str(tmp_path / "loans.csv")
    tab.chooser.go.click()
    tab.chooser.status.thread.join(20)
    tab.read()
    expected = fl.audit(TABLE, outcome="repaid", prediction="prediction", group="sex", client="site", favourable="yes")
    assert (tab.panel.frozen.counts == expected.counts).all()


def test_rows_with_gaps_are_left_out_and_counted(tab):
    table = TABLE.copy()
    table.loc[[0, 1], "sex"] = None
    table["comment"] = None   # gaps in other columns do not matter
    tab.chooser.show(table, "loans.csv")
    tab.read()
    assert "2 of 80 rows have a gap in these columns and are left out." in text(tab.status)
    assert tab.panel.frozen.counts.sum() == 78


def test_without_clients_five_are_made_up_and_said(tab):
    tab.chooser.show(TABLE.drop(columns="site"), "loans.csv")
    assert tab.controls["client"].label == "none"
    tab.read()
    assert "dealt at random to 5 made-up clients" in text(tab.status) and len(tab.panel.frozen.clients) == 5
    assert tab.panel.reading.gap.points == pytest.approx(37.5)   # no client can change that


def test_what_cannot_be_read_is_said_in_place(tab):
    with pytest.raises(fl.BadInput, match="no table was read yet"):
        tab.read()
    tab.chooser.show(TABLE.assign(score=[i / 80 for i in range(80)], name=[f"no. {i}" for i in range(80)]), "loans.csv")
    for role, column, said in (("prediction", "repaid", "need columns of their own"),
                               ("prediction", "score", "80 in all, which look like scores"),
                               ("group", "name", "can be compared")):
        before = tab.controls[role].value
        tab.controls[role].value = column
        tab.button.click()
        tab.status.thread.join(20)
        assert said in text(tab.status) and 'role="alert"' in tab.status.value
        tab.controls[role].value = before
    assert tab.panel is None


def test_answers_that_are_numbers_or_booleans(tab):
    tab.chooser.show(TABLE.assign(repaid=[0, 1] * 40, prediction=[0, 1, 1, 1] * 20), "loans.csv")
    assert tab.controls["favourable"].value == 1
    tab.read()
    assert tab.panel.frozen.labels == ("0", "1")
    tab.chooser.show(TABLE.assign(repaid=[True, False] * 40, prediction=[True, True, False, True] * 20), "loans.csv")
    assert tab.panel is None and tab.result.children == ()   # another table: the old reading is gone
    tab.read()
    assert tab.panel.frozen.labels == ("False", "True") and tab.panel.frozen.favourable == 1


def test_the_example_is_made_here_and_says_so(tab):
    tab.example.click()
    tab.chooser.status.thread.join(60)
    assert "The five sites are made up" in text(tab.chooser.status)
    assert values(tab) == {"outcome": "income", "prediction": "predicted income", "group": "sex", "client": "site",
                           "favourable": ">50K"}
    tab.read()
    reading = tab.panel.reading
    # Adult, men less women: 30 % - 11 % earn more than 50K; a fair model of it shows a gap of 10 points or more.
    assert reading.gap.first.group == "Male" and 8 < reading.gap.points < 25
    table = example()
    assert table.equals(tab.chooser.frame) and not table.equals(example(seed=1))
    sizes = table.groupby("site").size()
    assert len(sizes) == 5 and sizes.min() > 300 and (table["income"] == table["predicted income"]).mean() > 0.8
    women = table["sex"].eq("Female").groupby(table["site"]).mean()
    assert (women[["site 1", "site 2"]] > 0.5).all() and (women[["site 3", "site 4", "site 5"]] < 0.2).all()
