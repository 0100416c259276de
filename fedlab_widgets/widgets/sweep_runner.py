"""The runs of a sweep in a thread of the kernel: start, stop, go on. Handlers only set flags; the engine polls them."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Iterator

from ..events import RoundEnded, Stopped
from ..part import BadInput
from ..run import Run
from ..sweep import Grid, Read
from .runner import AT_WORK, Phase

Job = tuple[tuple[str, ...], int]   # the names of a cell, and a seed


class SweepRunner:
    """The runs of a `Grid`, one after the other. `rows` grows as they end, `now` is the one at work and its round.

    What is in the folder already is read first, on `look`; a run that was stopped in the middle goes on at the next
    `start`. read: as in `sweep`. after: a runner of the same folder that was told to stop, and is waited for.
    """

    def __init__(self, grid: Grid, read: Read | None = None, after: SweepRunner | None = None):
        self.grid, self.read, self.after = grid, read, after
        self.phase = Phase.IDLE
        self.rows: dict[Job, dict] = {}
        self.now: tuple[Job, int] | None = None
        self.trained, self.share = 0, 0.0   # runs of this sitting, and how much of the one at work is done
        self.problem = ""                   # what ended it, in words
        self.details = ""                   # the traceback, for who asks
        self.thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._stop = self._train = False
        self._began = 0.0

    def look(self) -> bool:
        """Read the runs that are there already, and train none."""
        return self._start(train=False)

    def start(self) -> bool:
        """Train what is missing, in a thread of its own; False when that is at work already."""
        return self._start(train=True)

    def stop(self) -> None:
        """What has ended stays; the run at work is dropped at its last whole round, from where it can go on."""
        with self._lock:
            if self.phase in AT_WORK:
                self._stop, self.phase = True, Phase.STOPPING

    def join(self, timeout: float | None = None) -> None:
        if self.thread is not None:
            self.thread.join(timeout)

    @property
    def left(self) -> float | None:
        """Seconds until all runs have ended, if they take as long as those so far; None before one can tell."""
        done = self.trained + self.share
        if self.phase is not Phase.RUNNING or not done:
            return None
        return (time.monotonic() - self._began) / done * (len(self.grid.runs) - len(self.rows) - self.share)

    def _start(self, train: bool) -> bool:
        with self._lock:
            if self.phase is Phase.PREPARING and train > self._train:   # it looks, and will train then
                self._train = True
                return True
            if self.phase in AT_WORK:
                return False
            self.phase, self._stop, self._train, self.problem, self.details = Phase.PREPARING, False, train, "", ""
            self.thread = threading.Thread(target=self._work, daemon=True, name="fedlab sweep")
            self.thread.start()
            return True

    def _work(self) -> None:
        try:
            if self.after is not None:
                self.after.join()
            for job in self._missing():
                its = self.grid.ended(*job)
                if its is not None:
                    self.rows[job] = self.grid.row(*job, its, self.read)
            if self._turn(Phase.IDLE) is Phase.RUNNING:
                self._one_by_one()
                self._turn(Phase.STOPPED)
        except Exception as error:   # noqa: BLE001  (nobody sees what a thread raises)
            self.details = traceback.format_exc()
            self.problem = str(error) if isinstance(error, (BadInput, OSError)) else f"{type(error).__name__}: {error}"
            self._turn(Phase.FAILED)

    def _turn(self, phase: Phase) -> Phase:
        """Into another phase, or one that fits better: training where it was asked for, done where nothing is left."""
        with self._lock:
            if phase is not Phase.FAILED and len(self.rows) == len(self.grid.runs):
                phase = Phase.DONE
            elif phase is Phase.IDLE and self._stop:
                phase = Phase.STOPPED
            elif phase is Phase.IDLE and self._train:
                phase = Phase.RUNNING
            self.phase, self.now, self.share = phase, None, 0.0
            return phase

    def _missing(self) -> Iterator[Job]:
        """What has not ended yet, until somebody presses Stop."""
        for job in self.grid.runs:
            if self._stop:
                return
            if job not in self.rows:
                yield job

    def _one_by_one(self) -> None:
        self.trained, self._began = 0, time.monotonic()
        for job in self._missing():
            its = self._one(job)
            if its is None:
                return
            self.rows[job] = self.grid.row(*job, its, self.read)
            self.trained, self.share = self.trained + 1, 0.0

    def _one(self, job: Job) -> Run | None:
        """The run of a job once it has ended; None when it was stopped. One that fails has ended, whatever it raised:
        the next may work."""
        self.now, last = (job, 0), None
        try:
            for last in self.grid.events(*job, lambda: self._stop):
                if isinstance(last, RoundEnded):
                    self.now, self.share = (job, last.round), last.round / self.grid.cells[job[0]].rounds
        except Exception:
            folder = self.grid.folder(*job)
            if not folder.exists() or Run(folder).status != "failed":   # it never began, or could not be recorded
                raise
        stopped = isinstance(last, Stopped) and last.reason != "finished"
        return None if stopped else Run(self.grid.folder(*job))
