"""A real JupyterLab on a free port and a real Chromium: what a user meets."""

import contextlib
import json
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
QUIET = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False,
                                                         "doNotDisturbMode": True}}
CONNECTED = """() => { const w = window.jupyterapp && window.jupyterapp.shell.currentWidget;
    const s = w && w.sessionContext && w.sessionContext.session;
    return s && s.kernel && s.kernel.connectionStatus === 'connected' && s.kernel.status === 'idle'; }"""
RUN = """async code => {
    const k = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
    const f = k.requestExecute({code, store_history: false}); let out = '';
    f.onIOPub = m => { if (m.header.msg_type === 'stream') out += m.content.text;
                       if (m.header.msg_type === 'error') out += m.content.traceback.join('\\n'); };
    const r = await f.done; if (r.content.status !== 'ok') throw new Error(out); return out; }"""


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def serving(home: Path, command: list[str], ready: str = "/api/status", environment: dict | None = None):
    """(address, root folder) of a server without token on a free port of loopback, gone when the test is.

    command: the program, to which port and root are added; "{root}" in it is the root. `home` is its configuration;
    kernels are those of the environment that runs the tests, so that the two can differ.
    """
    root, kernels = home / "root", home / "d/kernels/python3"
    for folder in (root, kernels):
        folder.mkdir(parents=True, exist_ok=True)
    (kernels / "kernel.json").write_text(json.dumps({
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"], "language": "python",
        "display_name": "Python 3"}))
    own = {"HOME": str(home), "JUPYTER_CONFIG_DIR": str(home), "JUPYTER_DATA_DIR": str(home / "d"),
           "IPYTHONDIR": str(home / "i"), "JUPYTER_RUNTIME_DIR": str(home / "r"), "FEDLAB_FAST": "1"}
    port = free_port()
    command = [*(word.format(root=root) for word in command), "--no-browser", f"--port={port}"]
    with (home / "server.log").open("w") as log:
        process = subprocess.Popen(command, env=os.environ | own | (environment or {}), stdout=log, stderr=log,
                                   cwd=root)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(address + ready, timeout=1)
                break
            time.sleep(0.2)
        else:
            pytest.fail((home / "server.log").read_text()[-2000:])
        yield address, root
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


OPEN = ["--allow-root", "--ServerApp.ip=127.0.0.1", "--ServerApp.port_retries=0", "--IdentityProvider.token=",
        "--ServerApp.disable_check_xsrf=True", "--ServerApp.root_dir={root}",
        "--KernelSpecManager.ensure_native_kernel=False"]   # a throw-away server


def jupyterlab(home: Path, python: str = sys.executable, environment: dict | None = None):
    """(address, root folder) of a JupyterLab without news or updates. python: whose environment the server is."""
    settings = home / "settings"
    settings.mkdir(parents=True, exist_ok=True)
    (settings / "overrides.json").write_text(json.dumps(QUIET))
    return serving(home, [python, "-m", "jupyterlab", *OPEN, "--LabApp.expose_app_in_browser=True",
                          f"--LabApp.app_settings_dir={settings}"], environment=environment)


