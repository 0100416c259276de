"""The printed summary: no number below ten people, none that can be worked out, and values by hand."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from scipy.optimize import linprog

from fedlab_widgets import BadInput
from fedlab_widgets.audit import Audit
from fedlab_widgets.audit_summary import HIDDEN, MOST_ROWS, hidden, page


def made(counts, groups=("f", "m"), good=1):
    counts = np.asarray(counts)
    return Audit(counts, groups, ("no", "yes"), good, tuple(f"client {i}" for i in range(len(counts))))


# [client, group, label, prediction]: f at client 0: 60 of 200 given "yes"; m: 100 of 200
BIG = [[[[100, 20], [40, 40]], [[60, 40], [40, 60]]]] * 3


class Tables(HTMLParser):
    """The rows of the tables of a page, each a list of texts."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.inside = [], False
        self.feed(text)

    def handle_starttag(self, tag, _):
        if tag == "table":
            self.tables.append([])
            self.inside = True
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        self.inside = self.inside and tag != "table"

    def handle_data(self, data):
        if self.inside and self.tables[-1] and self.tables[-1][-1]:
            self.tables[-1][-1][-1] += data + " "


def table(text, which=0):
    return [[" ".join(cell.split()) for cell in row] for row in Tables(text).tables[which]]


def test_values_by_hand():
    text = page(made(BIG))
    rows = table(text)
    assert rows[1] == ["client 0", "30.0 % of 200", "50.0 % of 200"]
    assert rows[-1] == ["everybody", "30.0 % of 600", "50.0 % of 600"]
    # f: tpr 40/80, fpr 20/120, ppv 40/60; m: 60/100, 40/100, 60/100
    criteria = table(text, 2)
    assert criteria[1] == ["f", "30.0 %", "50.0 %", "16.7 %", "66.7 %"]
    assert criteria[2][:5] == ["m", "50.0 %", "60.0 %", "40.0 %", "60.0 %"]
    for name, said in (("Statistical parity", "+20.0 points at most (m − f)"),
                       ("Equal opportunity", "+10.0 points at most (m − f)"),
                       ("Equalised odds", "+23.3 points at most (m − f)"),
                       ("Predictive parity", "+6.7 points at most (f − m)")):
        assert re.search(f"<b>{name}</b>[^<]*{re.escape(said)}", text), name
    assert HIDDEN not in text and text.count("<section>") == 2 and "http" not in text.replace("http://www.w3.org", "")


def test_favourable_answer_may_be_the_first():
    assert table(page(made(BIG, good=0)))[1] == ["client 0", "70.0 % of 200", "50.0 % of 200"]


def test_ten_is_shown_and_nine_is_not():
    counts = np.array(BIG)
    counts[0, 0] = [[40, 0], [0, 10]]
    assert table(page(made(counts)))[1][1] == "20.0 % of 50"
    counts[0, 0] = [[40, 0], [0, 9]]
    rows = table(page(made(counts)))
    assert rows[1][1] == f"{HIDDEN} of 49" and [r[1].startswith(HIDDEN) for r in rows[1:4]].count(True) == 2
    counts[0, 0] = [[9, 0], [0, 0]]
    assert table(page(made(counts)))[1][1] == HIDDEN


def known(shown, total, low, high):
    """The least width of what a hidden number can be, given the shown ones (None: hidden) and their total."""
    at = [i for i, v in enumerate(shown) if v is None]
    rest = total - sum(v for v in shown if v is not None)
    width = np.inf
    for k in range(len(at)):
        ends = [linprog(sign * np.eye(len(at))[k], A_eq=np.ones((1, len(at))), b_eq=[rest],
                        bounds=[(low[i], high[i]) for i in at]).fun * sign for sign in (1, -1)]
        width = min(width, ends[1] - ends[0])
    return width


def test_nothing_hidden_can_be_worked_out():
    """From the printed table alone, by linear programming: no hidden number is known to less than ten values."""
    assert sum(map(attacked, range(25))) > 25


def attacked(seed):
    """Columns of a random summary with something hidden, after trying to work it out."""
    rng = np.random.default_rng(seed)
    counts = rng.negative_binomial(1, rng.choice([0.02, 0.1, 0.2]), (rng.integers(1, 20), 2, 2, 2))
    counts[0] += 20
    rows, some = table(page(made(counts))), 0
    totals = [[float(c) for c in re.fullmatch(r"([\d.]+) % of ([\d,]+)", cell.replace(",", "")).groups()]
              for cell in rows[-1][1:3]]
    for g, (rate, people) in enumerate(totals):
        n = [int(m[1].replace(",", "")) if (m := re.search(r"of ([\d,]+)", row[1 + g])) else None
             for row in rows[1:-1]]
        rates = [float(m[1]) if (m := re.match(r"([\d.]+) %", row[1 + g])) else None for row in rows[1:-1]]
        given = [None if r is None else round(r * k / 100) for r, k in zip(rates, n, strict=True)]
        free = [people] * len(n)
        some += (None in n) + (None in given)
        assert all(k is None or k >= 10 for k in n) and all(k is None or k >= 10 for k in given)
        assert known(n, people, [0] * len(n), free) >= 9
        yes = counts[:, g, :, 1].sum()
        assert abs(yes / people * 100 - rate) < 0.06
        assert known(given, yes, [0] * len(n), [f if k is None else k for k, f in zip(n, free, strict=True)]) >= 9
    return some


