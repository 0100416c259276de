"""What a lab survives: a page that is loaded again, a cell that is run again, a kernel that is not there any more."""

import json
import re
import time

import nbformat
import pytest

pytestmark = [pytest.mark.browser]
CELL = "import fedlab_widgets as fl\nlab = fl.Lab(out='runs-{name}')\nlab"
FOLDERS = "import os; print(len(os.listdir('runs-{name}')))"


@pytest.fixture
def lab(notebook):
    """open(name) -> a page whose only cell shows a lab that the page has heard from."""
    def open_(name, *more, **how):
        page = notebook(name, [CELL.format(name=name), *more], **how)
        page.button("Start").wait_for(timeout=120_000)
        page.wait_for("b.dataset.seq >= 0")
        return page
    return open_


def whole(page) -> None:
    """The page shows every round that the kernel recorded, and the kernel recorded what the run has."""
    page.wait_for("b.dataset.state === 'done'", 180)
    rounds = json.loads(page.kernel("import json; print(json.dumps([r['round'] for r in lab.board.table()]))"))
    assert rounds == list(range(1, 31)) and page.points() == 30
    page.page.locator(".flb").get_by_role("button", name=re.compile("Convergence")).first.click()   # its table
    assert page.page.get_by_role("region", name="Convergence").get_by_role("row").count() == 31


def test_a_page_loaded_again_after_saving_shows_the_run_and_goes_on(lab):
    page = lab("saved")
    page.choose("slow (about 30 s)")
    page.button("Start").click()
    page.wait_for("+b.dataset.n >= 5")
    page.save()
    began = time.monotonic()
    page.ready()
    loaded = time.monotonic()
    page.wait_for("+b.dataset.n >= 6")
    back = page.points()
    later = time.monotonic() - loaded
    print(f"page loaded in {loaded - began:.1f} s, the board back {later:.1f} s later at round {back}")
    page.wait_for(f"+b.dataset.n > {back}")
    page.shot("reload-saved")
    page.kernel("lab.runner.seconds_a_round = 0")
    whole(page)
    print(f"gaps repaired after the reload: {page.data()['gaps']}")
    assert page.kernel(FOLDERS.format(name="saved")).strip() == "1"


def test_widgets_hear_a_page_after_the_one_they_answered_last_has_gone(lab):
    """What ipykernel 7.4.0 notes of a page whose subshell was deleted since (see widgets/hearing.py)."""
    page = lab("gone")
    page.kernel("import ipywidgets\nfor x in list(ipywidgets.widgets.widget._instances.values()):\n"
                "    x.comm._reply_subshell_id = 'gone'")
    page.button("Start").click()
    page.wait_for("+b.dataset.n >= 1", 30)


@pytest.mark.slow
def test_a_page_loaded_again_unsaved_gets_the_same_run_back_by_its_cell(lab):
    page = lab("unsaved")
    page.choose("slow (about 30 s)")
    page.button("Start").click()
    page.wait_for("+b.dataset.n >= 5")
    page.ready()
    assert page.page.locator("[data-n]").count() == 0, "the notebook was not saved, so its outputs are gone"
    page.run_all()
    page.wait_for("+b.dataset.n >= 6 && b.dataset.state === 'running'")
    page.shot("reload-unsaved")
    page.kernel("lab.runner.seconds_a_round = 0")
    whole(page)
    assert page.kernel(FOLDERS.format(name="unsaved")).strip() == "1", "a second run was started"


@pytest.mark.parametrize("state", ["running", pytest.param("idle", marks=pytest.mark.slow),
                                   pytest.param("done", marks=pytest.mark.slow)])
def test_a_restarted_kernel_is_said_and_the_cell_gives_a_new_lab(lab, state):
    page = lab(f"restart-{state}")
    if state != "idle":
        page.choose("slow (about 30 s)" if state == "running" else "full speed")
        page.button("Start").click()
        page.wait_for(f"b.dataset.state === '{state}' && +b.dataset.n >= 3", 180)
    page.restart_kernel()
    began = time.monotonic()
    page.page.locator(".flb-lost", has_text="run this cell again").first.wait_for(timeout=30_000)
    after = time.monotonic() - began
    print(f"{state}: said {after:.1f} s after the restart")
    page.shot(f"restart-{state}")
    assert after <= 16
    page.run_all()
    page.page.wait_for_function("() => { const b = document.querySelector('[data-n]'); "
                                "return b && b.dataset.seq >= 0 && b.dataset.n === '0'; }", timeout=90_000)
    assert not page.page.locator(".flb-lost").first.is_visible()
    page.choose("full speed")
    page.button("Start").click()
    page.wait_for("+b.dataset.n >= 3")


