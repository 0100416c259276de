"""No control without a "?": in the lab as it stands after a run, every section open.

A control is a widget that can be disabled (buttons, menus, boxes, sliders). It is explained where a box around it has
a "?" of its own; in a slot of the form ("fl-slot") that is the "?" of the row on top. A section's button
("fl-section") only opens fields, each with its own "?". Custom widgets that draw their own controls (the board) are
checked in the browser: tests/browser/test_axe.py.
"""

import asyncio
import time

import ipywidgets as w
import pandas as pd
import pytest

import fedlab_widgets as fl
from fedlab_widgets.widgets import words
from fedlab_widgets.widgets.audit_tab import AuditTab
from fedlab_widgets.widgets.lab import Lab
from fedlab_widgets.widgets.what_if import WhatIf
from fedlab_widgets.widgets.why import Explained, explained

QUICK = fl.Experiment(name="quick", partition=fl.ByGroup(clients=3), rounds=1,
                      privatise=fl.Gaussian(noise_multiplier=1.0),
                      aggregate=fl.Mean(weights="uniform", denominator="expected"))


def classes(widget) -> tuple:
    return tuple(getattr(widget, "_dom_classes", ()))


def asks(box) -> bool:
    return any("fl-why" in classes(child) for child in box.children)


def explains(box) -> bool:
    return asks(box) or ("fl-slot" in classes(box) and asks(box.children[0]))


def unexplained(widget, around=()) -> list[str]:
    """What to call every control beneath a widget that has no "?"."""
    found = []
    control = widget.has_trait("disabled") and not {"fl-why", "fl-section"} & {*classes(widget)}
    if control and not any(map(explains, around)):
        name = getattr(widget, "description", "") or getattr(widget, "label", "")
        found.append(f"{type(widget).__name__} {name!r} in {' > '.join(type(box).__name__ for box in around)}")
    for child in getattr(widget, "children", ()):
        found += unexplained(child, (*around, widget))
    return found


def panels(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from panels(child)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    made = Lab(QUICK, out=tmp_path_factory.mktemp("runs"), name="explained")
    made.start()
    asyncio.run(made.wait(120))
    end = time.monotonic() + 60
    while not any(isinstance(panel, WhatIf) for panel in panels(made)):
        assert time.monotonic() < end, "the what-if panel never came"
        time.sleep(0.05)
    for section in made.form.sections.values():
        section.toggle()
    yield made
    made.retire()


def test_every_control_of_the_lab_has_a_question_mark(lab):
    assert unexplained(lab) == []


@pytest.mark.parametrize("kind", ["as it was", "alike", "by group", "masked", "by label"])
def test_every_control_of_the_what_if_panel_has_a_question_mark(lab, kind):
    panel = next(p for p in panels(lab) if isinstance(p, WhatIf))
    panel.choice.value = kind
    assert unexplained(panel) == []
    assert sum(isinstance(p, Explained) for p in panels(panel)) >= 5


def test_every_control_of_the_audit_has_a_question_mark():
    tab = AuditTab()
    tab.chooser.show(pd.DataFrame({"repaid": [0, 1] * 40, "prediction": [0, 1, 1, 1] * 20, "sex": ["f", "m", "m"] * 26
                                   + ["f", "m"], "age": range(80), "site": ["a", "b"] * 40}), "loans.csv")
    tab.groups.columns[1].value = "age"
    tab.groups.ranges[1].value = "2"
    tab.read()
    hull = tab.result.children[-2]
    hull.selected_index = 0
    hull.status.thread.join(30)
    assert len(hull.inside.children) == 1 and unexplained(tab) == []


def test_a_control_without_one_is_named():
    lost = w.Button(description="Lost")
    box = w.VBox([explained(w.Button(description="Found"), "round"), w.HBox([lost])])
    assert unexplained(box) == ["Button 'Lost' in VBox > HBox"]


def test_a_question_mark_opens_a_sentence_an_example_and_a_lesson():
    box = explained(w.Dropdown(), "speed", "device")
    box.why.button.click()
    text = box.children[-1].value
    assert text.count("<b>Example:</b>") == text.count("<b>Try:</b>") == 2 and "<b>Device.</b>" in text
    assert box.why.button.tooltip == "what is speed, device?" and "fl-is-open" in classes(box.why.button)
    box.why.button.click()
    assert len(box.children) == 2 and "fl-is-open" not in classes(box.why.button)


def test_a_word_of_your_own_needs_a_name_and_other_words_are_refused():
    own = words.Word("A knob turns.", "Left.", "Right.")
    assert explained(w.Text(), own, name="the knob").why.button.tooltip == "what is the knob?"
    with pytest.raises(fl.BadInput, match="neither a term nor a field"):
        explained(w.Text(), "knob")


@pytest.mark.parametrize("term", ["start", "pause", "step", "stop", "reset", "speed", "split", "horizontal axis",
                                  "table view", "ghost", "forecast", "heterogeneity", "device", "partition picture",
                                  "convergence", "headline numbers", "rate gap", "interval", "what if",
                                  "train on this split", "quick start"])
def test_what_the_lab_shows_is_in_the_glossary(term):
    word = words.explain(term)
    assert len(word) == 3 and all(text.endswith((".", "?", ":")) for text in word)
