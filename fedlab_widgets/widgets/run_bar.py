"""The row of buttons that steers a run: start, pause, step, stop, reset, how fast, and where."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as w

from ..executors import Executor
from .cluster_field import ClusterField
from .devices import DevicePicker
from .runner import AT_WORK, Phase, Runner
from .why import explained

WATCH_SECONDS = 8.0    # how long a run takes when a class is to see it
SPEEDS = (("watch (about 8 s)", WATCH_SECONDS), ("slow (about 30 s)", 30.0), ("full speed", 0.0))
BUTTONS = {"start": ("Start", "play", "Train with the settings below"),
           "pause": ("Pause", "pause", "Hold after this step, or go on"),
           "step": ("Step", "step-forward", "One round more"),
           "stop": ("Stop", "stop", "End the run; what was recorded stays"),
           "reset": ("Reset", "undo", "Clear the picture")}
SHORT = {"description_width": "auto"}   # a name takes the room it needs


class RunBar(w.HBox):
    """Buttons that may be pressed as the runner's phase allows; `pressed(name)` is told which one was.

    `seconds` is how long a run should take at least, `device` and `executor` what `run` is given.
    """

    def __init__(self, pressed: Callable[[str], None], device: str | None = None):
        self.buttons = {name: w.Button(description=text, icon=icon, tooltip=tip, layout=w.Layout(width="auto"))
                        for name, (text, icon, tip) in BUTTONS.items()}
        self.buttons["start"].button_style = "primary"
        for name, button in self.buttons.items():
            button.on_click(lambda _, name=name: pressed(name))
        self.speed = w.Dropdown(options=[*SPEEDS], value=WATCH_SECONDS, description="Speed",
                                layout=w.Layout(width="auto"), style=SHORT)
        self.devices, self.cluster = DevicePicker(device, style=SHORT), ClusterField(style=SHORT)
        self.devices.observe(lambda _: self.cluster.show(self.devices.clustered), "value")
        row = lambda *items: w.HBox(items, layout=w.Layout(flex_flow="row wrap", grid_gap="4px"))  # noqa: E731
        super().__init__([explained(row(*self.buttons.values()), *BUTTONS),
                          explained(self.speed, "speed"), explained(self.devices, "device"), self.cluster],
                         layout=w.Layout(flex_flow="row wrap", grid_gap="4px 16px", align_items="flex-start"))
        self.add_class("fedlab-run-bar")

    @property
    def seconds(self) -> float:
        return self.speed.value

    @property
    def device(self) -> str:
        return self.devices.device

    @property
    def executor(self) -> Executor | None:
        return self.cluster.executor if self.devices.clustered else None

    def follow(self, runner: Runner) -> None:
        """Enable what may be pressed now."""
        for name, button in self.buttons.items():
            button.disabled = not runner.may(name)
        paused = runner.phase is Phase.PAUSED
        self.buttons["pause"].description, self.buttons["pause"].icon = (("Go on", "play") if paused else
                                                                         ("Pause", "pause"))
        self.devices.disabled = runner.phase in AT_WORK
        self.cluster.lock(runner.phase in AT_WORK)
        if self.devices.clustered:
            self.cluster.watch()   # a run has joined one by now
