"""The lab in a real JupyterLab: open, Start, watch it grow, another cell answers, Pause, Stop, what-if, narrow."""

import re
import time

import pytest

pytestmark = [pytest.mark.browser]
CELLS = ["import fedlab_widgets as fl\nlab = fl.Lab(out='runs')\nlab"]


def opened(notebook, name, **how):
    page = notebook(name, [*CELLS, *how.pop("more", ())], **how)
    page.button("Start").wait_for(timeout=120_000)
    page.wait_for("true")
    page.shot(f"{name}-opened")
    return page


def test_start_draws_and_another_cell_answers_meanwhile(notebook):
    page = opened(notebook, "start")
    page.button("Start").click()
    began = time.monotonic()
    page.wait_for("+b.dataset.n >= 1")
    first = time.monotonic() - began
    before = page.points()
    answer = page.page.evaluate("""async () => {
        const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
        const began = performance.now();
        await kernel.requestExecute({code: '1 + 1'}).done;
        return performance.now() - began; }""")
    page.wait_for(f"+b.dataset.n > {before}")
    page.shot("start-running")
    page.wait_for("b.dataset.state === 'done'", 180)
    time.sleep(1)
    page.shot("start-done")
    assert page.points() == 30 and page.board().get_attribute("data-gaps") == "0"
    assert answer < 8000, f"another cell took {answer:.0f} ms: it waited for the run"
    print(f"first point after {first * 1000:.0f} ms, another cell in {answer:.0f} ms")


def test_pause_holds_and_stop_ends(notebook):
    page = opened(notebook, "pause")
    page.button("Start").click()
    page.wait_for("+b.dataset.n >= 2")
    page.button("Pause").click()
    page.shot("pause-pressed")
    page.wait_for("b.dataset.state === 'paused'", 30)
    held = page.points()
    time.sleep(1.5)
    assert page.points() == held
    page.button("Go on").click()
    page.wait_for(f"+b.dataset.n > {held}")
    page.button("Stop").click()
    page.wait_for("b.dataset.state === 'stopped'", 30)
    assert page.points() < 30


def test_keys_do_no_harm(notebook):
    page = opened(notebook, "keys")
    page.button("Step").focus()
    cells = page.page.locator(".jp-Cell").count()
    for key in "bdd":
        page.page.keyboard.press(key)
    assert page.page.locator(".jp-Cell").count() == cells


def test_nothing_overflows_in_a_narrow_window(notebook):
    page = opened(notebook, "narrow", width=480)
    wide = page.page.evaluate("""() => { const o = document.querySelector('.fedlab-lab');
        return o.scrollWidth - o.clientWidth; }""")
    assert wide <= 2, f"{wide} px too wide"


def test_what_if_moves_the_parts_and_nothing_else(notebook):
    page = opened(notebook, "what-if", height=3200)
    page.page.get_by_role("combobox", name="Speed").select_option(label="full speed")
    page.button("Start").click()
    page.wait_for("b.dataset.state === 'done'", 180)
    panel = page.page.locator(".jp-OutputArea-output:has(.fedlab-lab)").first
    page.page.get_by_text("The model did not change. Nobody's prediction changed.").wait_for(timeout=90_000)
    page.shot("what-if-before")
    gap, parts = headline(panel), atoms(panel)
    page.page.get_by_role("button", name=re.compile("alike", re.I)).first.click()
    end = time.monotonic() + 60
    while atoms(panel) == parts:
        assert time.monotonic() < end, "the parts never moved"
        time.sleep(0.1)
    page.shot("what-if-after")
    assert headline(panel) == gap
    assert parts["redundant"] > parts["unique"] and atoms(panel)["unique"] > atoms(panel)["redundant"]


def headline(panel) -> str:
    return re.search(r"[+−-]\d+\.\d\s*percentage points", panel.inner_text())[0]


def atoms(panel) -> dict[str, float]:
    text = panel.inner_text()
    return {name: float(re.search(rf"{name.title()}: ([\d.]+) bits", text)[1])
            for name in ("redundant", "unique", "masked")}
