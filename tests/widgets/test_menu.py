"""Menus in groups, with what cannot be chosen now and why: without a browser, and on every recipe of the book."""

import re

import pytest

import fedlab_widgets as fl
from fedlab_widgets.part import _CATALOGUE, catalogue
from fedlab_widgets.recipes import BOOK
from fedlab_widgets.recipes.shelves import TAGS
from fedlab_widgets.widgets import words
from fedlab_widgets.widgets.form import Form
from fedlab_widgets.widgets.groups import WHEN, grouped, tag_of, when
from fedlab_widgets.widgets.host import METHOD, Host
from fedlab_widgets.widgets.menu import Mark, Menu
from fedlab_widgets.widgets.offers import Trial, choices, refusals

TAGGED = ("aggregate", "attack", "encode", "partition", "correct", "privatise")
SLOTS = (*METHOD, "attack")
WITH_MODELS = {"collaborators", "gossip"}   # aggregates that come with models of their own: a button sets both


def host_of(experiment):
    host = Host(lambda: None)
    host.experiment = experiment
    return host


def marks_of(form, path):
    control = form.field(path).control
    return {value: mark for (_, value), mark in zip(control.options, control.marks, strict=False) if mark}


def test_a_menu_is_a_dropdown_to_its_owner():
    menu, seen = Menu(), []
    menu.offer([("a", 1), ("b", 2), ("c", 3)], 2, {1: "One", 2: "One"})
    assert (menu.value, menu.index, menu.label) == (2, 1, "b") and menu.groups == ["One", "One", ""]
    menu.observe(lambda change: seen.append(change["new"]), "value")
    menu.set_state({"index": 2})   # what the page sends
    assert seen == [3]
    menu.offer([("a", 1), ("c", 3)], 1)
    assert menu.groups == ["", ""] and menu.value == 1


def test_what_is_chosen_is_never_off():
    menu = Menu()
    menu.offer([("a", 1), ("b", 2)], 2)
    menu.mark({1: Mark("not now", True, "because"), 2: Mark("not now", True, "because")})
    assert menu.marks == [{"note": "not now", "off": True, "why": "because"}, {}]
    assert (menu.about(1), menu.about(2)) == ("because", "")


@pytest.mark.parametrize("slot", TAGGED)
def test_every_part_of_a_long_menu_has_a_group_and_every_group_a_line(slot):
    for name, cls in catalogue(slot).items():
        assert tag_of(cls) in WHEN[slot], name
        assert when(slot, tag_of(cls)).startswith("Use it ")


def test_every_recipe_stands_on_a_shelf_that_says_what_it_is_for():
    assert set(BOOK) <= set(TAGS)   # else put it on one, in recipes/shelves.py
    assert all(when("method", BOOK[name].tag) for name in BOOK)


def test_no_line_speaks_of_what_is_not_there():
    for slot, lines in WHEN.items():
        parts = catalogue(slot) if slot != "method" else {}
        assert set(lines) <= {*parts, *map(tag_of, parts.values()), *TAGS.values()}, slot


def test_parts_of_a_group_stand_together_and_in_its_order():
    pairs, groups = choices(fl.Aggregate)
    assert [*dict.fromkeys(groups[name] for _, name in pairs)] == [
        "Averages", "Robust to liars", "By trust", "By vote", "Before another rule", "Models of their own",
        "Of lists", "Without a server"]
    assert [name for _, name in pairs if groups[name] == "By trust"] == ["fltrust", "fools_gold", "reputation"]
    assert grouped("server", ["b", "a"], lambda name: "") == (["b", "a"], {})   # few parts: as they were, no groups


def test_a_part_of_ones_own_stands_among_others_or_where_its_tag_says():
    try:
        for name, tag in (("Mine", ""), ("Firm", "robust to liars"), ("New", "a group of my own")):
            fl.part(type(name, (fl.Aggregate,), {"__doc__": "A part from a cell.", "tag": tag}))
        pairs, groups = choices(fl.Aggregate)
        assert (groups["mine"], groups["firm"], groups["new"]) == ("Others", "Robust to liars", "A group of my own")
        assert [name for _, name in pairs][-2:] == ["new", "mine"]
    finally:
        for name in ("mine", "firm", "new"):
            _CATALOGUE["aggregate"].pop(name, None)


def test_what_cannot_be_chosen_is_off_with_the_reason():
    form = Form(fl.recipe("dp-fedavg"))
    marks = marks_of(form, "aggregate")
    assert marks["krum"]["off"] and marks["krum"]["note"] == "not with gaussian"
    assert marks["krum"]["why"] == (form.host._tried({"aggregate": "krum"})[1]
                                    + " To choose it, change privacy first.")
    assert "mean" not in marks   # in use
    says = form.field("aggregate").says.value
    off = {name for name, mark in marks.items() if mark["off"]}
    assert {*marks} - off == WITH_MODELS | {"sum_by_item"} and len(marks) == len(choices(fl.Aggregate)[0]) - 1
    assert f"<summary>{len(off)} cannot be chosen now; 3 change something else too: why?" in says
    assert "bucketing" in says and says.count("privatise = gaussian cannot calibrate") == 2   # off, by button
    form.show(fl.Experiment())
    assert set(marks_of(form, "aggregate")) == WITH_MODELS


