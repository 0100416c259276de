"""Nothing serious for axe in the lab, light and dark; every control of the page has a "?"; nothing is cut off."""

import re

import pytest

axe_playwright = pytest.importorskip("axe_playwright_python.sync_playwright",
                                     reason="axe-playwright-python is not installed")
pytestmark = [pytest.mark.browser]
CELLS = ["import fedlab_widgets as fl\nlab = fl.Lab()\nlab"]
BARE = """() => [...document.querySelectorAll('.fedlab-lab :is(button, select, input, textarea)')]
    .filter(c => c.checkVisibility() && !c.matches('.fl-why, .flb-why, .flc-why, .fl-section'))
    .filter(c => { for (let e = c; !e.matches('.fedlab-lab'); e = e.parentElement)
        if (e.querySelector(':scope > .fl-why, :scope > .flb-why, :scope > .fl-field > .fl-why')
            || (e.matches('.flc') && e.querySelector('th .flc-why'))) return false;   // the client table's column heads
        return true; })
    .map(c => c.getAttribute('aria-label') || c.textContent || c.outerHTML)"""
OUT = """() => { const lab = document.querySelector('.fedlab-lab'), end = lab.getBoundingClientRect().right + 1;
    const own = e => { for (let p = e.parentElement; p && p !== lab; p = p.parentElement)
        if (p.tabIndex === 0 && /auto|scroll/.test(getComputedStyle(p).overflowX)) return true; return false; };
    const cut = e => e.matches('button, label, a, h3, h4, p, li') && e.scrollWidth > e.clientWidth + 1
        && /hidden|clip/.test(getComputedStyle(e).overflowX) && e.clientWidth > 1;
    return [...lab.querySelectorAll('*:not(.flb-sr)')]
        .filter(e => e.checkVisibility() && e.getBoundingClientRect().width)
        .filter(e => cut(e) || (e.getBoundingClientRect().right > end && !own(e)))
        .map(e => `${e.tagName} ${e.className.baseVal ?? e.className}: ${e.textContent.slice(0, 40)}`); }"""


@pytest.fixture(scope="module")
def page(shared_notebook):
    """The lab after a run, for all tests: every section and a few "?" open, a split chosen."""
    shown = shared_notebook("axe", CELLS, height=3000)
    page = shown.page
    shown.button("Start").wait_for(timeout=120_000)
    shown.wait_for("true")
    page.get_by_role("combobox", name="Speed").select_option(label="full speed")
    shown.button("Start").click()
    shown.wait_for("b.dataset.state === 'done'", 180)
    page.get_by_text("The model did not change. Nobody's prediction changed.").wait_for(timeout=90_000)
    for section in page.locator("button.fl-section").all():
        section.click()
    shown.button("by group").click()
    for name in ("what is clients?", "what is Disparity, in bits?", "what is split?"):
        page.get_by_role("button", name=name).first.click()
    page.locator("button.fl-why.fl-is-open").nth(1).wait_for()
    return shown


def theme(page, name: str) -> None:
    page.evaluate("t => window.jupyterapp.commands.execute('apputils:change-theme', {theme: t})", name)
    light = "false" if "Dark" in name else "true"
    page.wait_for_function("v => document.body.getAttribute('data-jp-theme-light') === v", arg=light)
    page.wait_for_timeout(700)


def serious(page) -> list[str]:
    """What axe finds in the lab: rule, how grave, and the first places."""
    found = axe_playwright.Axe().run(page, context=".fedlab-lab").response["violations"]
    return [f"{v['impact']} {v['id']}: {[n['html'][:120] for n in v['nodes'][:4]]} ({len(v['nodes'])})"
            for v in found if v["impact"] in ("serious", "critical")]


def test_axe_finds_nothing_serious(page):
    assert serious(page.page) == []
    page.shot("axe-light")
    theme(page.page, "JupyterLab Dark")
    page.shot("axe-dark")
    try:
        assert serious(page.page) == []
    finally:
        theme(page.page, "JupyterLab Light")


def test_every_control_of_the_page_has_a_question_mark(page):
    assert page.page.evaluate(BARE) == []
    why = page.page.get_by_role("button", name="what is Convergence?")
    assert why.get_attribute("aria-expanded") == "false"
    why.focus()
    page.page.keyboard.press("Enter")
    assert why.get_attribute("aria-expanded") == "true"
    text = page.page.locator(f"#{why.get_attribute('aria-controls')}").inner_text()
    assert all(word in text for word in ("Convergence.", "Worst client.", "Example:", "Try:"))
    for plot in page.page.locator(".flb-plot").all():
        assert plot.get_by_role("button", name=re.compile("^what is ")).count() == 1
    form = page.page.get_by_role("button", name="what is rounds?")
    form.focus()
    page.page.keyboard.press("Enter")
    page.page.locator("[aria-label='what is rounds?'][aria-expanded=true]").wait_for()
    bar = page.page.get_by_role("progressbar", name="Progress of the run")
    assert bar.get_attribute("aria-valuetext") == "round 30 of 30"


@pytest.mark.parametrize(("width", "sidebar"), [(1920, True), (480, True), (480, False), (320, False)])
def test_nothing_is_cut_off(page, width, sidebar):
    """480 px with the sidebar leaves about 110 px for the lab. Once folded away it stays so: that case comes last."""
    if not sidebar:
        page.page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
    page.page.set_viewport_size({"width": width, "height": 3000})
    page.page.wait_for_timeout(1500)
    page.shot(f"axe-{width}{'-sidebar' * sidebar}")
    assert page.page.evaluate(OUT) == []
