"""The data set as a dropdown, whose last entry opens the panel for a file of one's own."""

from __future__ import annotations

import html

from ..part import BadInput
from ..partition import IID, ByGroup, Natural
from ..recipes import BOOK
from ..slots import Task
from ..spec import Experiment
from ..tasks import Arrays
from ..tasks.frame import report_of
from ..world import rows_of
from . import words
from .fields import PartField
from .host import METHOD
from .offers import choices
from .preview import Preview
from .starts import STARTS

FILE = "your file"   # no part has a name with a blank
OFFER = "Your file…"


class TaskField(PartField):
    """A dropdown of data sets. Until "Use these data" is pressed in the panel, the experiment keeps the one it has."""

    def __init__(self, host, path, name, word):
        self.panel, self._opened = None, False
        self._dealt: tuple = (None, None, "")   # the data and the partition that they had to have, and why
        super().__init__(host, path, name, word, Task, empty=False, bare=True)

    def show(self, value):
        """Follow the experiment; while the panel is open the dropdown stays at "Your file…"."""
        super().show(value)
        if isinstance(value, Arrays):
            self.says.value = html.escape(_about(value)) + self.refusals()
        task, partition, why = self._dealt
        if value == task and self.host.experiment.partition == partition:
            self.says.value += f" <span role=status>{html.escape(why)}</span>"
        if self._opened:
            self._offer(FILE)
            self.says.value = "Choose a file and press Use these data; until then the lab keeps the data it has."

    def lock(self, locked):
        super().lock(locked)
        if self.panel is not None:
            self.panel.button.disabled = locked or self.panel.plan is None

    def _offer(self, chosen: str) -> None:
        """The data sets, rows of the user's own by their title where they are in use, and the way to a file."""
        task = self.host.experiment.task
        used = isinstance(task, Arrays)
        named = {Arrays.name: task.title} if used else {}
        pairs, groups = choices(self.base, Arrays.name if used else chosen)
        pairs = [*((named.get(key, label), key) for label, key in pairs), (OFFER, FILE)]
        with self.host.silence():
            self.control.offer(pairs, chosen, groups)

    def _typed(self, change):
        if self.host.quiet:
            return
        self._opened = change.new == FILE
        self._arrange_panel()
        if self._opened or change.new == Arrays.name:   # back to the rows in use: nothing to submit
            self.show(self.host.experiment.task)
        else:
            changes = {self.path: self.kind.read(change.new)}
            new, _ = self.host._tried(changes)
            self.host.submit_all({**changes, **(self._fitted(new) | renamed(new) if new else {})}, self.path)

    def _arrange_panel(self) -> None:
        if self._opened and self.panel is None:
            from .your_file import YourFile  # pandas is slow to import

            self.panel = YourFile(self._use)
        self.box.children = (self.row, self.says, *((self.panel,) if self._opened else ()))

    def _use(self, task: Arrays, partition) -> None:
        """Take the panel's task. Raises BadInput while a run goes, or where the experiment does not go with it."""
        if self.host.locked:
            raise BadInput("a run is at work; stop it, or wait for its end, and press Use these data again")
        changes = {self.path: task, **({"partition": partition} if partition is not None else {})}
        new, problem = self.host._tried(changes)
        if problem:
            raise BadInput(problem)
        if partition is None:
            changes |= self._fitted(new)
        else:
            Preview.of(new)
        self._opened = False
        self._arrange_panel()
        self.host.submit_all(changes | renamed(new), self.path)

    def _fitted(self, new: Experiment) -> dict:
        """The partition that these data get where they cannot have the one there is: by group if they name groups."""
        try:
            data = rows_of(new.task)
        except Exception:   # noqa: BLE001   the data are what is missing; whoever needs them says so
            return {}
        try:
            if new.partition.holdings(data) <= len(data.y):   # else the picture says it: how many is the user's to say
                Preview.of(new)
            return {}
        except BadInput:   # the partition asks for groups or clients that these rows do not name
            old, partition = new.partition, ByGroup() if len(data.groups) > 1 else IID()
        except Exception:   # noqa: BLE001   a partition of the user's own is broken, with these data as with others
            return {}
        named = words.title(type(partition))
        why = (f"The split was by client; these data name none, so it is {named} now." if isinstance(old, Natural) else
               f"These data cannot be split by {words.title(type(old))}, so the split is {named} now.")
        self._dealt = new.task, partition, why
        return {"partition": partition}


def renamed(e: Experiment) -> dict:
    """The name that an experiment gets where it has a quick start's and other data: the recipe it is, or its own.

    >>> from fedlab_widgets import Digits
    >>> renamed(Experiment(name="who-is-treated-differently", task=Digits()))
    {'name': 'fedavg'}
    """
    quick = next((q.experiment for q in STARTS if q.experiment.name == e.name), e)
    if type(e.task) is type(quick.task):   # the same data, whatever is done with a column of them
        return {}
    slots = (*METHOD[1:], "attack")
    same = (book.name for book in BOOK.values() if all(getattr(book.experiment, s) == getattr(e, s) for s in slots))
    return {"name": next(same, "my experiment")}


def _about(task: Arrays) -> str:
    """What became of the file, where this process read it."""
    try:
        return f"Your own rows. {report_of(task).text()}"
    except BadInput:   # made by from_arrays, or the run was opened in another process
        return f"Your own rows: {task.shape[0]:,}." if task.shape else "Your own rows."