def test_what_a_recipe_knows_how_to_make_fit_can_be_chosen():
    form = Form()
    marks = marks_of(form, "privatise")
    assert set(marks) == {"gaussian", "adaptive_clip", "correlated_noise"}
    assert not any(mark["off"] for mark in marks.values())
    assert marks["gaussian"]["note"] == "also changes aggregator"
    control = form.field("privatise").control
    control.set_state({"index": [value for _, value in control.options].index("gaussian")})
    form.field("privatise").cure.click()
    assert form.experiment.privatise == fl.Gaussian() and form.problem == ""


def test_what_fits_with_a_change_that_waits_is_free():
    form = Form(fl.Experiment(fairness="fair_weights"))
    assert marks_of(form, "aggregate")["krum"]["note"] == "not with fair weights"
    form.host.submit("fairness", ["reweigh", "reweigh"])   # waits: the same part twice
    assert form.problem and marks_of(form, "aggregate")["krum"]["off"]
    form = Form(fl.recipe("dp-fedavg"))
    assert marks_of(form, "aggregate")["median"]["off"]
    form.host.waiting["privatise"] = {"privatise": None}, "as if something still spoke against it"
    assert form.host.refused("aggregate", "median") == ""


def test_a_list_says_what_is_in_it_already_and_what_the_choice_would_do():
    form = Form(fl.Experiment(local=fl.SGD(correct=(fl.Proximal(mu=0.1),))))
    leaf = form.field("local.correct")
    assert marks_of(form, "local.correct")["proximal"] == {
        "note": "in the list already", "off": True,
        "why": "local.correct names the same correction twice; give each once."}
    leaf.control.set_state({"index": [value for _, value in leaf.control.options].index("contrastive")})
    assert leaf.says.value.startswith("Keep what the net sees") and "Use it where the same clients" in leaf.says.value
    assert form.experiment.local.correct == (fl.Proximal(mu=0.1),)


def test_the_line_beneath_says_what_a_part_does_and_when_to_use_it():
    form = Form(fl.Experiment(aggregate="median", attack="alie"))
    assert form.field("aggregate").says.value.partition("<details")[0] == (
        "Take the middle value of every column: fewer than half of the clients can lie and not carry it away. "
        "Use it where some clients may lie; it costs accuracy where none does and clients differ much.")
    assert "Use it as the worst case" in form.field("attack").says.value
    assert "Use it to have something to compare with." in form.field("method").says.value


def test_trials_are_made_anew_only_when_something_has_changed(monkeypatch):
    host, count = host_of(fl.recipe("dp-fedavg")), []
    real = host.refused
    monkeypatch.setattr(host, "refused", lambda *what: count.append(what) or real(*what))
    trial = Trial(host, "aggregate")
    values = {name: name for name in catalogue("aggregate")}
    first = trial(values)
    assert trial(values) is first and len(count) == len(values)
    host.experiment = host.experiment.changed(privatise=None)
    assert set(trial(values)) == WITH_MODELS and len(count) == 2 * len(values)


@pytest.mark.parametrize("name", BOOK)
def test_whatever_is_off_is_one_choice_elsewhere_away(name):
    """Else disabling would shut a door: two choices of which each is off because of the other."""
    host, usual = host_of(fl.recipe(name)), fl.Experiment()
    for slot in SLOTS:
        held = getattr(host.experiment, slot)
        values = {key: [*held, key] if isinstance(held, tuple) else key for key in catalogue(slot)
                  if (slot, key) not in words.NOT_BY_HAND}
        for key, mark in Trial(host, slot)(values).items():
            if not mark.off or mark.note == "in the list already":
                continue
            ways = [new for other in SLOTS if other != slot
                    if (new := host._tried({other: getattr(usual, other)})[0])
                    and not any(mark.off for mark in Trial(host_of(new), slot)({key: values[key]}).values())]
            assert ways, (slot, key, mark.why)
            assert re.match("not with |not now", mark.note)


def test_reasons_are_safe_html_and_say_both_kinds():
    said = refusals("aggregate", {"krum": Mark("not now", True, "aggregate = krum <b> fails"),
                                  "bulyan": Mark("not now", True, "aggregate = bulyan <b> fails"),
                                  "mean": Mark("also changes privacy", False, "needs more")})
    assert "2 cannot be chosen now; 1 changes something else too: why?" in said
    assert "<b>krum and bulyan</b>: this choice &lt;b&gt; fails</li>" in said
    assert "It can be chosen" in said and refusals("aggregate", {}) == ""
