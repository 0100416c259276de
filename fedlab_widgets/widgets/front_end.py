"""What the page needs to show the lab, where it has to be, and a watch that says so when no page answers.

Two extensions of JupyterLab draw the lab. They count in the environment of the Jupyter *server*; a kernel may live in
another one (JupyterHub, kernels of one's own), and then the widgets are complete here and missing there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path

import psutil

NEEDED = {"@jupyter-widgets/jupyterlab-manager": "jupyterlab_widgets", "anywidget": "anywidget"}   # -> pip package
PATIENCE = 5.0     # seconds in which the kernel could have heard a page, and heard none
IN_CODE = "run = fl.run(experiment)\nrun.figure('convergence')"
TICK = 0.25        # seconds between two looks
_SERVER = re.compile(r"(jupyter|jupyterlab|jupyterhub-singleuser|jupyter-(lab|labhub|notebook|server)|notebook)"
                     r"(-script)?(\.py|\.exe)?")


def extensions(prefix: str | Path = sys.prefix) -> dict[str, str | None]:
    """The version of each extension that a server in this environment would load; None where there is none.

    >>> sorted(extensions("/no/such/environment"))
    ['@jupyter-widgets/jupyterlab-manager', 'anywidget']
    """
    from jupyter_core.paths import jupyter_path

    found: dict[str, str | None] = dict.fromkeys(NEEDED)
    for folder in _seen_from(prefix, jupyter_path("labextensions")):
        for name in NEEDED:
            found[name] = found[name] or _json(folder / name / "package.json").get("version")
    return found


def switched_off(prefix: str | Path = sys.prefix) -> set[str]:
    """Which of the extensions `jupyter labextension disable` has switched off for a server in this environment."""
    from jupyter_core.paths import jupyter_config_path

    off: dict[str, bool] = {}
    for folder in reversed(_seen_from(prefix, jupyter_config_path())):   # the first one has the last word
        folder /= "labconfig"
        for file in (*sorted(folder.glob("page_config.d/*.json")), folder / "page_config.json"):
            said = _json(file).get("disabledExtensions", {})
            off |= said if isinstance(said, dict) else dict.fromkeys(said, True)
    return {name for name in NEEDED for said, yes in off.items() if yes and said.split(":")[0] == name}


def server() -> Path | None:
    """The environment of the Jupyter server that this process runs under; None where none can be seen."""
    for process in psutil.Process().parents():
        try:
            words, path = process.cmdline(), process.environ().get("PATH")
        except psutil.Error:   # another user's, or gone
            continue
        if any(_SERVER.fullmatch(Path(word).name) for word in words[:4]):
            return _environment(words[0], path)
    return None


def findings() -> Iterator[tuple[bool, str, str]]:
    """(good, what was found, "command; what follows" if it is not good): for `fedlab doctor`, and above a lab."""
    found = server()
    where = found or Path(sys.prefix)
    if not _same(where, sys.prefix):
        yield True, (f"JupyterLab's server runs in {where}, this kernel in {sys.prefix}: the server's extensions "
                     "count"), ""
    elif found is None and any(name.startswith("JUPYTERHUB_") for name in os.environ):
        yield True, f"JupyterHub: the server's extensions count, and from {sys.prefix} its environment is not seen", ""
    off, python = switched_off(where), _python(where)
    for name, version in extensions(where).items():
        if version is None:
            yield False, f"the JupyterLab extension {name} is missing in {where}", (
                f"{python} -m pip install {NEEDED[name]}; restart JupyterLab (JupyterHub: File, Hub Control Panel, "
                "Stop My Server, Start My Server) and reload the page")
        elif name in off:
            yield False, f"the JupyterLab extension {name} {version} is switched off", (
                f"{python} -m jupyter labextension enable {name}; reload the page")
        else:
            yield True, f"JupyterLab extension {name} {version} in {where}", ""


def message(code: str) -> str:
    """What to say above a lab that no page has shown, as HTML; `code` makes the experiment in Python."""
    wrong = [(what, *remedy.partition("; ")[::2]) for good, what, remedy in findings() if not good]
    if "google.colab" in sys.modules:
        manager = "from google.colab import output; output.enable_custom_widget_manager()"
        advice = [_step("Google Colab shows widgets of others once you have run", manager, "run this cell again")]
    elif "VSCODE_PID" in os.environ or "VSCODE_CWD" in os.environ:
        advice = [_step("VS Code shows widgets once its settings hold",
                        '"jupyter.widgetScriptSources": ["jsdelivr.com", "unpkg.com"]', "restart the kernel")]
    elif wrong:
        advice = [_step(f"{what[0].upper()}{what[1:]}. Run in a terminal", *rest) for what, *rest in wrong]
    else:
        advice = [f"Both extensions it needs are in {escape(str(server() or sys.prefix))}. Reload the page: one that "
                  "was open before they were installed does not have them. Where the server runs in another "
                  f"environment (JupyterHub), run there <code>pip install {' '.join(NEEDED.values())}</code>."]
    return ('<div role="status" class="fedlab-front-end" style="border-left:4px solid #D55E00;padding:4px 12px;'
            f'margin:8px 0;max-width:60em"><b>No page has shown this lab for {PATIENCE:.0f} s.</b>'
            f'{"".join(f"<p>{text}</p>" for text in advice)}<p>The same in code, which needs no widgets:</p>'
            f"<pre>{escape(code.strip())}\n{IN_CODE}</pre></div>")


def watch(board, code: Callable[[], str]) -> None:
    """Make a place in the notebook, and say there what is missing once no page has answered for `PATIENCE` seconds.

    To be called where the lab is displayed, before it. board: `board.answered` is an event, set when a page was heard.
    code: gives the experiment as Python. The place is an ordinary output, since widgets are what may be missing; it is
    empty again when a page answers. Outside a kernel nothing is watched.
    """
    from IPython import get_ipython
    from IPython.display import display

    shell = get_ipython()
    if getattr(shell, "kernel", None) is not None:
        place = display(_bundle(""), raw=True, display_id=True)
        cells = _Cells(shell)   # now, while the cell that shows the lab is running
        threading.Thread(target=_wait, args=(board, code, place, cells), daemon=True, name="fedlab front end").start()


def _wait(board, code: Callable[[], str], place, cells: _Cells) -> None:
    def heard(seconds: float) -> bool:   # or nobody will be: the lab was closed
        return board.answered.wait(seconds) or board.comm is None

    free = 0.0
    while free < PATIENCE and not heard(TICK):
        free = 0.0 if cells.running else free + TICK   # a kernel that runs a cell hears no page
    cells.forget()
    if free < PATIENCE:
        return
    place.update(_bundle(message(code())), raw=True)
    while not heard(1.0):
        pass
    place.update(_bundle(""), raw=True)


class _Cells:
    """Whether a cell is running in this kernel."""

    def __init__(self, shell):
        self.running, self._events = True, shell.events
        self._events.register("pre_execute", self._begins)
        self._events.register("post_execute", self._ends)

    def _begins(self) -> None:
        self.running = True

    def _ends(self) -> None:
        self.running = False

    def forget(self) -> None:
        self._events.unregister("pre_execute", self._begins)
        self._events.unregister("post_execute", self._ends)


def _step(when: str, command: str, then: str) -> str:
    return f"{escape(when)}:<br><code>{escape(command)}</code><br>then {escape(then)}."


def _bundle(html: str) -> dict[str, str]:
    return {"text/html": html, "text/plain": ""}


def _seen_from(prefix: str | Path, folders: list[str]) -> list[Path]:
    """Jupyter's search path as a process in another environment has it."""
    here = Path(sys.prefix)
    return [Path(prefix) / Path(f).relative_to(here) if Path(f).is_relative_to(here) else Path(f) for f in folders]


def _json(file: Path) -> dict:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _environment(python: str, path: str | None) -> Path | None:
    """The environment of a Python as its command line names it. Links are not followed: a venv is made of them."""
    found = shutil.which(python, path=path)
    if found is None:
        return None
    folder = Path(found).absolute().parent
    return folder.parent if folder.name in ("bin", "Scripts") else folder


def _python(where: Path) -> Path:
    """How to call the Python of an environment."""
    if _same(where, sys.prefix):
        return Path(sys.executable)
    return next((p for p in (where / "bin/python", where / "Scripts/python.exe", where / "python.exe") if p.exists()),
                where / "bin/python")


def _same(one: str | Path, other: str | Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)
