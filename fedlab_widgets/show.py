"""Runs and menus as tables for the terminal."""

from __future__ import annotations

import math
from collections import Counter

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .events import Started, Warned
from .forecast import size
from .part import catalogue
from .recipes import BOOK
from .run import COLUMNS, Run
from .widgets.fairness import percent

STATUS = {"finished": "finished", "stopped": "was stopped", "interrupted": "was interrupted", "failed": "FAILED",
          "incomplete": "is incomplete"}
WHERE = {"sampler": "schedule.sampler", "correct": "local.correct", "evaluate": "evaluate.readings",
         "topology": "aggregate.topology", "oracle": "local.oracle"}   # else the slot
USUAL = {"train_loss", "update_norm", "clip", "parity_gap", "opportunity_gap", "odds_gap"}   # read elsewhere
LEAST = 80   # columns of a terminal that the table of rounds needs: a figure is never cut off


def table(run: Run, console: Console) -> None:
    """A run in words and numbers: a few rounds, then what the last one means."""
    history, e = run.history, run.experiment
    console.width = max(console.width, LEAST)
    more = "" if run.status in ("finished", "failed") else f"; go on with fedlab resume {run.path}"
    console.print(f"\n{e.name} in {run.path} {STATUS[run.status]}: {len(history)} of {e.rounds} rounds{more}",
                  soft_wrap=True)
    if run.reason:
        console.print(run.reason, style="bold", soft_wrap=True)
    read = history[history.accuracy.notna()]
    if len(read):
        console.print(_grid(run, read))
    for line in words(run, read):
        console.print(line, soft_wrap=True)


def _grid(run: Run, read) -> Table:
    grid = Table(box=None, header_style="bold", pad_edge=False)
    columns = {"round": [f"{r:.0f}" for r in read["round"]], "test\naccuracy": _figures(read.accuracy, 3),
               "by\nguess": _figures([run.majority] * len(read), 3), "test\nloss": _figures(read.loss, 3),
               "worst\nclient": _figures(read.worst_client, 3), "best\nclient": _figures(read.best_client, 3),
               "sent\nup": [size(b) for b in read.bytes_up], "epsilon\nso far": _figures(read.epsilon, 2),
               "global\nbits": _figures(read.global_disparity, 4), "local\nbits": _figures(read.local_disparity, 4)}
    columns = {name: cells for name, cells in columns.items() if set(cells) != {"–"}}   # what this run has not
    for name in columns:
        grid.add_column(name, justify="right", no_wrap=True)
    last = len(read) - 1
    for i in [i for i in range(last + 1) if i in (0, 4, last) or i % 10 == 9][-8:]:
        grid.add_row(*(cells[i] for cells in columns.values()))
    return grid


def words(run: Run, read) -> list[str]:
    """What the last reading says, in sentences, each figure with the number of rows behind it."""
    lines = _reading(run, read.iloc[-1]) if len(read) else []
    history = run.history
    if len(history):
        lines.append(f"Sent in all: {size(history.bytes_up.sum())} up, {size(history.bytes_down.sum())} down, in "
                     f"{history.trips.iloc[-1]:,.0f} client visits and {history.seconds.sum():.1f} s of training.")
    finals = [r.history.accuracy.dropna() for r in (run, *run.replicates)]
    if run.replicates and all(len(f) for f in finals):
        final = [f.iloc[-1] for f in finals]
        mean = sum(final) / len(final)
        spread = (sum((a - mean)**2 for a in final) / (len(final) - 1))**0.5
        lines.append(f"Over {len(final)} seeds the last test accuracy is {mean:.4f} ± {spread:.4f} (standard "
                     f"deviation); what stands above is of the first, the others lie beside it in {run.path.parent}.")
    for other in (r for r in run.replicates if r.status != "finished"):
        lines.append(f"{other.path} {STATUS[other.status]}{': ' + other.reason if other.reason else ''}.")
    notes = Counter(e.text for e in run.events if isinstance(e, Warned))
    return lines + [f"Note{f', in {n} rounds' if n > 1 else ''}: {text}." for text, n in notes.items()]


