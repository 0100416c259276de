"""The panel without a browser: what moves, what stands still, what the button hands on."""

import asyncio

import numpy as np
import pandas as pd
import pytest

import fedlab_widgets as fl
from fedlab_widgets.audit import audit
from fedlab_widgets.widgets import what_if
from fedlab_widgets.widgets.what_if import WhatIf

NAMES = dict(groups=("Female", "Male"), labels=("<=50K", ">50K"), favourable=1)
RNG = np.random.default_rng(5)


def counts(clients=10, n=6500, groups=2):
    group = RNG.integers(0, groups, n)
    guess = (RNG.random(n) < np.where(group, 0.3, 0.1)).astype(int)
    label = np.where(RNG.random(n) < 0.9, guess, 1 - guess)
    table = np.zeros((clients, groups, 2, 2), np.int64)
    np.add.at(table, (RNG.integers(0, clients, n), group, label, guess), 1)
    return table


def number(panel, kind):
    return panel._strengths[kind].box


def shown(panel):
    """The button with its "?"."""
    return next(c for c in panel.children if getattr(c, "widget", None) is panel.train)


def test_dragging_moves_the_parts_and_not_the_figures():
    panel = WhatIf(counts(), **NAMES)
    still, first, seen = panel.standing.value, panel.reading, [panel.view.value]
    for kind, value in (("by group", 0.97), ("masked", 0.95), ("by label", 0.1)):
        panel.choice.value = kind
        number(panel, kind).value = value
        seen.append(panel.view.value)
        assert panel.standing.value == still
        r = panel.reading
        assert (r.accuracy, r.gap, r.global_disparity) == (first.accuracy, first.gap, first.global_disparity)
    assert len(set(seen)) == 4
    panel.choice.value = "as it was"
    assert [a.bits for a in panel.reading.atoms] == [a.bits for a in first.atoms]
    assert panel.reading.clients == first.clients


def test_the_pinned_line_is_there():
    values = [c.value for c in WhatIf(counts(), **NAMES).children if hasattr(c, "value") and isinstance(c.value, str)]
    assert any("The model did not change. Nobody's prediction changed." in v for v in values)


def test_slider_and_number_box_follow_each_other():
    panel = WhatIf(counts(), **NAMES)
    panel.choice.value = "by group"
    box, drag = panel.strength.children[0].widget.children
    box.value = 0.66      # of 0.5 to 1: at 0.32 of the way
    assert drag.position == pytest.approx(0.32) and panel.partition == fl.ByGroup(clients=10, skew=0.66)
    drag.position = 0.6
    assert box.value == 0.8 and drag.said == "0.8"
    panel.choice.value = "by label"
    box, drag = panel.strength.children[0].widget.children
    drag.position = 0.5    # of 0.01 to 100 by ratios: 1, and not its exponent
    assert box.value == 1.0 and drag.said == "1"


def test_the_button_hands_the_split_on():
    given = []
    panel = WhatIf(counts(), **NAMES, on_train=given.append)
    assert panel.train.disabled            # nothing to train: this is the split as it was
    panel.choice.value = "masked"
    number(panel, "masked").value = 0.75
    panel.train.click()
    assert given == [fl.Masked(clients=10, lam=0.75)] and not panel.train.disabled
    assert shown(panel).layout.display is None and shown(WhatIf(counts(), **NAMES)).layout.display == "none"


def test_masked_is_offered_for_two_groups_only():
    three = WhatIf(counts(clients=3, n=300, groups=3), groups="abc", labels=("no", "yes"), favourable=1)
    assert "masked" not in three.choice.options
    three.choice.value = "by group"
    assert isinstance(three.partition, fl.ByGroup) and number(three, "by group").min == pytest.approx(0.33)


def test_bands_of_three_groups_follow_when_the_slider_rests():
    async def drag():
        panel = WhatIf(counts(clients=3, n=300, groups=3), groups="abc", labels=("no", "yes"), favourable=1)
        panel.choice.value = "by group"
        for value in (0.5, 0.6, 0.7):
            number(panel, "by group").value = value
            assert not panel.reading.atoms[0].known
        await asyncio.sleep(2 * what_if.REST)
        return panel

    assert asyncio.run(drag()).reading.atoms[0].known


def test_of_an_audit():
    rows = pd.DataFrame({"y": [0, 1] * 100, "p": [0, 1, 1, 1] * 50, "g": list("fm") * 100,
                         "c": ["x"] * 90 + ["y"] * 110})
    told = audit(rows, outcome="y", prediction="p", group="g", client="c")
    panel = WhatIf.of(told)
    assert panel.reading == told.reading


def test_of_a_run(tmp_path):
    quick = fl.Experiment(task=fl.Adult(), partition=fl.ByGroup(clients=4), rounds=1)
    run = fl.run(quick, out=tmp_path / "run", progress=False)
    panel = WhatIf.of(run)
    assert panel.reading.favourable == ">50K" and (panel.frozen.counts == run.counts()).all()
    gap = run.history.parity_gap.iloc[-1]
    assert abs(panel.reading.gap.points) == pytest.approx(100 * gap)
    assert panel.reading.global_disparity == pytest.approx(run.history.global_disparity.iloc[-1])
    last = run.history.iloc[-1]     # the record, the panel and the methods text have one definition of chance
    assert [(a.low, a.high) for a in panel.reading.atoms] == [(last[f"{a.name}_lo"], last[f"{a.name}_hi"])
                                                              for a in panel.reading.atoms]
    assert all(f"{a.high:.4f} {a.name}" in run.methods_text() for a in panel.reading.atoms)
    assert "accuracy on held-out rows" in panel.standing.value
    panel.choice.value = "alike"
    assert "dealt anew at random, by seed" in panel.hint.value


def test_of_a_run_without_groups(tmp_path):
    run = fl.run(fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=2), rounds=1), out=tmp_path / "d",
                 progress=False)
    with pytest.raises(fl.BadInput, match="no groups or no favourable label"):
        WhatIf.of(run)


def test_a_method_that_keeps_layers_at_home_says_whose_answers_move(tmp_path):
    def said(distribute):
        e = fl.Experiment(task=fl.Adult(), partition=fl.ByGroup(clients=3), rounds=1, distribute=distribute)
        panel = WhatIf.of(fl.run(e, out=tmp_path / type(distribute).__name__, progress=False))
        return what_if.OWN in "".join(c.value for c in panel.children if isinstance(getattr(c, "value", None), str))

    assert said(fl.KeepLayers()) and not said(fl.Broadcast())


def test_what_stands_still_is_on_top_and_words_come_before_bits():
    panel = WhatIf(counts(), **NAMES)
    order = [panel.children.index(c) for c in (panel.standing, panel.strength, shown(panel), panel.view)]
    assert order == sorted(order) and panel.standing.value.count("<table") == 1
    page = panel.view.value
    places = [page.index(s) for s in ("<svg class=atoms", "client by client", "In words", "Inside clients", "In bits",
                                      "Redundant:", "Plain secure aggregation")]
    assert places == sorted(places) and "percentage points, Male" not in page.split("In words")[0]
