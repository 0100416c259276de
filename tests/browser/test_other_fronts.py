"""The lab beyond JupyterLab: Notebook 7 and Voila, real servers and a real browser, from opening to what-if."""

import csv
import importlib.util
import re
import sys

import nbformat
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]
CELLS = ["import fedlab_widgets as fl\nlab = fl.Lab(out='runs')\nlab"]
WIDE = """() => ['html', '.fedlab-lab', '.jp-OutputArea'].map(s => document.querySelector(s))
    .map(e => e.scrollWidth - e.clientWidth)"""
WINDOW = """() => { const a = document.querySelector('.fedlab-lab').closest('.jp-Cell-outputArea');
    return a.scrollHeight - a.clientHeight; }"""
PINNED = "The model did not change. Nobody's prediction changed."


def installed(name: str) -> None:
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed here: pip install {name}")


def write(root, name: str) -> None:
    note = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in CELLS])
    note.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(note, root / f"{name}.ipynb")


@pytest.fixture
def notebook7(front):
    """open(width) -> a notebook of Notebook 7 whose cell has run."""
    installed("notebook")
    root, open_ = front([sys.executable, "-m", "notebook", *front.open,
                         "--JupyterNotebookApp.expose_app_in_browser=True"])
    write(root, "lab")

    def ran(width=1400):
        page = open_("notebooks/lab.ipynb", width)
        page.ready()
        page.page.get_by_text("import fedlab_widgets").first.wait_for()   # the cells come after the kernel, at times
        page.run_all()
        return shown(page)
    return ran


@pytest.fixture
def voila(front):
    """open(query="", width) -> the lab as Voila serves it; `open.root` is the folder it serves."""
    installed("voila")
    root, open_ = front([sys.executable, "-m", "voila", "{root}", "--Voila.ip=127.0.0.1"], ready="/")
    write(root, "lab")

    def opened(query="", width=1400):
        page = open_(f"voila/render/lab.ipynb{query}", width)
        page.page.goto(page.url)
        return shown(page)
    opened.root = root
    return opened


def shown(page):
    page.button("Start").wait_for(timeout=120_000)
    page.wait_for("b.dataset.seq >= 0")
    page.page.get_by_text("10 clients hold 32,561 rows").wait_for(timeout=30_000)
    return page


def from_start_to_what_if(page, name: str) -> None:
    """A change of the form, a "?", a run to its end, and a drag that moves the parts and not the headline."""
    held = page.page.locator(".flc tbody tr").first
    before = held.inner_html()
    page.choose("dirichlet")
    page.page.wait_for_function("html => document.querySelector('.flc tbody tr').innerHTML !== html", arg=before)
    page.choose("by group")
    page.page.wait_for_function("html => document.querySelector('.flc tbody tr').innerHTML === html", arg=before)
    why = page.page.locator(".fl-form button.fl-why").first
    why.focus()
    page.page.keyboard.press("Enter")
    page.page.locator(".fl-help", has_text="Example:").wait_for(timeout=10_000)
    page.page.keyboard.press("Escape")
    page.choose("full speed")
    page.button("Start").click()
    page.wait_for("b.dataset.state === 'done' && b.dataset.n === '30'", 180)
    assert page.data()["gaps"] == "0"
    page.page.get_by_text(PINNED).wait_for(timeout=90_000)
    panel = page.page.locator(".fl-what-if")
    gap = re.search(r"[+−]\d+\.\d\s*percentage points", panel.inner_text())[0]
    panel.get_by_role("button", name=re.compile("by group$")).click()
    slider = panel.locator("input[type=range]").first
    slider.wait_for(timeout=30_000)
    before, at = panel.locator("svg.atoms").inner_html(), slider.bounding_box()
    for x, press in ((0.5, page.page.mouse.down), (0.02, page.page.mouse.up)):
        page.page.mouse.move(at["x"] + x * at["width"], at["y"] + at["height"] / 2, steps=8)
        press()
    page.page.wait_for_function("html => document.querySelector('.fl-what-if .atoms').innerHTML !== html", arg=before)
    page.shot(f"{name}-dragged")
    assert gap in panel.inner_text()


def test_notebook_7(notebook7):
    page = notebook7()
    page.shot("notebook7-opened")
    cells = page.page.locator(".jp-Cell").count()
    page.button("Step").focus()
    for key in "bdd":
        page.page.keyboard.press(key)
    assert page.page.locator(".jp-Cell").count() == cells
    from_start_to_what_if(page, "notebook7")
    page.output("After round 30").wait_for(timeout=30_000)
    page.page.locator(".jp-mod-outputsScrolled").wait_for(timeout=30_000)   # Notebook 7 does this to a tall output …
    assert page.page.evaluate(WINDOW) <= 2, "… and the lab is in a small window"
    page.command("apputils:change-theme", theme="JupyterLab Dark")
    page.wait_for("b.dataset.theme === 'dark'", 30)
    page.shot("notebook7-dark")
    assert page.outside == []


def test_notebook_7_in_a_narrow_window(notebook7):
    page = notebook7(480)
    page.button("Start").click()
    page.wait_for("b.dataset.state === 'done'", 180)
    page.page.get_by_text(PINNED).wait_for(timeout=90_000)
    page.shot("notebook7-480")
    assert max(page.page.evaluate(WIDE)) <= 2


def test_voila(voila):
    page = voila()
    page.shot("voila-opened")
    assert page.page.locator(".jp-InputArea").count() == 0, "Voila shows no code"
    other = voila("?theme=dark", width=480)
    other.wait_for("b.dataset.theme === 'dark'", 30)
    from_start_to_what_if(page, "voila")
    assert other.points() == 0, "every visitor has a kernel of their own"
    other.shot("voila-480-dark")
    assert max(other.page.evaluate(WIDE)) <= 2
    page.page.get_by_role("tab", name="Methods and figures").click()
    page.button("Save the figures").click()
    page.page.get_by_text("a CSV file beside each").wait_for(timeout=120_000)
    assert [*voila.root.glob("runs/*/figures/disparity.csv")]
    # Voila's own page asks a CDN for the icons of buttons; the lab asks for nothing.
    assert [url for url in page.outside if "fontawesome" not in url] == []


def test_voila_takes_a_file(voila, tmp_path):
    table = tmp_path / "people.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([("hours", "sex", "site", "passed"),
                                    *((i % 17, "FM"[i % 2], "abc"[i % 3], ("no", "yes")[i % 5 > 2])
                                      for i in range(600))])
    page = voila()
    page.choose("Your file…")
    with page.page.expect_file_chooser() as chooser:
        page.button("Choose a file.*").click()
    chooser.value.set_files(table)
    page.button("Use these data").click(timeout=60_000)
    page.page.get_by_text("3 clients hold").wait_for(timeout=60_000)
    page.choose("full speed")
    page.button("Start").click()
    page.wait_for("b.dataset.state === 'done' && b.dataset.n === '30'", 120)
    page.page.get_by_text(PINNED).wait_for(timeout=60_000)
    page.shot("voila-file")
