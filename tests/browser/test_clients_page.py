"""The client table in a real JupyterLab: ticks reach the kernel, keys do no harm, and a narrow page holds it."""

import re

import pytest

pytestmark = [pytest.mark.browser]
CELL = """import fedlab_widgets as fl
from fedlab_widgets.widgets.clients import ClientTable
from fedlab_widgets.widgets.form import Form
from fedlab_widgets.widgets.preview import Preview
form = Form(fl.Experiment())
table = ClientTable(lambda changes: form.host.submit_all(changes, "clients"))
def follow(_=None, **how):
    table.show(form.experiment, Preview.of(form.experiment), **how)
form.observe(follow, "experiment")
follow()
table"""


def kernel(page, code: str) -> str:
    """Run code in the notebook's kernel; what it printed."""
    return page.page.evaluate("""async (code) => {
        const k = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
        let out = ''; const f = k.requestExecute({code});
        f.onIOPub = (m) => { if (m.header.msg_type === 'stream') out += m.content.text;
                             if (m.header.msg_type === 'error') out += m.content.traceback.join('\\n'); };
        await f.done; return out; }""", code).strip()


def opened(notebook, name, **how):
    page = notebook(name, [CELL], **how)
    page.page.locator(".flc tbody tr").first.wait_for(timeout=120_000)
    return page


def box(page, name):
    return page.page.get_by_role("checkbox", name=name, exact=True)


def test_ticks_reach_the_kernel_and_come_back(notebook):
    page = opened(notebook, "clients")
    page.shot("light")
    assert page.page.locator(".flc tbody tr").count() == 10
    mix = page.page.locator(".flc-mix").first
    sizes, labels = (kernel(page, f"print(*Preview.of(form.experiment).{what}[0].tolist())").split()
                     for what in ("sizes[None]", "labels"))
    share = round(100 * int(labels[1]) / int(sizes[0]))
    assert f">50K {labels[1]} ({share} %)" in mix.get_attribute("aria-label")
    mix.hover(position={"x": mix.bounding_box()["width"] - 3, "y": 5})
    assert mix.get_attribute("title") == f"client 0: >50K {labels[1]} ({share} %)"
    box(page, "client 3 takes part").uncheck()
    page.page.get_by_text("9 of 10 take part; nobody lies.").wait_for()
    box(page, "client 7 lies").check()
    page.page.get_by_text("9 of 10 take part; 1 lies (sign flip).").wait_for()
    page.shot("light-chosen")
    assert kernel(page, "print(form.experiment.schedule.clients, form.experiment.attack)") == (
        "(0, 1, 2, 4, 5, 6, 7, 8, 9) liars=(7,) scale=1.0")
    kernel(page, "form.show(form.experiment.changed(**{'partition.clients': 5}))")
    page.page.get_by_text("Clients 5, 6, 7, 8 and 9 are gone: there are 5 clients now. Nobody lies now.").wait_for()
    assert page.page.locator(".flc tbody tr").count() == 5
    page.page.get_by_role("button", name="all take part").click()
    page.page.get_by_text("All take part; nobody lies.").wait_for()
    assert kernel(page, "print(form.experiment.schedule.clients, form.experiment.attack)") == "None None"


def test_the_last_one_stays_in_and_its_box_says_so(notebook):
    page = opened(notebook, "last")
    kernel(page, "form.show(form.experiment.changed(**{'schedule.clients': (4,)}))")
    page.page.get_by_text("1 of 10 takes part").wait_for()
    box(page, "client 4 takes part").click()
    page.page.get_by_text("At least one client must take part.").wait_for()
    assert box(page, "client 4 takes part").is_checked()


def test_keys(notebook):
    page = opened(notebook, "keys-clients")
    cells = page.page.locator(".jp-Cell").count()
    box(page, "client 0 takes part").focus()
    for key in ("ArrowDown", "ArrowDown", "Space", "b", "d", "d"):
        page.page.keyboard.press(key)
    page.page.get_by_text("9 of 10 take part").wait_for()
    assert kernel(page, "print(2 in form.experiment.schedule.clients)") == "False"
    assert page.page.locator(".jp-Cell").count() == cells and page.page.locator(".flc").count() == 1
    page.page.get_by_role("button", name="what is liar?").press("Enter")
    page.page.get_by_text(re.compile("A liar is a client")).wait_for()
    page.page.keyboard.press("Escape")
    assert not page.page.locator(".flc-help").is_visible()