def nothing_else(page) -> None:
    """No reader begins with the words of a widget that found no kernel."""
    error = page.page.get_by_text("model not found")
    error.wait_for(state="attached", timeout=60_000)
    assert not error.is_visible()


def test_the_picture_of_a_run_is_in_the_file_and_shows_without_its_kernel(lab, server):
    page = lab("picture")
    page.choose("full speed")
    page.button("Start").click()
    page.output("After round 30").wait_for(timeout=180_000)
    page.page.wait_for_timeout(1500)   # the panels that come with the end
    page.save()
    address, root = server
    file = root / "picture.ipynb"
    outputs = [o for c in nbformat.read(file, 4).cells for o in c.get("outputs", ())]
    html = [o.data["text/html"] for o in outputs if "After round 30" in o.get("data", {}).get("text/html", "")]
    print(f"saved notebook: {file.stat().st_size / 1000:.0f} kB, the picture {len(html[0]) / 1000:.0f} kB of it")
    assert len(html) == 1 and "<svg" in html[0] and file.stat().st_size <= 300_000
    page.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    page.page.goto("about:blank")
    page.ready()   # a kernel that has run nothing
    page.output("After round 30").wait_for(timeout=30_000)
    picture = page.output("After round 30").locator("svg").first
    picture.scroll_into_view_if_needed()
    page.shot("picture-without-kernel")
    box = picture.bounding_box()
    assert box["width"] > 300 and box["height"] > 100
    nothing_else(page)
    assert page.kernel("print('lab' in globals())").strip() == "False"


PANEL = """import fedlab_widgets as fl
panel = fl.WhatIf.of(fl.run(fl.Experiment(rounds=3), out='runs-panel', progress=False))
panel"""


def test_a_panel_alone_leaves_a_picture_that_only_a_page_without_it_shows(notebook):
    page = notebook("panel", [PANEL], height=1600)
    live, still = page.page.locator(".fl-what-if"), page.page.locator(".fl-what-if-still")
    live.wait_for(timeout=120_000)
    still.wait_for(state="attached")
    assert not still.is_visible()
    page.page.get_by_role("button", name="by group").click()
    page.page.locator(".fl-what-if-still", has_text="by group, skew").wait_for(state="attached")
    page.shot("panel-alive")
    page.save()
    page.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    page.page.goto("about:blank")
    page.ready()   # a kernel that has run nothing
    still.wait_for(timeout=30_000)
    assert live.count() == 0 and "by group, skew = 0.9" in still.inner_text()
    nothing_else(page)
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        page.command("apputils:change-theme", theme=theme)
        page.page.wait_for_timeout(500)
        still.scroll_into_view_if_needed()
        page.shot(f"panel-picture-{theme.split()[1].lower()}")
        ink, ground = still.locator(".fl-fair").first.evaluate(
            "e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]")
        bright = lambda colour: sum(float(v) for v in re.findall(r"[\d.]+", colour)[:3])  # noqa: E731
        assert (bright(ink) > bright(ground)) == ("Dark" in theme), (ink, ground)


def test_two_pages_show_the_same_lab(lab, notebook):
    page = lab("two")
    page.save()
    page.choose("slow (about 30 s)")
    other = notebook("two", run=False)
    other.wait_for("b.dataset.seq >= 0")
    other.button("Start").click()
    for one in (page, other):
        one.wait_for("+b.dataset.n >= 4 && b.dataset.state === 'running'")
    page.button("Pause").click()
    other.wait_for("b.dataset.state === 'paused'", 30)
    other.shot("two-pages-second")
    other.button("Stop").click()
    for one in (page, other):
        one.wait_for("b.dataset.state === 'stopped'", 30)
    assert page.points() == other.points() and page.data()["gaps"] == other.data()["gaps"] == "0"
    assert page.kernel(FOLDERS.format(name="two")).strip() == "1"
