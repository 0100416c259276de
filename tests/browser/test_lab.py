"""The lab in a real JupyterLab: open, Start, watch it grow, another cell answers, Pause, Stop, what-if, narrow."""

import time

import pytest

pytestmark = [pytest.mark.browser]
CELLS = ["import fedlab_widgets as fl\nlab = fl.Lab(out='runs')\nlab"]


def opened(notebook, name, **how):
    page = notebook(name, [*CELLS, *how.pop("more", ())], **how)
    page.button("Start").wait_for(timeout=60_000)
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
    page.wait_for("b.dataset.state === 'done'", 60)
    time.sleep(1)
    page.shot("start-done")
    assert page.points() == 30 and page.board().get_attribute("data-gaps") == "0"
    assert answer < 2000, f"another cell took {answer:.0f} ms"
    print(f"first point after {first * 1000:.0f} ms, another cell in {answer:.0f} ms")


def test_pause_holds_and_stop_ends(notebook):
    page = opened(notebook, "pause")
    page.button("Start").click()
    page.wait_for("+b.dataset.n >= 2")
    page.button("Pause").click()
    page.shot("pause-pressed")
    page.wait_for("b.dataset.state === 'paused'", 5)
    held = page.points()
    time.sleep(1.5)
    assert page.points() == held
    page.button("Go on").click()
    page.wait_for(f"+b.dataset.n > {held}")
    page.button("Stop").click()
    page.wait_for("b.dataset.state === 'stopped'", 5)
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
