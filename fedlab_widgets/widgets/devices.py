"""Where to run: the processor or a graphics card, each with the memory that is free on it."""

from __future__ import annotations

import ipywidgets as w

from .. import machine
from ..world import pick_device

CLUSTER = "cluster"   # no device of this machine: many machines, by Ray


class DevicePicker(w.Dropdown):
    """A dropdown of the places a run can be on. `device` is what `run(device=)` takes.

    device: the one to begin with. The memory figures are of the moment of the last `refresh()`. Raises BadInput for a
    device that is not there.

    >>> DevicePicker().device
    'auto'
    """

    def __init__(self, device: str | None = None, **traits):
        if device not in (None, "auto"):
            device = str(pick_device(device))
        traits.setdefault("layout", w.Layout(width="auto", min_width="0", max_width="100%"))
        super().__init__(description="Device", options=options(), value=device or "auto", **traits)

    @property
    def device(self) -> str:
        return "auto" if self.clustered else self.value

    @property
    def clustered(self) -> bool:
        """Whether clients are to train on a Ray cluster."""
        return self.value == CLUSTER

    def refresh(self) -> None:
        """Read the memory figures again; what is chosen stays, unless that device has gone."""
        now, chosen = options(), self.value
        with self.hold_sync():   # new options choose the first one, which the page need not see
            self.options = now
            self.value = chosen if chosen in [device for _, device in now] else "auto"


def options() -> list[tuple[str, str]]:
    """(what is shown, what `run(device=)` takes) of every place there is."""
    gpus = machine.gpus()
    auto = f"auto ({gpus[0].device if gpus else 'CPU: no GPU seen'})"
    return [(auto, "auto"), *((machine.words(d), d.device) for d in (machine.cpu(), *gpus)),
            ("a Ray cluster", CLUSTER)]