def _reading(run: Run, last) -> list[str]:
    start = next(e for e in run.events if isinstance(e, Started))
    lines = [f"After round {last['round']:.0f} the model is right for {percent(last.accuracy)} of the "
             f"{start.test_rows:,} test rows; always guessing the commonest answer is right for "
             f"{percent(run.majority)}."]
    counts, clients = run.counts(), run.clients
    rows = "held-out rows of clients" if counts is None else f"{counts.sum():,} held-out rows of {len(counts)} clients"
    own = [c for c in run.history.columns if c not in {*COLUMNS, *USUAL} and not c.startswith("gain_")
           and not math.isnan(last[c])]
    if own:
        figures = ", ".join(f"{c.replace('_', ' ')} {last[c]:.4g}" for c in own)
        lines.append(f"By measures of the method's own: {figures}.")
    if not math.isnan(last.worst_client):
        low, high, middle = map(percent, (last.worst_client, last.best_client, last.mean_client))
        lines.append(f"On their own held-out rows clients range from {low}{_who(clients, min)} to "
                     f"{high}{_who(clients, max)}; their mean is {middle}.")
    if not math.isnan(last.get("parity_gap", math.nan)):
        each = [] if counts is None else counts.sum((0, 2, 3))
        groups = ", ".join(f"{n:,} {name}" for name, n in zip(start.groups, each, strict=False)) or "the groups"
        lines.append(f"The favourable answer is given to the groups at rates {100 * last.parity_gap:.1f} percentage "
                     f"points apart, and to those with the favourable label {100 * last.opportunity_gap:.1f} points "
                     f"apart ({groups}).")
    if not math.isnan(last["unique"]):
        unique = f"unique {last['unique']:.4f}"
        lines.append(f"What the answer tells of the group, in bits, on the {rows} (plug-in): global disparity "
                     f"{last.global_disparity:.4f} = {unique} + redundant {last.redundant:.4f}; local disparity "
                     f"{last.local_disparity:.4f} = {unique} + masked {last.masked:.4f}.")
    if not math.isnan(last.unique_hi):
        lines.append(f"Chance alone reaches: unique up to {last.unique_hi:.4f}, redundant up to "
                     f"{last.redundant_hi:.4f}, masked up to {last.masked_hi:.4f} bits (95 % band).")
    if not math.isnan(last.epsilon):
        delta = start.settings.get("delta") or run.experiment.privatise.delta
        at = f" at delta {delta:.2g}" if delta else ""
        lines.append(f"Privacy spent: epsilon {last.epsilon:.3g}{at}, of {run.experiment.privatise.covers}; the "
                     "figures above are outside it. Reproducible noise: demonstration.")
    return lines


def _who(clients, pick) -> str:
    """The clients with the lowest or highest accuracy, and how few rows that may rest on: " (client 7, 2 rows)"."""
    if "accuracy" not in clients or not clients.accuracy.notna().any():
        return ""
    found = clients[clients.accuracy == pick(clients.accuracy.dropna())]
    few, many = found.held_out.min(), found.held_out.max()
    others = f" and {len(found) - 1} more" if len(found) > 1 else ""
    span = f"{few:,}" if few == many else f"{few:,} to {many:,}"
    return f" (client {found.index[0]}{others}, {span} row{'' if many == 1 else 's'}{' each' if others else ''})"


def listing(console: Console) -> None:
    """All recipes, then all parts by slot, a line each."""
    console.print("fedlab run RECIPE --set SLOT=PART --set SLOT.FIELD=VALUE, as in: "
                  "fedlab run scaffold --set encode=top_k --set encode.fraction=0.05\n", soft_wrap=True)
    grid = Table(box=None, show_header=False, pad_edge=False)
    grid.add_row(Text("recipes", "bold"), "")
    for name, entry in BOOK.items():
        grid.add_row(f"  {name}", f"{entry.says} ({entry.paper.split(',')[0]})")
    for slot, shelf in catalogue().items():
        grid.add_row(Text(WHERE.get(slot, slot), "bold"), "")
        for name, cls in shelf.items():
            grid.add_row(f"  {name}", f"{cls.summary()} {_fields(cls)}")
    console.print(grid)


def _fields(cls) -> str:
    """The fields of a part with their defaults, as they are typed."""
    found = [f"{name}={_typed(f.get_default(call_default_factory=True))}" for name, f in cls.model_fields.items()]
    return f"Fields: {', '.join(found)}." if found else "No fields."


def _typed(value) -> str:
    if value is None:
        return "null"
    if isinstance(value, tuple):
        return f"[{','.join(map(_typed, value))}]"
    return getattr(value, "name", None) or (str(value).lower() if isinstance(value, bool) else str(value))


def _figures(values, digits: int) -> list[str]:
    return ["–" if v is None or math.isnan(v) else f"{v:.{digits}f}" for v in values]
