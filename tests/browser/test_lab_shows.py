"""What a lab shows: themes, parts from another cell, the run before, errors in words."""

import re
import time

import pytest

pytestmark = [pytest.mark.browser]
CELL = "import fedlab_widgets as fl\nlab = fl.Lab({}, out='runs-shows')\nlab"
SMALL = "fl.Experiment(name='small', task=fl.Digits(), partition=fl.Dirichlet(clients=4), rounds=6)"
# Contrast of the ink farthest from the ground in each canvas, ground and ink as they are on the screen (WCAG 2.2).
CONTRAST = """() => {
    const lin = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const light = c => 0.2126 * lin(c[0]) + 0.7152 * lin(c[1]) + 0.0722 * lin(c[2]);
    const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
        return (x + 0.05) / (y + 0.05); };
    const ground = e => { for (; e; e = e.parentElement) {
        const c = getComputedStyle(e).backgroundColor.match(/[\\d.]+/g).map(Number);
        if (c.length === 3 || c[3] === 1) return c.slice(0, 3); } return [255, 255, 255]; };
    return [...document.querySelectorAll('.flb canvas')].filter(c => c.width > 100).map(c => {
        const under = ground(c), left = Math.round(c.width * 0.05), d = c.getContext('2d')
            .getImageData(0, 0, left, c.height).data;   // the numbers of the vertical axis: words, not curves
        let best = 1;
        for (let i = 0; i < d.length; i += 4) { const a = d[i + 3] / 255;
            best = Math.max(best, ratio(under.map((u, k) => u * (1 - a) + d[i + k] * a), under)); }
        return {ground: under, contrast: best}; });
}"""


def opened(notebook, name, *more, experiment=SMALL, **how):
    page = notebook(name, [CELL.format(experiment), *more], **how)
    page.button("Start").wait_for(timeout=120_000)
    page.wait_for("b.dataset.seq >= 0")
    page.choose("full speed")
    return page


def test_words_on_the_canvas_can_be_read_in_both_themes(notebook):
    page = opened(notebook, "themes", experiment="fl.Experiment(rounds=6)", scale=3)   # whole pixels of ink
    page.button("Start").click()
    page.wait_for("b.dataset.state === 'done'", 120)
    seen = {}
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        page.command("apputils:change-theme", theme=theme)
        page.wait_for(f"b.dataset.theme === '{theme.split()[1].lower()}'", 30)
        page.page.wait_for_timeout(500)
        seen[theme] = page.page.evaluate(CONTRAST)
        page.shot(f"theme-{theme.split()[1].lower()}")
    print(seen)
    assert len(seen["JupyterLab Dark"]) == len(seen["JupyterLab Light"]) >= 3
    assert all(max(c["ground"]) < 80 for c in seen["JupyterLab Dark"])
    assert all(min(c["ground"]) > 200 for c in seen["JupyterLab Light"])
    assert all(c["contrast"] >= 4.5 for theme in seen.values() for c in theme)


PARTS = '''import torch
@fl.part
class OddEven(fl.Partition):
    """Rows in turn to two clients. Source: this test."""
    def count(self, data):
        return 2
    def assign(self, data, key):
        return torch.arange(len(data.y)) % 2
@fl.part
class Loudest(fl.Aggregate):
    """The mean again. Source: this test."""
    def finish(self, total, weights, expected):
        return fl.Mean().finish(total, weights, expected)
    def fold(self, total, rows, weights):
        return fl.Mean().fold(total, rows, weights)'''


def test_parts_of_a_cell_are_in_the_menus_at_once_and_run(notebook):
    page = opened(notebook, "own-part", height=2400)
    page.button("Start").wait_for()
    options = lambda: page.page.locator(".jp-OutputArea-output option").all_inner_texts()  # noqa: E731
    page.page.locator(".fl-section", has_text=re.compile("^Advanced")).click()
    page.page.locator("option", has_text=re.compile("^median$")).first.wait_for(state="attached")
    assert not {"odd even", "odd-even", "loudest"} & set(options())
    page.kernel(PARTS)
    began = time.monotonic()
    for name in ("^loudest$", "^odd.even$"):
        page.page.locator("option", has_text=re.compile(name)).first.wait_for(state="attached", timeout=20_000)
    print(f"in the menus {1000 * (time.monotonic() - began):.0f} ms after the cell")
    page.choose(next(o for o in options() if re.fullmatch("odd.even", o)))
    page.choose("loudest")
    page.page.get_by_text("2 clients hold").wait_for(timeout=20_000)
    page.shot("own-part-chosen")
    page.button("Start").click()
    page.wait_for("b.dataset.state === 'done'", 120)
    ran = page.kernel("e = lab.run.experiment; print(type(e.partition).__name__, type(e.aggregate).__name__)")
    assert ran.split() == ["OddEven", "Loudest"] and page.points() == 6


def test_the_run_before_stays_as_a_ghost_and_cards_show_signed_differences(notebook):
    page = opened(notebook, "ghost")
    page.button("Start").click()
    page.wait_for("b.dataset.state === 'done' && b.dataset.n === '6' && b.dataset.ghost === '0'", 120)
    first = float(page.kernel("print(lab.run.history.accuracy.iloc[-1])"))
    page.kernel("lab.form.show(lab.experiment.changed(**{'local.lr': 0.0005}))")
    page.button("Start").click()
    page.wait_for("b.dataset.state === 'done' && b.dataset.run === '2' && b.dataset.n === '6'", 120)
    assert page.data()["ghost"] == "6"
    second = float(page.kernel("print(lab.run.history.accuracy.iloc[-1])"))
    page.shot("ghost")
    sign, points = "+−"[second < first], f"{abs(100 * (second - first)):.1f}"
    assert points != "0.0"
    card = page.page.locator("[data-card=accuracy]").inner_text()
    print(f"accuracy {first:.4f}, then {second:.4f}; the card says: {card!r}")
    assert f"{sign}{points} points against" in card


def test_a_run_that_fails_says_why_in_words(notebook):
    page = opened(notebook, "fails", experiment=SMALL.replace("rounds=6", "rounds=6, local=fl.SGD(lr=1, "
                                                              "weight_decay=10, steps=200)"))
    page.button("Start").click()
    alert = page.page.locator(".jp-OutputArea-output [role=alert]", has_text="local.lr")
    alert.wait_for(timeout=60_000)
    page.wait_for("b.dataset.state === 'failed'", 30)
    page.shot("fails")
    assert "no longer finite after round" in alert.inner_text() and "Traceback" not in alert.inner_text()
    assert page.button("Start").is_enabled() and page.button("Stop").is_disabled()


def test_a_broken_part_is_said_and_its_details_are_there_on_request(notebook):
    broken = PARTS.replace("return fl.Mean().finish(total, weights, expected)", "return total['no such row']")
    page = opened(notebook, "broken")
    page.kernel(broken + "\nlab.form.show(lab.experiment.changed(aggregate='loudest'))")
    page.button("Start").click()
    alert = page.page.locator(".jp-OutputArea-output [role=alert]", has_text="Error").first
    alert.wait_for(timeout=60_000)
    assert not page.page.get_by_text("Traceback (most recent call last)").first.is_visible()
    page.page.locator("summary", has_text=re.compile("details", re.I)).first.click()
    trace = page.page.get_by_text("Traceback (most recent call last)").first
    trace.wait_for(timeout=5000)
    page.shot("broken-details")
    assert "no such row" in trace.inner_text()
