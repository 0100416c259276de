"""The panel without a browser: what moves, what stands still, what the button hands on."""

import asyncio
import time

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


def slider(panel, kind):
    return panel._strengths[kind][0]


def test_dragging_moves_the_parts_and_not_the_figures():
    panel = WhatIf(counts(), **NAMES)
    still, first, seen = panel.standing.value, panel.reading, [panel.view.value]
    for kind, value in (("by group", 0.97), ("masked", 0.95), ("by label", 0.1)):
        panel.choice.value = kind
        slider(panel, kind).value = value
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
    drag, box = panel.strength.children
    box.value = 0.66
    assert drag.value == 0.66 and panel.partition == fl.ByGroup(clients=10, skew=0.66)
    drag.value = 0.8
    assert box.value == 0.8


def test_the_button_hands_the_split_on():
    given = []
    panel = WhatIf(counts(), **NAMES, on_train=given.append)
    assert panel.train.disabled            # nothing to train: this is the split as it was
    panel.choice.value = "masked"
    slider(panel, "masked").value = 0.75
    panel.train.click()
    assert given == [fl.Masked(clients=10, lam=0.75)] and not panel.train.disabled
    assert WhatIf(counts(), **NAMES).train.layout.display == "none"


def test_masked_is_offered_for_two_groups_only():
    three = WhatIf(counts(clients=3, n=300, groups=3), groups="abc", labels=("no", "yes"), favourable=1)
    assert "masked" not in three.choice.options
    three.choice.value = "by group"
    assert isinstance(three.partition, fl.ByGroup) and slider(three, "by group").min == pytest.approx(0.33)


def test_bands_of_three_groups_follow_when_the_slider_rests():
    async def drag():
        panel = WhatIf(counts(clients=3, n=300, groups=3), groups="abc", labels=("no", "yes"), favourable=1)
        panel.choice.value = "by group"
        for value in (0.5, 0.6, 0.7):
            slider(panel, "by group").value = value
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


def test_of_a_run_without_groups(tmp_path):
    run = fl.run(fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=2), rounds=1), out=tmp_path / "d",
                 progress=False)
    with pytest.raises(fl.BadInput, match="no groups or no favourable label"):
        WhatIf.of(run)


def test_a_drag_takes_below_50_ms():
    panel = WhatIf(counts(), **NAMES)
    for kind in (what_if.BY_GROUP, what_if.MASKED, what_if.LABELS):
        panel.choice.value = kind
        seconds = []
        for i in range(11):
            start = time.thread_time()       # of this thread alone: other tests run beside it
            slider(panel, kind).value = 0.6 + i / 50
            seconds.append(time.thread_time() - start)
        assert np.median(seconds) < 0.05, kind
