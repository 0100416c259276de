"""What the disparity panel says, on tables whose truth is known."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedlab_widgets import Adult, BadInput, from_arrays
from fedlab_widgets.evaluate import private_tables
from fedlab_widgets.evaluate.private_tables import Private, release
from fedlab_widgets.widgets import fairness, fairness_html
from fedlab_widgets.widgets.fairness import Rate, gap, read, wilson, withheld

GROUPS, LABELS = ("Female", "Male"), ("no", "yes")
FORBIDDEN = re.compile(r"\b(fair(ly|ness)?|unfair\w*|bias\w*|discriminat\w*|unjust\w*|harm\w*|safe|acceptable|"
                       r"pass(es|ed)?|fail(s|ed)?|violat\w*|good|bad|worse|better|problem\w*|because|cause[sd]?|"
                       r"causing|due to|cancel\w*|blame\w*|no gaps?|no disparity|no difference|stems?|leads? to|"
                       r"comes? from|result of|"
                       r"equal treatment|treated)\b", re.IGNORECASE)
LONE = {"circle", "path", "rect"}     # closed where they open
QUICK = settings(deadline=None, max_examples=60, derandomize=True)


def client(female, male):
    """[group, label, prediction] from (rows, predicted yes) of each group; labels as predicted."""
    return [[[n - yes, 0], [0, yes]] for n, yes in (female, male)]


def told(*clients, groups=GROUPS, **how):
    return read([client(*c) if len(groups) == 2 else [[[n - k, 0], [0, k]] for n, k in c] for c in clients],
                groups, LABELS, 1, **how)


def text(reading):
    return "\n".join(reading.sentences)


class Page(HTMLParser):
    """Elements as (tag, attributes, the tags around them), and the words outside of <style>."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.words, self.open = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), tuple(self.open)))
        if tag not in LONE:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag in LONE
        self.elements.append((tag, dict(attrs), tuple(self.open)))

    def handle_endtag(self, tag):
        while self.open.pop() != tag:     # th, td, tr and li close themselves
            pass

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    def all(self, tag):
        return [attrs for name, attrs, _ in self.elements if name == tag]


IID = [((500, 100), (1000, 300))] * 4
SKEWED = [((900, 180), (100, 30))] * 2 + [((100, 20), (900, 270))] * 2   # rates .2 and .3 in every client
OPPOSITE = [((500, 100), (500, 300))] * 2 + [((500, 300), (500, 100))] * 2
EQUAL_SIGNS = [((1000, 700), (1000, 900)), ((1000, 100), (1000, 300))]   # +20 points in both, at different levels
NOISE = [((60, 20), (60, 21))] * 3
TINY = [((5, 1), (6, 3)), ((8, 0), (4, 2))]


def test_gap_and_interval_by_hand():
    # Newcombe 1998, table II (a): 56 / 70 - 48 / 80 is 0.2, method 10 gives 0.0524 to 0.3339.
    g = gap(Rate("a", 70, 56), Rate("b", 80, 48))
    assert (round(g.points, 4), round(g.low, 2), round(g.high, 2)) == (20.0, 5.24, 33.39)
    assert g.clear and not g.few
    # 0 of 10: Wilson's upper limit is z^2 / (n + z^2) = 3.8415 / 13.8415.
    assert wilson(Rate("a", 10, 0)) == (0.0, pytest.approx(0.27753, abs=1e-5))
    assert gap(Rate("a", 0, 0), Rate("b", 5, 1)) is None


def test_the_headline_by_hand():
    r = told(((100, 20), (200, 80)))
    assert (r.gap.first.group, r.gap.second.group, r.gap.points) == ("Male", "Female", pytest.approx(20))
    # Wilson: .3346 to .4692 and .1334 to .2888; .2 - hypot(.0654, .0888) = .0897, .2 + hypot(.0692, .0666) = .2961.
    assert r.sentences[0].startswith("In these 300 rows “yes” is predicted for 40.0 % of Male (n = 200) and 20.0 % of "
                                     "Female (n = 100): Male − Female = +20.0 percentage points, 95 % interval +9.0 to "
                                     "+29.6.")
    assert r.accuracy == 1 and r.n == 300 and r.favourable == "yes"


