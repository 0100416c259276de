"""A real JupyterLab on a free port and a real Chromium: what a user meets."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="session")
def chromium():
    if CHROMIUM is None:
        pytest.skip("no Chromium here: install Debian's package chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """(address, root folder) of a JupyterLab without token, news or updates: a throw-away server on loopback."""
    root = tmp_path_factory.mktemp("lab")
    home = tmp_path_factory.mktemp("home")
    settings = Path(home) / "settings"
    overrides = settings / "overrides.json"
    settings.mkdir()
    overrides.write_text('{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", '
                         '"checkForUpdates": false, "doNotDisturbMode": true}}')
    port = free_port()
    environment = os.environ | {"HOME": str(home), "JUPYTER_CONFIG_DIR": str(home), "JUPYTER_DATA_DIR": str(home / "d"),
                                "FEDLAB_FAST": "1"}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}",
               "--ServerApp.ip=127.0.0.1", "--ServerApp.port_retries=0", "--IdentityProvider.token=",
               "--ServerApp.disable_check_xsrf=True", f"--ServerApp.root_dir={root}",
               "--LabApp.expose_app_in_browser=True", f"--LabApp.app_settings_dir={settings}"]
    with (Path(home) / "server.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=root)
    address = f"http://127.0.0.1:{port}"
    for _ in range(300):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(address + "/api/status", timeout=1)
            break
        time.sleep(0.2)
    else:
        process.kill()
        pytest.fail((Path(home) / "server.log").read_text()[-2000:])
    yield address, root
    process.terminate()
    process.wait(10)


class Page:
    """A notebook open in JupyterLab."""

    def __init__(self, page):
        self.page = page

    def button(self, name: str):
        return self.page.locator(".jp-OutputArea-output").get_by_role("button", name=re.compile(f"{name}$")).first

    def board(self):
        return self.page.locator(".jp-OutputArea-output [data-n]").first

    def wait_for(self, condition: str, seconds: float = 90):
        """Wait until a JavaScript condition on the board element `b` holds."""
        find = "document.querySelector('.jp-OutputArea-output [data-n]')"
        self.page.wait_for_function(f"() => {{ const b = {find}; return b && ({condition}); }}", timeout=seconds * 1000)

    def shot(self, name: str) -> None:
        """Keep a picture for people, when FEDLAB_SHOTS names a folder."""
        if "FEDLAB_SHOTS" in os.environ:
            self.page.screenshot(path=Path(os.environ["FEDLAB_SHOTS"]) / f"{name}.png")

    def points(self) -> int:
        return int(self.board().get_attribute("data-n"))


@pytest.fixture
def notebook(chromium, server):
    """open(name, cells, width=1400, dark=False) -> Page with all cells run."""
    import nbformat

    address, root = server
    contexts = []

    def open_(name, cells, width=1400, height=1000, run=True):
        note = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
        note.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(note, root / f"{name}.ipynb")
        context = chromium.new_context(viewport={"width": width, "height": height})
        contexts.append(context)
        page = context.new_page()
        page.goto(f"{address}/lab/tree/{name}.ipynb?reset")
        page.wait_for_selector(".jp-NotebookPanel .jp-Notebook", timeout=120_000)
        page.wait_for_function("""() => { const w = window.jupyterapp && window.jupyterapp.shell.currentWidget;
            const s = w && w.sessionContext && w.sessionContext.session;
            return s && s.kernel && s.kernel.connectionStatus === 'connected' && s.kernel.status === 'idle'; }""",
                               timeout=120_000)
        if run:
            page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
        return Page(page)

    yield open_
    for context in contexts:
        context.close()
    for session in _get(address + "/api/sessions"):   # kernels left over would slow the next test down
        request = urllib.request.Request(f"{address}/api/sessions/{session['id']}", method="DELETE")
        with contextlib.suppress(OSError):
            urllib.request.urlopen(request)


def _get(url):
    import json

    with urllib.request.urlopen(url) as answer:
        return json.load(answer)
