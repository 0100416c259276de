"""Every supported ipykernel: open, Start, another cell, Pause, Stop; and what a click does while a cell is busy.

Versions differ in which thread hears the page (a subshell in 7.1 to 7.3, the main thread before and after), so a click
during a busy cell is answered at once or when the cell ends. Both are right; nothing may hang or be lost.
"""

import json
import os
import subprocess
import sys
import time

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]
CELLS = ["import fedlab_widgets as fl\nlab = fl.Lab(out='runs-kernels')\nlab"]
CELL = """async code => { const k = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
    const began = performance.now(); await k.requestExecute({code}).done; return performance.now() - began; }"""
CLICK = """name => [...document.querySelectorAll('.jp-OutputArea-output button')]
    .find(b => b.textContent.trim() === name).click()"""


@pytest.mark.parametrize("version", ["6.31.0", "7.3.0", "7.4.0"])
def test_the_lab_on(version, other_server, tmp_path):
    where = tmp_path / "ipykernel"
    done = subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", where,
                           f"ipykernel=={version}", "nest_asyncio"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"ipykernel {version} cannot be had here: {done.stderr[-200:]}")
    path = os.pathsep.join(filter(None, [str(where), os.environ.get("PYTHONPATH")]))
    page = other_server(environment={"PYTHONPATH": path})("kernels", CELLS)
    page.button("Start").wait_for(timeout=120_000)
    page.wait_for("b.dataset.seq >= 0")
    found = page.kernel("import ipykernel, threading; print(ipykernel.__version__)").strip()
    assert found == version
    page.kernel("heard = []\n"
                "lab.bar.buttons['pause'].on_click(lambda _: heard.append(threading.current_thread().name))")
    page.choose("slow (about 30 s)")
    page.button("Start").click()
    page.wait_for("+b.dataset.n >= 1")
    answer = page.page.evaluate(CELL, "1 + 1")
    assert answer < 5000, "another cell waited for the run"
    page.button("Pause").click()
    page.wait_for("b.dataset.state === 'paused'", 30)
    held = page.points()
    time.sleep(1)
    assert page.points() == held
    page.button("Go on").click()
    page.wait_for(f"+b.dataset.n > {held}")
    waits = {name: busy(page, code) for name, code in (("time.sleep(4)", "import time; time.sleep(4)"),
                                                       ("await asyncio.sleep(4)",
                                                        "import asyncio; await asyncio.sleep(4)"))}
    page.button("Stop").click()
    page.wait_for("b.dataset.state === 'stopped'", 30)
    assert page.points() < 30 and page.data()["gaps"] == "0"
    threads = set(json.loads(page.kernel("import json; print(json.dumps(heard))")))
    print(f"ipykernel {version}: handlers on {sorted(threads)}, another cell in {answer:.0f} ms, Pause during "
          + ", ".join(f"{code}: {ms:.0f} ms" for code, ms in waits.items()))


def busy(page, code: str) -> float:
    """From pressing Pause, one second into a busy cell of four, to its effect on the screen, ms; goes on again."""
    page.page.evaluate("code => { window.busy = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"
                       ".requestExecute({code}).done; }", code)
    page.page.wait_for_timeout(1000)
    before, began = page.points(), time.monotonic()
    page.page.evaluate(CLICK, "Pause")
    page.wait_for("b.dataset.state === 'paused'", 30)
    took = 1000 * (time.monotonic() - began)
    assert page.points() >= before
    page.page.evaluate("() => window.busy.then(() => null)")
    page.page.evaluate(CLICK, "Go on")
    page.wait_for(f"b.dataset.state === 'running' && +b.dataset.n > {page.points()}", 30)
    return took