def test_the_gap_in_the_data_is_of_the_labels():
    counts = [[[[50, 10], [30, 10]], [[20, 20], [20, 40]]]]      # [label][prediction]
    r = read(counts, GROUPS, LABELS, 1)
    assert r.gap.points == pytest.approx(100 * (60 / 100 - 20 / 100))
    assert r.data_gap.points == pytest.approx(100 * (60 / 100 - 40 / 100))
    assert ("In the data of these 200 rows “yes” is the outcome for 60.0 % of Male and 40.0 % of Female: +20.0"
            in text(r))
    assert read(counts, GROUPS, LABELS, 0).gap.first.group == "Female"   # "no" is what they are given more often


def test_it_is_said_whose_rows_the_figures_are_of():
    mine, handed = told(*IID, held_out=True), told(*IID)
    assert mine.sentences[0].startswith("In the 6,000 held-out rows “yes” is predicted for")
    assert mine.sentences[1].startswith("In the data of the same 6,000 held-out rows “yes” is the outcome for")
    assert fairness.WHOSE in mine.sentences and "held-out" not in text(handed) and "board" not in text(handed)
    for reading, where in ((mine, "accuracy on held-out rows"), (handed, "accuracy in these rows")):
        page = " ".join(Page(fairness_html.standing(reading)).words)
        assert where in page and (fairness.WHOSE in page) == reading.held_out


def test_the_corrected_value_is_beside_the_sentence_and_not_in_it():
    r = told(*OPPOSITE)
    image = next(a for a in Page(fairness.html(r)).all("svg") if a.get("class") == "atoms")
    assert f"({r.atoms[2].corrected:.4f} less small-sample bias)" in image["aria-label"] and "correct" not in text(r)


def test_iid_is_unique_and_which_is_larger_cannot_be_told():
    r = told(*IID)
    assert [a.above for a in r.atoms] == [False, True, False]
    assert "in 4 of 4 clients Male is favoured" in text(r)
    assert "Which of global and local is larger cannot be told" in text(r)


def test_skewed_clients_are_redundant_and_every_client_has_a_gap():
    r = told(*SKEWED)
    redundant, unique, masked = r.atoms
    assert redundant.above and not unique.above and unique.bits < 1e-9
    assert redundant.bits == pytest.approx(r.global_disparity)
    assert all(c.gap.points == pytest.approx(10) and c.direction == 1 for c in r.clients)
    line = next(s for s in r.sentences if s.startswith("Redundant"))
    assert "does not speak of gaps inside clients" in line and line.endswith("in 4 of 4 clients Male is favoured.")


def test_masked_with_opposite_signs():
    r = told(*OPPOSITE)
    line = next(s for s in r.sentences if s.startswith("Masked"))
    assert [a.above for a in r.atoms] == [False, False, True]
    assert "in 2 clients Female is favoured, in 2 the other way round" in line or \
        "in 2 clients Male is favoured, in 2 the other way round" in line
    assert "this cannot be told from zero with n = 4,000" in r.sentences[0] and "Local is larger" in text(r)


def test_masked_with_equal_signs_says_so():
    r = told(*EQUAL_SIGNS)
    line = next(s for s in r.sentences if s.startswith("Masked"))
    assert r.atoms[2].above and line.endswith("in 2 of 2 clients Male is favoured.")
    assert "the other way round" not in text(r) and "Local is larger than global" in text(r)


@pytest.mark.parametrize("clients", [NOISE, TINY])
def test_below_the_band_it_cannot_be_told_from_zero(clients):
    r = told(*clients)
    assert not any(a.above for a in r.atoms)
    lines = [s for s in r.sentences if s.startswith(("Redundant", "Unique", "Masked"))]
    assert all(f"cannot be told from zero with n = {r.n}" in line for line in lines) and len(lines) == 3
    assert ("this cannot be told from zero" in r.sentences[0]) == (not r.gap.clear)


def test_without_draws_no_part_is_told_from_zero_or_not():
    r = told(*OPPOSITE, draws=0)
    page = " ".join(Page(fairness.html(r)).words)
    assert "Masked: 0.1245 bits; what chance reaches is not drawn yet." in text(r)
    assert not any(a.above or a.known for a in r.atoms) and "told from zero with" not in "".join(r.sentences[4:])
    assert "larger" not in text(r) and "nan" not in page and "not drawn yet" in page