class Page:
    """A notebook open in JupyterLab. `outside` lists what the page asked for anywhere but on its own server."""

    def __init__(self, page, url: str):
        self.page, self.url, self.outside = page, url, []
        origin = "/".join(url.split("/")[:3])
        own = (origin, "data:", "blob:", origin.replace("http", "ws"))
        note = lambda asked: None if asked.url.startswith(own) else self.outside.append(asked.url)  # noqa: E731
        page.on("request", note)
        page.on("websocket", note)

    def ready(self) -> None:
        """Load the page anew, and wait for its notebook and kernel."""
        self.page.goto(self.url)
        self.page.wait_for_selector(".jp-NotebookPanel .jp-Notebook", timeout=120_000)
        self.page.wait_for_function(CONNECTED, timeout=120_000)

    def command(self, name: str, **arguments) -> None:
        """A command of JupyterLab, waited for."""
        self.page.evaluate("([name, a]) => window.jupyterapp.commands.execute(name, a).then(() => null)",
                           [name, arguments])

    def run_all(self) -> None:
        self.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")

    def cell(self, code: str) -> None:
        """Write a cell beneath the others and run it."""
        self.page.evaluate("""async code => { const { commands, shell } = window.jupyterapp;
            const notebook = shell.currentWidget.content;
            notebook.activeCellIndex = notebook.widgets.length - 1;
            await commands.execute('notebook:insert-cell-below');
            notebook.activeCell.model.sharedModel.setSource(code);
            commands.execute('notebook:run-cell'); }""", code)

    def save(self) -> None:
        self.command("docmanager:save")

    def kernel(self, code: str) -> str:
        """Run code in the notebook's kernel, as another cell would; what it printed. Raises what it raised."""
        return self.page.evaluate(RUN, code)

    def restart_kernel(self) -> None:
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")

    def output(self, text: str):
        return self.page.locator(".jp-OutputArea-output", has_text=text).first

    def button(self, name: str):
        return self.page.locator(".jp-OutputArea-output").get_by_role("button", name=re.compile(f"{name}$")).first

    def choose(self, option: str) -> None:
        """Choose an option in whichever menu of the lab has it."""
        self.page.locator(f".jp-OutputArea-output select:has(option:text-is('{option}'))").first.select_option(
            label=option)

    def board(self):
        return self.page.locator(".jp-OutputArea-output [data-n]").first

    def data(self) -> dict:
        return self.board().evaluate("b => ({...b.dataset})")

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


@contextlib.contextmanager
def opener(chromium, address: str, root: Path):
    """open(name, cells, width=1400) -> Page with all cells run; what was opened is closed, its kernels shut down."""
    import nbformat

    contexts = []

    def open_(name, cells=None, width=1400, height=1000, run=True, scale=1):
        if cells is not None:   # else the notebook is there already
            note = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
            note.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
            nbformat.write(note, root / f"{name}.ipynb")
        context = chromium.new_context(viewport={"width": width, "height": height}, device_scale_factor=scale)
        contexts.append(context)
        page = Page(context.new_page(), f"{address}/lab/tree/{name}.ipynb?reset")
        page.ready()
        if run:
            page.run_all()
        return page

    yield open_
    for context in contexts:
        context.close()
    with urllib.request.urlopen(address + "/api/sessions") as answer:
        sessions = json.load(answer)
    for session in sessions:   # kernels left over would slow the next test down
        request = urllib.request.Request(f"{address}/api/sessions/{session['id']}", method="DELETE")
        with contextlib.suppress(OSError):
            urllib.request.urlopen(request)


@pytest.fixture(scope="module")   # Playwright keeps an event loop running, and later files call asyncio.run
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
    """(address, root folder) of the JupyterLab that most tests share."""
    with jupyterlab(tmp_path_factory.mktemp("lab")) as served:
        yield served


@pytest.fixture
def notebook(chromium, server):
    """open(name, cells, width=1400) -> Page with all cells run."""
    with opener(chromium, *server) as open_:
        yield open_


@pytest.fixture(scope="module")
def shared_notebook(chromium, server):
    """The same, open until the file is done."""
    with opener(chromium, *server) as open_:
        yield open_


@pytest.fixture
def front(chromium, tmp_path):
    """front(command, ready) -> (root folder, open(path, width=1400) -> Page) on a front end other than JupyterLab.

    The page is not loaded yet: `page.ready()` waits for a notebook, `page.page.goto(page.url)` for nothing.
    """
    with contextlib.ExitStack() as stack:
        def start(command, **how):
            address, root = stack.enter_context(serving(tmp_path, command, **how))

            def open_(path, width=1400):
                context = chromium.new_context(viewport={"width": width, "height": 1000})
                stack.callback(context.close)
                return Page(context.new_page(), f"{address}/{path}")
            return root, open_
        start.open = OPEN
        yield start


@pytest.fixture
def other_server(chromium, tmp_path):
    """start(python=…, environment=…) -> open(name, cells), on a JupyterLab of its own; `start.home` is its home."""
    with contextlib.ExitStack() as stack:
        def start(**how):
            return stack.enter_context(opener(chromium, *stack.enter_context(jupyterlab(tmp_path, **how))))
        start.home = tmp_path
        yield start
