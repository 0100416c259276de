"""A page that cannot show the lab says so: real servers that lack an extension, or have it switched off."""

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser]
CELLS = ["import fedlab_widgets as fl\nlab = fl.Lab(out='runs')\nlab"]
SAID = "No page has shown this lab for 5 s"
SEEN = "[...document.querySelectorAll('.jp-OutputArea-output')].some(o => o.textContent.includes('No page has shown'))"


def another_environment(folder: Path, extensions: list[str]) -> str:
    """The Python of a new environment with the same packages and only these extensions: a hub's server, say."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    here, packages = Path(sys.prefix), next(folder.glob("lib/python*/site-packages"))
    (packages / "all.pth").write_text(sysconfig.get_path("purelib"))
    share = folder / "share/jupyter"
    for name in extensions:
        (share / "labextensions" / name).parent.mkdir(parents=True, exist_ok=True)
        (share / "labextensions" / name).symlink_to(here / "share/jupyter/labextensions" / name)
    share.mkdir(parents=True, exist_ok=True)
    (share / "lab").symlink_to(here / "share/jupyter/lab")
    return str(folder / "bin/python")


@pytest.mark.parametrize("has, lacks, package", [
    (["@jupyter-widgets/jupyterlab-manager"], "anywidget", "anywidget"),
    pytest.param(["anywidget"], "@jupyter-widgets/jupyterlab-manager", "jupyterlab_widgets", marks=pytest.mark.slow)])
def test_a_server_elsewhere_without_an_extension(other_server, tmp_path, has, lacks, package):
    python = another_environment(tmp_path / "hub", has)
    page = other_server(python=python)("missing", CELLS)
    said = page.output(SAID)
    said.wait_for(timeout=60_000)
    text = said.inner_text()
    page.shot(f"front-end-without-{package}")
    assert f"The JupyterLab extension {lacks} is missing in {tmp_path / 'hub'}" in text
    assert f"{python} -m pip install {package}" in text
    assert not any(f"extension {name} is missing" in text for name in has)
    assert "import fedlab_widgets as fl" in text and "fl.run(experiment)" in text
    code = text[text.index("import fedlab_widgets"):]
    page.cell(code.replace("fl.run(experiment)", "fl.run(experiment.changed(rounds=2), progress=False)"))
    page.output("always guessing").locator("table").wait_for(timeout=60_000)   # what a page without plotly shows
    page.shot(f"front-end-in-code-{package}")
    page.kernel("import subprocess, sys\nsaid = subprocess.run([sys.executable, '-m', 'fedlab_widgets', 'doctor'], "
                "capture_output=True, text=True).stdout\n"
                f"assert 'extension {lacks} is missing' in said and 'runs in {tmp_path / 'hub'}' in said, said")


@pytest.mark.parametrize("name", [pytest.param("anywidget", marks=pytest.mark.slow),
                                  "@jupyter-widgets/jupyterlab-manager"])
def test_an_extension_that_is_switched_off(other_server, name):
    start = other_server
    (start.home / "labconfig").mkdir()
    (start.home / "labconfig/page_config.json").write_text(json.dumps({"disabledExtensions": {name: True}}))
    page = start()("off", CELLS)
    page.output(SAID).wait_for(timeout=60_000)
    text = page.output(SAID).inner_text()
    assert f"The JupyterLab extension {name}" in text and "is switched off" in text
    assert f"-m jupyter labextension enable {name}" in text
    page.shot(f"front-end-off-{name.split('/')[-1]}")
    page.kernel("lab.bar.speed.value = 0.0; lab.start(); await lab.wait(120)")
    page.output("After round 30").wait_for(timeout=30_000)
    assert page.output(SAID).is_visible(), "a run cures nothing"


@pytest.mark.slow
def test_nothing_is_said_while_the_kernel_is_busy_nor_when_the_page_answers(notebook):
    page = notebook("busy", [CELLS[0], "import time; time.sleep(7)", "import asyncio; await asyncio.sleep(6)",
                             "print('cells have ended')"])
    page.page.evaluate(f"() => {{ window.alarm = false; setInterval(() => {{ window.alarm ||= {SEEN}; }}, 50); }}")
    page.output("cells have ended").wait_for(timeout=120_000)
    page.page.wait_for_timeout(7000)
    assert page.page.evaluate("() => window.alarm") is False
    page.wait_for("b.dataset.seq >= 0")


@pytest.mark.slow
def test_the_place_is_empty_again_when_a_page_answers_after_all(notebook):
    page = notebook("late", [CELLS[0]], run=False)
    page.kernel("from fedlab_widgets.widgets.board import Board\nasked = Board._asked\nBoard._asked = lambda *a: None")
    page.run_all()
    page.output(SAID).wait_for(timeout=60_000, state="attached")   # hidden: this page has the lab, and is not heard
    assert "Reload the page" in page.output(SAID).text_content()
    page.kernel("lab.board.on_msg(lab.board._asked, remove=True)\nBoard._asked = asked\n"
                "lab.board.on_msg(lab.board._asked)")
    page.command("notebook:create-output-view")   # a second view, which asks anew
    page.page.wait_for_function(f"() => !{SEEN}", timeout=30_000)


@pytest.mark.slow
def test_it_is_hidden_in_a_page_that_was_loaded_again(notebook):
    """JupyterLab forgets which output is which when it loads a saved notebook: nobody can empty the place then."""
    page = notebook("again", [CELLS[0]], run=False)
    page.kernel("from fedlab_widgets.widgets.board import Board\nasked = Board._asked\nBoard._asked = lambda *a: None")
    page.run_all()
    page.output(SAID).wait_for(timeout=60_000, state="attached")
    page.save()
    page.ready()
    page.wait_for("b.dataset.n == 0")
    assert page.output(SAID).count() == 1 and not page.output(SAID).locator("b").is_visible()