def test_chance_deals_of_alike_clients_are_not_called_redundant_or_masked():
    rng, alarms = np.random.default_rng(0), 0
    for _ in range(20):
        pairs = rng.multinomial(3000, [0.28, 0.05, 0.47, 0.2]).reshape(2, 2)    # unlike rates: all unique
        counts = np.zeros((10, 2, 2, 2), int)
        for z, y in np.ndindex(2, 2):
            counts[:, z, y, y] = rng.multinomial(pairs[z, y], [0.1] * 10)
        r = read(counts, GROUPS, LABELS, 1)
        alarms += r.atoms[0].above + r.atoms[2].above
        assert r.atoms[1].above
    assert alarms <= 4    # 40 looks at 2.5 % each; by shuffled groups alone it is most of them


def test_small_groups_are_shown_but_count_only_when_clear():
    r = told(((10, 3), (300, 120)), ((12, 0), (300, 200)), ((200, 20), (200, 60)))
    assert [c.direction for c in r.clients] == [0, 1, 1]
    assert "in 2 of 3 clients Male is favoured" in text(r)
    assert "not counted: 1 client with fewer than 20 rows of a group and an interval that covers zero" in text(r)
    assert "3 of 10" in fairness.html(r)


def test_a_client_with_one_group_has_no_gap():
    r = told(((100, 20), (0, 0)), ((100, 20), (200, 80)))
    assert r.clients[0].gap is None and "1 client without one of the two groups" in text(r)
    assert "one group only" in fairness.html(r)


def test_three_groups_show_the_pair_furthest_apart():
    r = told(((100, 50), (100, 20), (100, 30)), ((100, 60), (100, 10), (100, 30)), groups=("a", "b", "c"), draws=20)
    assert (r.gap.first.group, r.gap.second.group) == ("a", "b")
    assert "Of 3 pairs of groups the one furthest apart is shown" in text(r)


def test_one_client():
    r = told(((500, 100), (500, 200)))
    assert "One client holds everybody" in text(r) and "does not speak of" not in text(r)


def test_the_note_on_secure_aggregation_is_always_there():
    assert told(*IID).sentences[-1] == fairness.TABLES and "Plain secure aggregation" in fairness.TABLES


TABLES = st.integers(2, 3).flatmap(lambda g: st.integers(1, 5).flatmap(lambda k: arrays(
    np.int64, (k, g, 2, 2), elements=st.one_of(st.integers(0, 3), st.integers(0, 300)))))


@QUICK
@given(TABLES)
def test_no_verdict_and_no_cause_over_generated_tables(counts):
    if (counts.sum((0, 2, 3)) > 0).sum() < 2:
        return
    r = read(counts, ("Female", "Male", "Other")[:counts.shape[1]], LABELS, 1, draws=20)
    for words in (text(r), " ".join(Page(fairness.html(r)).words)):
        assert not FORBIDDEN.search(words)
    assert r.gap.points >= 0 and -100 <= r.gap.low <= r.gap.points <= r.gap.high <= 100 + 1e-9
    redundant, unique, masked = (a.bits for a in r.atoms)
    assert redundant + unique == pytest.approx(r.global_disparity, abs=1e-7)
    assert unique + masked == pytest.approx(r.disparity.local_disparity, abs=1e-9)
    named = [re.search(rf"^{a.name.capitalize()}: .*cannot be told from zero", text(r), re.M) for a in r.atoms]
    assert [bool(m) for m in named] == [not a.above for a in r.atoms]
    ways = [c.direction for c in r.clients]
    assert ("the other way round" in text(r)) == (1 in ways and -1 in ways)


def test_the_picture_is_tables_and_one_labelled_image():
    page = Page(fairness.html(told(*OPPOSITE)))
    assert len(page.all("table")) == len(page.all("caption")) == 2 and all("scope" in a for a in page.all("th"))
    image = next(a for a in page.all("svg") if a.get("class") == "atoms")
    assert image["role"] == "img" and all(n in image["aria-label"] for n in fairness.ATOMS)
    assert all("role" in a or a.get("aria-hidden") for a in page.all("svg"))
    assert "global" in page.words and "local" in page.words and "total" not in " ".join(page.words)
    inside = [around for tag, _, around in page.elements if tag in LONE]
    assert inside and all("svg" in around for around in inside)     # nothing was left open by an unquoted slash


def test_names_are_escaped():
    page = fairness.html(told(*TINY, groups=("<b>x", "y&'z")))
    assert "<b>x" not in page and "&lt;b&gt;x" in page and "y&amp;&#x27;z" in page


