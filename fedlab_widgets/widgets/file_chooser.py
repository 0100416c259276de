"""Choose a table: a file of the page's machine or a path on the kernel's, read on a thread and shown."""

from __future__ import annotations

import html
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import ipywidgets as w

from ..part import BadInput
from ..tasks.table import read_table
from . import data_html
from .controls import NOTHING
from .data_words import WORDS
from .why import explained

if TYPE_CHECKING:
    import pandas as pd  # slow to import, and whoever has no file of their own does without

KINDS = ".csv,.tsv,.txt,.parquet"


def choice(name: str, layout: w.Layout, **keys) -> w.Dropdown:
    """A dropdown of columns, or of values."""
    return w.Dropdown(description=name, layout=layout, style={"description_width": ""}, **keys)


def offer(control: w.Dropdown, columns, found, none: bool) -> None:
    """Offer columns by their names, and none where that may be; `found` is chosen, else none or the last column."""
    control.options = [*([("none", NOTHING)] if none else []), *((str(c), c) for c in columns)]
    control.value = found if found is not None else NOTHING if none else columns[-1]


def chosen(control: w.Dropdown):
    """The column that is chosen, or None."""
    return None if control.value == NOTHING else control.value


class Status(w.HTML):
    """One line that says what goes on or what is wrong, and does work on a thread: the page answers meanwhile."""

    def __init__(self, **keys):
        super().__init__(**keys)
        self.thread: threading.Thread | None = None

    def say(self, text: str) -> None:
        self.value = f'<div role="status">{html.escape(text)}</div>' if text else ""

    def problem(self, text: str) -> None:
        self.value = f'<div role="alert" class="fl-note"><b>{html.escape(text)}</b></div>'

    def work(self, job: Callable[[], None], saying: str) -> None:
        """Start the job; what it raises is said here. While one is at work another is refused in words."""
        if self.thread is not None and self.thread.is_alive():
            return
        self.say(saying)
        self.thread = threading.Thread(target=self.guarded, args=(job,), daemon=True)
        self.thread.start()

    def guarded(self, job: Callable[[], None]) -> None:
        """Do the job; an error is said here, since on a thread nobody else would see it."""
        try:
            job()
        except BadInput as error:
            self.problem(str(error))
        except Exception as error:   # noqa: BLE001
            self.problem(f"{type(error).__name__}: {error}")


class FileChooser(w.VBox):
    """A button for a file and a box for a path; beneath them the first rows of what was read.

    on_read(frame, name) is called with what was read, on the thread that read it. `frame` and `name` hold it.
    """

    def __init__(self, on_read: Callable[[pd.DataFrame, str], None]):
        self.on_read, self.frame, self.name = on_read, None, ""
        wide, plain = w.Layout(width="auto", min_width="0"), {"description_width": ""}
        # JupyterLab's server takes no message above 10 MiB, and says nothing: larger files go by their path.
        self.upload = w.FileUpload(accept=KINDS, description="Choose a file", layout=w.Layout(width="auto"),
                                   tooltip="Choose a file (up to 10 MB)").add_class("fl-small").add_class("fl-upload")
        self.path = w.Text(description="or a path", placeholder="/data/people.csv",
                           layout=wide, style=plain, continuous_update=False)
        self.go = w.Button(description="Read it", tooltip="Read the file at this path",
                             layout=w.Layout(width="auto")).add_class("fl-small")
        self.status, self.preview = Status(layout=wide), w.HTML(layout=wide)
        self.upload.observe(self._uploaded, "value")
        self.go.on_click(lambda _: self._typed())
        path = w.HBox([self.path, self.go], layout=wide).add_class("fl-path")
        super().__init__([explained(self.upload, WORDS["your file"], name="your file"),
                          explained(path, WORDS["a path"], name="a path").add_class("fl-field"),
                          self.status, self.preview], layout=wide)

    def read(self, source, name: str = "") -> None:
        """Read a path or the content of a file and hand it on. Raises BadInput, and then shows what was there."""
        self.show(read_table(source, name), name or str(source).replace("\\", "/").rpartition("/")[2])

    def show(self, frame: pd.DataFrame, name: str) -> None:
        """Take a table that is in memory already."""
        self.frame, self.name = frame, name
        self.preview.value = data_html.preview(frame, name)
        self.status.say("")
        self.on_read(frame, name)

    def _uploaded(self, change) -> None:
        if change.new:
            file = change.new[0]
            self.upload.value = ()   # or the rows would be saved in the notebook with the widget
            content = bytes(file["content"])
            self.status.work(lambda: self.read(content, file["name"]), f"Reading {file['name']} …")

    def _typed(self) -> None:
        path = self.path.value.strip().strip("\"'")
        if path:
            self.status.work(lambda: self.read(path), f"Reading {path} …")
        else:
            self.status.problem("Type the path of a CSV or Parquet file first, or choose a file with the button above.")
