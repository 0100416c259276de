"""The menus of the form in a page: groups, what cannot be chosen and why, by keyboard alone, in a narrow window."""

import re

import pytest

pytestmark = pytest.mark.browser
CELL = "import fedlab_widgets as fl\nlab = fl.Lab(fl.recipe('dp-fedavg'))\nlab"
OPTIONS = """s => [...s.options].map(o => ({text: o.textContent, off: o.disabled, why: o.title,
    group: o.parentElement.label || ''}))"""


def test_menus_have_groups_and_say_what_cannot_be_chosen(notebook):
    shown = notebook("menus", [CELL], height=2400)
    page = shown.page
    page.locator(".fl-section", has_text=re.compile("^Advanced")).click()
    menu = page.get_by_role("combobox", name="aggregator")
    menu.locator("option", has_text=re.compile("^krum ")).wait_for(state="attached")
    options = {option["text"]: option for option in menu.evaluate(OPTIONS)}
    assert options["mean"] == {"text": "mean", "off": False, "why": "", "group": "Averages"}
    krum = options["krum (not with gaussian)"]
    assert krum["off"] and krum["group"] == "Robust to liars" and "privatise = gaussian cannot" in krum["why"]
    assert menu.evaluate("s => s.selectedOptions[0].textContent") == "mean"

    why = page.locator(".fl-slot", has=menu).locator("summary").last   # the same without a mouse
    why.focus()
    page.keyboard.press("Enter")
    reasons = page.locator(".fl-slot", has=menu).locator(".fl-refused li").first
    reasons.wait_for()
    assert "krum" in reasons.inner_text() and "no known bound" in reasons.inner_text()
    shown.shot("menus")

    page.locator(".fl-section", has_text=re.compile("^Privacy")).click()
    page.get_by_role("combobox", name="privacy").select_option(label="none")
    menu.locator("option", has_text=re.compile("^krum$")).wait_for(state="attached")
    menu.focus()   # now it is free
    page.keyboard.type("krum")
    page.locator(".fl-says", has_text="Keep the row, or the few rows").wait_for()
    assert shown.kernel("print(lab.experiment.aggregate.name, lab.experiment.privatise)").split() == ["krum", "None"]

    page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
    page.set_viewport_size({"width": 520, "height": 2400})
    page.wait_for_timeout(500)
    box, lab = menu.bounding_box(), page.locator(".fedlab-lab").bounding_box()
    assert box["width"] > 120 and box["x"] + box["width"] <= lab["x"] + lab["width"] + 1
    shown.shot("menus-narrow")