def test_sorting_and_many_clients(notebook):
    page = opened(notebook, "many")
    kernel(page, "form.show(fl.Experiment(task=fl.Digits(), partition=fl.Dirichlet(clients=300, alpha=0.1)))")
    page.page.get_by_text("200 of 300 clients are shown, the first in this order.").wait_for()
    page.page.get_by_role("button", name="rows", exact=True).click()
    head = page.page.get_by_role("columnheader", name="rows")
    page.page.wait_for_function("() => document.querySelector('.flc th[aria-sort=descending]') && "
                                "document.querySelector('.flc tbody[aria-busy=false]')")   # rows out of sight as well
    sizes = [int(text) for text in page.page.locator(".flc-size span").all_inner_texts()]
    page.shot("many")
    assert head.get_attribute("aria-sort") == "descending" and sizes == sorted(sizes, reverse=True)
    assert sizes[0] == int(kernel(page, "print(int(Preview.of(form.experiment).sizes.max()))"))


def test_the_rows_in_view_are_drawn_first_and_the_others_follow(notebook):
    page = opened(notebook, "in-view")
    kernel(page, "form.show(fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=150)))")
    page.page.wait_for_function("() => document.querySelectorAll('.flc tbody tr').length === 150 && "
                                "document.querySelector('.flc tbody[aria-busy=false]')")
    page.page.locator(".flc-box").evaluate("b => b.scrollTop = b.scrollHeight / 2")
    page.page.evaluate("""() => { const body = document.querySelector('.flc tbody'); window.first = null;
        const said = () => [...body.rows].map((r) => r.querySelector('.flc-size span').textContent);
        new MutationObserver(() => { if (body.ariaBusy === 'true') window.first ??= said(); })
            .observe(body, {attributes: true}); }""")
    kernel(page, "form.show(form.experiment.changed(partition=fl.Dirichlet(clients=150, alpha=0.5, min_rows=0)))")
    page.page.wait_for_function("() => window.first && document.querySelector('.flc tbody[aria-busy=false]')")
    first, sizes = page.page.evaluate("() => window.first"), page.page.locator(".flc-size span").all_inner_texts()
    want = kernel(page, "print(*Preview.of(form.experiment).sizes.tolist())").split()
    assert sizes == want and first != want
    top = page.page.locator(".flc-box").evaluate(
        "b => Math.floor(b.scrollTop / b.querySelector('tbody tr').offsetHeight)")
    assert first[top:top + 14] == want[top:top + 14]


def test_nothing_overflows_in_a_narrow_window(notebook):
    page = opened(notebook, "narrow", width=480)
    page.page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
    kernel(page, "form.show(form.experiment.changed(**{'attack': fl.SignFlip()}));"
                 "follow(accuracy=[0.8 + i / 100 for i in range(10)])")
    page.page.locator(".flc tbody td", has_text="84.0 %").wait_for()
    page.shot("narrow-480")
    assert too_wide(page) == []
    kernel(page, "table.layout.width = '290px'")   # what is left of a window of 320; JupyterLab itself hides the page
    page.page.wait_for_function("() => document.querySelector('.flc').clientWidth <= 290")
    page.shot("narrow-320")
    assert too_wide(page) == []


def too_wide(page) -> list[str]:
    """What sticks out of the widget; the table may, inside its own box."""
    return page.page.evaluate("""() => { const r = document.querySelector('.flc'), b = r.querySelector('.flc-box');
        const end = r.getBoundingClientRect().right + 1;
        return [...r.querySelectorAll('*')].filter((e) => !b.contains(e) || e === b)
            .filter((e) => e.getBoundingClientRect().right > end).map((e) => e.className || e.tagName); }""")


def test_a_partition_that_cannot_be_is_a_sentence_and_no_table(notebook):
    page = opened(notebook, "refused")
    kernel(page, "table.refuse('There are more clients than rows.')")
    page.page.get_by_text("There are more clients than rows.").wait_for()
    region = page.page.get_by_role("region", name="Clients", exact=True)
    assert not region.is_visible() and not page.page.get_by_role("button", name="all take part").is_visible()
    kernel(page, "follow()")
    region.wait_for()
    assert page.page.locator(".flc tbody tr").count() == 10