def test_hidden_by_hand():
    assert hidden(np.array([9, 5, 50])).tolist() == [True, True, False]           # 14 together
    assert hidden(np.array([4, 5, 50])).tolist() == [True, True, True]            # 9 together: the third as well
    assert hidden(np.array([30, 20, 50])).tolist() == [False] * 3
    assert hidden(np.array([30, 20]), np.array([40, 0])).tolist() == [True, True]


def test_small_numbers_over_everybody():
    counts = np.array(BIG)
    counts[:, 0] = [[[80, 1], [30, 1]], [[80, 1], [30, 1]], [[80, 1], [30, 0]]]    # 5 of f are given "yes"
    text = page(made(counts))
    assert "parts of the disparity are withheld" in text and "Rates are not compared in words" in text
    assert "<svg" not in text and "points at most" not in text
    assert table(text)[-1][1] == f"{HIDDEN} of 335" and table(text, 1)[1][1:] == [HIDDEN] * 4
    counts = np.array(BIG)
    counts[:, 0, 1] = [[3, 3], [0, 0], [0, 0]]         # 6 of f had the outcome: neither it nor the rates it gives away
    text = page(made(counts))
    assert "is the outcome for" not in text and table(text, 2)[1][2:] == [HIDDEN] * 3


def test_corners_of_the_picture_are_of_tens():
    counts = np.array(BIG) + np.random.default_rng(0).integers(0, 40, (3, 2, 2, 2))
    corners = re.findall(r"<polyline points='([^']+)'", page(made(counts)))
    assert len(corners) == 3
    for point in " ".join(corners).split():
        x, y = map(float, point.split(","))
        for share, n in zip(((x - 18) / 176, 1 - (y - 4) / 176), counts.sum((0, 2, 3)), strict=True):
            people = share * n
            assert share == 1 or abs(people - 10 * round(people / 10)) < 0.06 / 176 * n    # a coordinate's rounding


def test_many_clients_are_pooled():
    text = page(made(BIG * 100))
    rows = table(text)
    assert len(rows) == MOST_ROWS + 2 and rows[-2][:2] == [f"{300 - MOST_ROWS + 1} others together",
                                                          f"30.0 % of {200 * (301 - MOST_ROWS):,}"]


def test_names_are_not_markup():
    assert "<b>m" not in page(made(BIG, groups=("<b>f", "<b>m"))) and "&lt;b&gt;m" in page(made(
        BIG, groups=("<b>f", "<b>m")))


def test_three_groups_and_an_empty_one():
    counts = np.zeros((3, 4, 2, 2), int)
    counts[:, [0, 1]], counts[:, 3] = BIG, [[30, 30], [30, 30]]
    text = page(made(counts, groups=tuple("abcd")))
    assert text.count("<svg") == 3 and "All 3 groups at once" in text and "certified to within" in text


@pytest.mark.parametrize("counts, words", [
    ([[[[100, 20], [40, 40]], [[3, 2], [2, 2]]]], "group 'm' has fewer than 10 people.*merge it with another group"),
    ([[[[100, 0], [40, 0]], [[100, 0], [40, 0]]]], "everybody is predicted 'no'")])
def test_refused(counts, words, tmp_path):
    with pytest.raises(BadInput, match=words):
        made(counts).save(tmp_path / "a.html")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name, words", [("a.docx", "end in .html or .pdf"), ("no/a.html", "there is no folder")])
def test_wrong_paths(name, words, tmp_path):
    with pytest.raises(BadInput, match=words):
        made(BIG).save(tmp_path / name)


def test_two_pages(tmp_path):
    """Printed by a real browser, where there is one; with one client, the fewest lines, and with many."""
    assert made(BIG).save(tmp_path / "a.html").read_text().startswith("<!doctype html>")
    for counts in (BIG[:1], BIG * 10):
        try:
            written = made(counts).save(tmp_path / "a.pdf").read_bytes()
        except BadInput as error:
            assert "save it as .html" in str(error)
            pytest.skip(str(error))
        assert written.startswith(b"%PDF") and len(re.findall(rb"/Type\s*/Page\b", written)) == 2
