"""A Ray cluster to train on: its address, and what its machines do."""

from __future__ import annotations

import html
import threading
import time

import ipywidgets as w

from .. import ray_link
from ..cluster import Ray
from ..part import BadInput
from ..wording import size
from .file_chooser import Status
from .glossary import Word
from .why import explained

CLUSTER = Word("A Ray cluster is several machines that train clients at the same time; the numbers are the same.",
               "ray start --head on one machine names an address such as 10.0.0.5:6379; the others join it with ray "
               "start --address=10.0.0.5:6379.",
               "Leave the address empty and press Connect: Ray starts on this machine, and its cores are shown.")
GONE = "The cluster has gone: start it again with ray start --head, or choose another device."
STYLE = """<style>
.fl-machines { overflow-x: auto; }
.fl-machines table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.fl-machines caption { text-align: left; padding: 2px 0; }
.fl-machines :is(th, td) { text-align: left; padding: 2px 14px 2px 0; font-weight: 400; white-space: nowrap; }
.fl-machines thead th { color: var(--jp-content-font-color2); }
.fl-machines tbody th { font-weight: 600; }
.fl-machines span { display: inline-block; width: 48px; height: 8px; margin-right: 6px; border: 1px solid
  var(--jp-border-color1); background: linear-gradient(to right, var(--jp-brand-color1) var(--share), transparent 0); }
</style>"""


class ClusterField(w.VBox):
    """An address (empty: this machine) and, once connected, the machines with what is in use of each.

    `executor` is what `run(executor=)` takes. The figures are those of the last second, while the field is shown.
    """

    def __init__(self, **looks):
        self.address = w.Text(description="Cluster", placeholder="empty: this machine", continuous_update=False,
                              **looks)
        self.button = w.Button(description="Connect", tooltip="Join the cluster and show its machines",
                               layout=w.Layout(width="auto"))
        self.said, self.machines = Status(), w.HTML()
        self.address.observe(lambda _: self.connect(), "value")
        self.button.on_click(lambda _: self.connect())
        self._watching: threading.Thread | None = None
        row = w.HBox([self.address, self.button], layout=w.Layout(flex_flow="row wrap", grid_gap="4px"))
        super().__init__([explained(row, CLUSTER, name="a Ray cluster"), self.said, self.machines])
        self.show(False)

    @property
    def executor(self) -> Ray:
        return Ray(self.address.value.strip() or None)

    def show(self, wanted: bool) -> None:
        self.layout.display = "" if wanted else "none"
        if wanted:
            self.watch()

    def lock(self, wanted: bool) -> None:
        self.address.disabled = self.button.disabled = wanted

    def connect(self) -> None:
        """Join the cluster on a thread; what goes wrong is said beneath the address."""
        self.said.work(self._join, "Connecting …")

    def _join(self) -> None:
        tried = None
        while tried != self.address.value:   # another may be typed while one is tried
            tried = self.address.value
            try:
                ray_link.join(tried)
            except BadInput:
                if tried == self.address.value:
                    raise
        self.said.say("")
        self.watch()

    def watch(self) -> None:
        """Draw the machines every second from now on, as long as there are some and they are looked at."""
        if ray_link.nodes() and not (self._watching is not None and self._watching.is_alive()):
            self._watching = threading.Thread(target=self._draw_on, daemon=True, name="fedlab machines")
            self._watching.start()

    def _draw_on(self) -> None:
        while self.layout.display != "none" and self.comm is not None:
            nodes = ray_link.nodes()
            self.machines.value = table(nodes)
            if not nodes:
                if not self.said.value:   # else another one is being looked for, or was not found
                    self.said.problem(GONE)
                return
            time.sleep(ray_link.TICK)


def table(nodes: list[ray_link.Node]) -> str:
    """The machines as a table, each figure with a bar; nothing for none."""
    if not nodes:
        return ""
    gpus = any(n.gpus[1] for n in nodes)
    heads = ["Machine", "CPUs in use", *(["GPUs in use"] if gpus else []), "Memory", "Object store in use"]
    rows = []
    for n in nodes:
        cells = [_bar(*n.cpus, "{:g}"), *([_bar(*n.gpus, "{:g}")] if gpus else []), size(n.memory),
                 _bar(*n.store, size)]
        rows.append(f"<tr><th scope='row'>{html.escape(n.name)}</th>{''.join(f'<td>{c}</td>' for c in cells)}</tr>")
    used, there = (sum(n.cpus[i] for n in nodes) for i in (0, 1))
    title = f"{len(nodes)} machine{'s' * (len(nodes) > 1)} in the cluster, {used:g} of {there:g} CPUs in use"
    return (f"{STYLE}<div class='fl-machines'><table><caption>{title}</caption><thead><tr>"
            f"{''.join(f'<th scope=col>{h}</th>' for h in heads)}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
            "</div>")


def _bar(used: float, total: float, words) -> str:
    if not total:
        return "none"
    say, share = words.format if isinstance(words, str) else words, 100 * used / total
    return f"<span style='--share:{share:.0f}%' aria-hidden='true'></span>{say(used)} of {say(total)}"
