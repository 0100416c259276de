"""A run in a thread of the kernel: start, pause, step, stop. Handlers only set flags; the engine polls them."""

from __future__ import annotations

import threading
import time
import traceback
from contextlib import closing
from enum import StrEnum
from pathlib import Path

from ..events import Event, Failed, RoundEnded, Stopped
from ..executors import Executor
from ..part import BadInput
from ..plan import begin
from ..run import Run
from ..session import folder_for, ready, record
from ..spec import Experiment
from ..store import RunFolder

TICK = 0.02   # seconds between two looks at the flags while waiting


class Phase(StrEnum):
    """Where a run stands; what may be pressed follows from it."""

    IDLE = "idle"
    PREPARING = "preparing"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


AT_WORK = frozenset({Phase.PREPARING, Phase.RUNNING, Phase.PAUSED, Phase.STOPPING})
# What each button needs: pressing another one does nothing.
MAY = {
    "start": frozenset(Phase) - AT_WORK,
    "pause": frozenset({Phase.PREPARING, Phase.RUNNING, Phase.PAUSED}),
    "step": frozenset(Phase) - {Phase.STOPPING, Phase.PREPARING},
    "stop": AT_WORK - {Phase.STOPPING},
    "reset": frozenset(Phase) - AT_WORK,
}


class Runner:
    """One run at a time. `events` grows while it goes; `run` is the record of the last one.

    seconds_a_round: the least time a round takes on the screen, so that a class can watch; 0 is full speed.
    """

    def __init__(self, seconds_a_round: float = 0.0):
        self.seconds_a_round = seconds_a_round
        self.phase = Phase.IDLE
        self.runs = 0                # how many were started
        self.events: list[Event] = []
        self.run: Run | None = None
        self.error: BaseException | None = None
        self.problem = ""            # what went wrong, in words
        self.details = ""            # the traceback, for who asks
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop = self._pause = False
        self._steps = 0              # rounds still granted while paused
        self._boundary, self._began = False, 0.0

    def may(self, button: str) -> bool:
        return self.phase in MAY[button]

    def start(self, experiment: Experiment, out: str | Path | None = None, device: str | None = None,
              paused: bool = False, executor: Executor | None = None) -> bool:
        """Begin a run in its own thread; False when one is at work already."""
        with self._lock:
            if not self.may("start"):
                return False
            self.events, self.run, self.error, self.problem, self.details = [], None, None, "", ""
            self._stop, self._pause, self._steps, self._boundary = False, paused, int(paused), False
            self.phase = Phase.PREPARING
            self.runs += 1
            self._thread = threading.Thread(target=self._work, args=(experiment, out, device, executor), daemon=True,
                                            name="fedlab run")
            self._thread.start()
            return True

    def pause(self) -> None:
        """Pause, or go on."""
        if self.may("pause"):
            self._pause = not self._pause
            self._steps = 0

    def step(self, experiment: Experiment, **how) -> None:
        """One round more; from rest, a new run that pauses after its first."""
        if self.phase in AT_WORK:
            self._pause = True
            self._steps += 1
        else:
            self.start(experiment, paused=True, **how)

    def stop(self) -> None:
        if self.may("stop"):
            self._stop, self.phase = True, Phase.STOPPING

    def reset(self) -> None:
        if self.may("reset"):
            self.events, self.run, self.error, self.problem, self.phase = [], None, None, "", Phase.IDLE

    def join(self, timeout: float | None = None) -> None:
        if self._thread is not None:
            self._thread.join(timeout)

    def _work(self, experiment: Experiment, out: str | Path | None, device: str | None,
              executor: Executor | None) -> None:
        try:
            plan, executor = ready(experiment, executor, device)
            folder = RunFolder.create(folder_for(experiment, out), experiment)
            if self.phase is Phase.PREPARING:
                self.phase = Phase.PAUSED if self._pause and not self._steps else Phase.RUNNING
            self._began = time.monotonic()
            with closing(record(folder, plan, begin(plan), executor, self._asked_to_stop)) as events:
                for event in events:
                    self.events.append(event)
                    self._boundary = self._boundary or isinstance(event, RoundEnded)
            self.run = Run(folder.path)
            last = self.events[-1]
            if isinstance(last, Failed):
                self.problem, self.phase = last.text, Phase.FAILED
            else:
                finished = isinstance(last, Stopped) and last.reason == "finished"
                self.phase = Phase.DONE if finished else Phase.STOPPED
        except Exception as error:   # whatever a user's part raises: said in the lab, raised again by wait()
            self.error, self.details = error, traceback.format_exc()
            self.problem = str(error) if isinstance(error, (BadInput, OSError)) else f"{type(error).__name__}: {error}"
            self.phase = Phase.FAILED

    def _asked_to_stop(self) -> bool:
        """Polled by the engine between chunks and every few steps; here a run waits while it is paused or too fast."""
        if self._boundary:   # a round has ended since the last look
            self._boundary = False
            self._steps = max(0, self._steps - 1)
            while not self._stop and time.monotonic() - self._began < self.seconds_a_round and not self._pause:
                time.sleep(TICK)
            self._hold()
            self._began = time.monotonic()
        self._hold()
        return self._stop

    def _hold(self) -> None:
        while self._pause and not self._steps and not self._stop:
            self.phase = Phase.PAUSED
            time.sleep(TICK)
        if self.phase is Phase.PAUSED and not self._stop:
            self.phase = Phase.RUNNING
