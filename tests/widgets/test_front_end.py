"""Which extensions a page needs and where; and the watch that says so, on a kernel without a browser."""

import json
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest

from fedlab_widgets.widgets import front_end


def environment(folder: Path, **versions: str) -> Path:
    """An environment with these extensions, by package name."""
    for name, package in front_end.NEEDED.items():
        if package in versions:
            place = folder / "share/jupyter/labextensions" / name
            place.mkdir(parents=True)
            (place / "package.json").write_text(json.dumps({"name": name, "version": versions[package]}))
    return folder


@pytest.fixture(autouse=True)
def nothing_of_the_user(tmp_path, monkeypatch):
    """Search paths that hold nothing but the environments of a test."""
    for name in ("JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "user"))
    monkeypatch.delenv("JUPYTER_PATH", raising=False)


def test_versions_are_those_of_the_environment_asked_for(tmp_path):
    there = environment(tmp_path / "hub", jupyterlab_widgets="5.0.1")
    assert front_end.extensions(there) == {"@jupyter-widgets/jupyterlab-manager": "5.0.1", "anywidget": None}
    assert all(front_end.extensions().values()), "this environment has both: the project depends on them"


@pytest.mark.parametrize("said, off", [
    ({"anywidget": True}, {"anywidget"}), ({"anywidget": False}, set()), (["anywidget"], {"anywidget"}),
    ({"@jupyter-widgets/jupyterlab-manager:plugin": True}, {"@jupyter-widgets/jupyterlab-manager"}),
    ({"anywidgets-friend": True}, set())])
def test_what_is_switched_off(tmp_path, said, off):
    place = tmp_path / "hub/etc/jupyter/labconfig"
    place.mkdir(parents=True)
    (place / "page_config.json").write_text(json.dumps({"disabledExtensions": said}))
    assert front_end.switched_off(tmp_path / "hub") == off


def test_a_server_in_another_environment_is_named_with_the_remedy(tmp_path, monkeypatch):
    hub = environment(tmp_path / "hub", jupyterlab_widgets="5.0.1")
    monkeypatch.setattr(front_end, "server", lambda: hub)
    lines = list(front_end.findings())
    assert lines[0][0] and f"server runs in {hub}, this kernel in {sys.prefix}" in lines[0][1]
    assert [good for good, *_ in lines[1:]] == [True, False]
    assert f"anywidget is missing in {hub}" in lines[2][1]
    assert lines[2][2].startswith(f"{hub}/bin/python -m pip install anywidget; restart JupyterLab")
    said = front_end.message("import fedlab_widgets as fl\n\nexperiment = fl.Experiment(name='<b>')")
    assert "jupyterlab-manager 5.0.1" not in said and "run = fl.run(experiment)" in said and "&lt;b&gt;" in said


def test_a_hub_whose_server_is_not_seen(monkeypatch):
    monkeypatch.setattr(front_end, "server", lambda: None)
    monkeypatch.setenv("JUPYTERHUB_USER", "ada")
    assert "JupyterHub" in next(front_end.findings())[1]


@pytest.mark.parametrize("words, is_server", [
    (["/hub/bin/python", "/hub/bin/jupyter-labhub", "--port=1"], True), (["python", "-m", "jupyterlab"], True),
    (["/hub/bin/python3.11", "/hub/bin/jupyterhub-singleuser"], True), (["python", "-m", "jupyter", "lab"], True),
    (["python", "-m", "ipykernel_launcher", "-f", "/home/a/.local/share/jupyter/runtime/kernel-1.json"], False),
    (["vim", "jupyter.txt"], False), (["bash"], False)])
def test_what_counts_as_a_server(words, is_server):
    assert any(front_end._SERVER.fullmatch(Path(word).name) for word in words[:4]) == is_server


@pytest.mark.parametrize("variable, words", [("VSCODE_PID", "jupyter.widgetScriptSources"),
                                             ("NOTHING_OF_THE_KIND", "Reload the page")])
def test_words_for_each_front_end(monkeypatch, variable, words):
    for name in ("VSCODE_PID", "VSCODE_CWD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "1")
    assert words in front_end.message("")


def test_words_for_colab(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", object())
    assert "enable_custom_widget_manager()" in front_end.message("")


WATCHED = """import threading
from IPython.display import display
from fedlab_widgets.widgets.front_end import watch
class Board:
    answered, comm = threading.Event(), object()
watch(Board, lambda: "experiment = fl.Experiment()")"""

# nbclient ends with the last cell: this one lets go of the kernel, as if nobody ran a cell for 6 s.
IDLE = "import asyncio; get_ipython().events.trigger('post_execute')\nawait asyncio.sleep(6)"


def executed(*cells) -> list[str]:
    """The HTML outputs of the first cell, after all have run without a page."""
    note = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    nbclient.NotebookClient(note, timeout=60, kernel_name="python3").execute()
    return ["".join(o.data.get("text/html", "")) for o in note.cells[0].outputs if "data" in o]


def test_a_busy_kernel_is_no_alarm_and_an_idle_one_is():
    assert executed(WATCHED, "import time; time.sleep(6)", "import asyncio; await asyncio.sleep(6)") == [""]
    said, = executed(WATCHED, IDLE)
    assert "No page has shown this lab" in said and "experiment = fl.Experiment()" in said


def test_an_answer_empties_the_place_and_a_closed_lab_says_nothing():
    assert executed(WATCHED, IDLE, "Board.answered.set()\nawait asyncio.sleep(1.5)") == [""]
    assert executed(WATCHED, "Board.answered.set()", IDLE) == [""]
    assert executed(WATCHED, "Board.comm = None", IDLE) == [""]


def test_plain_python_is_left_alone(capsys):
    import threading

    before = threading.active_count()
    board = type("Board", (), {"answered": threading.Event(), "comm": None})
    front_end.watch(board, str)
    assert threading.active_count() == before
    assert capsys.readouterr().out == ""