@pytest.mark.parametrize("counts, groups, favourable, words", [
    (np.ones((2, 2, 2, 2)), GROUPS, 1, "whole numbers"), (np.ones((2, 2, 2), int), GROUPS, 1, "must hold"),
    (np.ones((2, 1, 2, 2), int), ("all",), 1, "from 2 to 10"),
    (np.ones((2, 2, 2, 2), int), GROUPS, None, "favourable"),
    (np.zeros((2, 2, 2, 2), int), GROUPS, 1, "nothing to compare"),
    (-np.ones((1, 2, 2, 2), int), GROUPS, 1, "at least 0")])
def test_other_tables_are_refused_in_words(counts, groups, favourable, words):
    with pytest.raises(BadInput, match=words):
        read(counts, groups, LABELS, favourable)


def test_withheld_is_measured():
    rng = np.random.default_rng(0)
    g = rng.random(2000) < 0.7
    x = np.stack([g + rng.normal(0, 0.05, 2000), rng.normal(0, 1, 2000)], 1)
    shown = withheld(from_arrays(x, rng.random(2000) < 0.5, group=g), "sex")
    assert shown.startswith("The columns given to the model reveal sex with 100 % accuracy; guessing gives 7")
    hidden = withheld(from_arrays(x[:, 1:], rng.random(2000) < 0.5, group=g), "sex")
    assert "no more often than guessing" in hidden
    with pytest.raises(BadInput, match="nothing to reveal"):
        withheld(from_arrays(x, g))


def test_withheld_on_the_default_data():
    assert re.match(r"Sex is not given to the model, but the other columns reveal it with 8\d % accuracy; "
                    r"guessing gives 67 %", withheld(Adult()))


# --- noisy tables -----------------------------------------------------------------------------------------

PRIVATE = Private(epsilon=0.5, delta=0.0, seed=1, round=6, releases=3)


def test_the_parts_are_those_of_the_release_and_the_rates_are_not():
    plain, noisy = told(*OPPOSITE), told(*OPPOSITE, private=PRIVATE)
    counts = np.array([client(*c) for c in OPPOSITE]).sum(2).transpose(1, 2, 0)
    released = release(counts, 0.5, seed=1, round=6)
    reached = private_tables.chance(released)
    for atom in noisy.atoms:
        assert atom.bits == pytest.approx(released.parts[atom.name], abs=1e-12)
        assert (atom.low, atom.high) == reached[atom.name] and np.isnan(atom.corrected)
    assert noisy.global_disparity == pytest.approx(released.parts["global_disparity"], abs=1e-12)
    assert (noisy.gap, noisy.clients, noisy.n, noisy.accuracy) == (plain.gap, plain.clients, plain.n, plain.accuracy)
    assert noisy.atoms[2].above and noisy.atoms[2].bits == pytest.approx(plain.atoms[2].bits, rel=0.2)


def test_what_was_spent_is_beside_the_parts_and_what_is_not_protected_beside_the_rates():
    noisy, plain = told(*OPPOSITE, private=PRIVATE), told(*OPPOSITE)
    page, before = (" ".join(Page(fairness.html(r)).words) for r in (noisy, plain))
    assert "epsilon spent on tables  1.5" in page          # three releases at 0.5 each
    assert "Tables of counts were released 3 times" in page and fairness.NOISY in page
    assert page.count(fairness_html.UNPROTECTED) == 2 and "chance and noise" in page
    for word in ("epsilon", "noise", "protected"):
        assert word not in before
    assert "chance and noise reach" in text(noisy) and not FORBIDDEN.search(text(noisy))
    image = next(a for a in Page(fairness.html(noisy)).all("svg") if a.get("class") == "atoms")
    assert "nan" not in image["aria-label"] and "less small-sample bias" not in image["aria-label"]


def test_a_hundred_clients_with_nothing_in_them_have_no_colour():
    # 20 rows each, every rate a half: what is left is chance and noise, and no part is filled.
    rng = np.random.default_rng(2)
    clients = [tuple((10, int(rng.binomial(10, 0.5))) for _ in GROUPS) for _ in range(100)]
    r = told(*clients, private=PRIVATE)
    assert r.atoms[2].bits > 0.03 and not any(atom.above for atom in r.atoms)
    shapes = Page(fairness.html(r)).all("rect")
    assert sum(s.get("stroke-dasharray") == "2 2" for s in shapes) == 3
    assert {s["fill"][-5:] for s in shapes if s["fill"].startswith("url")} == {"band)"}


def test_noise_that_leaves_nobody_is_refused_in_words():
    few = [((1, 1), (1, 0))]
    with pytest.raises(BadInput, match="left nobody"):
        for seed in range(20):
            told(*few, private=Private(0.01, 0.0, seed, 1, 1))
