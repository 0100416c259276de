"""Runs and menus as tables for the terminal."""

from __future__ import annotations

import math

from rich.console import Console
from rich.table import Table

from .forecast import size
from .part import catalogue
from .recipes import BOOK
from .run import Run

STATUS = {"finished": "finished", "stopped": "was stopped", "interrupted": "was interrupted", "failed": "FAILED",
          "incomplete": "is incomplete: go on with fedlab resume"}


def table(run: Run, console: Console) -> None:
    """A run in words and numbers: a few rounds, then what the last one means."""
    history, e = run.history, run.experiment
    console.print(f"\n{e.name} in {run.path} {STATUS[run.status]}: {len(history)} of {e.rounds} rounds", soft_wrap=True)
    if run.reason:
        console.print(run.reason, style="bold", soft_wrap=True)
    if not len(history):
        return
    grid = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("round", "accuracy", "guess", "loss", "worst", "best", "up", "epsilon", "global", "local"):
        grid.add_column(name, justify="right", no_wrap=True)
    read = history[history.accuracy.notna()]
    picked = [i for n, i in enumerate(read.index) if n in (0, 4) or n == len(read) - 1 or (n + 1) % 10 == 0][-8:]
    for _, row in read.loc[picked].iterrows():
        grid.add_row(f"{row['round']:.0f}", *_figures([row.accuracy, run.majority, row.loss, row.worst_client,
                     row.best_client], 3), size(row.bytes_up), *_figures([row.epsilon], 2),
                     *_figures([row.global_disparity, row.local_disparity], 4))
    console.print(grid)
    last = read.iloc[-1] if len(read) else history.iloc[-1]
    for line in words(run, last):
        console.print(line, soft_wrap=True)


def words(run: Run, last) -> list[str]:
    """What the last reading says, in sentences."""
    lines = [f"After round {last['round']:.0f} the model is right for {last.accuracy:.1%} of the test rows; always "
             f"guessing the commonest answer is right for {run.majority:.1%}.",
             f"On their own held-out rows clients range from {last.worst_client:.1%} to {last.best_client:.1%}.",
             f"Sent in all: {size(run.history.bytes_up.sum())} up, {size(run.history.bytes_down.sum())} down."]
    if not math.isnan(last.get("parity_gap", math.nan)):
        lines.append(f"The favourable answer is given to the groups at rates {100 * last.parity_gap:.1f} percentage points "
                     f"apart (equal opportunity gap {100 * last.opportunity_gap:.1f} points).")
    if not math.isnan(last["unique"]):
        lines.append(f"Disparity in bits: global {last.global_disparity:.4f} = unique {last['unique']:.4f} + redundant "
                     f"{last.redundant:.4f}; local {last.local_disparity:.4f} = unique + masked {last.masked:.4f} "
                     "(plug-in).")
    if not math.isnan(last.epsilon):
        ledger = run.experiment.privatise.delta
        lines.append(f"Privacy spent: epsilon {last.epsilon:.3g}" + (f" at delta {ledger:.2g}" if ledger else "")
                     + ", for the released model; the figures above are outside it. Reproducible noise: demonstration.")
    if run.replicates:
        final = [r.history.accuracy.iloc[-1] for r in (run, *run.replicates)]
        mean = sum(final) / len(final)
        spread = (sum((a - mean)**2 for a in final) / (len(final) - 1))**0.5
        lines.append(f"Over {len(final)} seeds the last accuracy is {mean:.4f} ± {spread:.4f} (standard deviation).")
    return lines


def listing(console: Console) -> None:
    """All recipes, then all parts by slot, a line each."""
    grid = Table(box=None, show_header=False, pad_edge=False)
    grid.add_row("[bold]recipes[/bold]", "")
    for name, entry in BOOK.items():
        grid.add_row(f"  {name}", f"{entry.says} ({entry.paper.split(',')[0]})")
    for slot, shelf in catalogue().items():
        grid.add_row(f"[bold]{slot}[/bold]", "")
        for name, cls in shelf.items():
            grid.add_row(f"  {name}", f"{cls.summary()} Fields: {', '.join(cls.model_fields) or 'none'}.")
    console.print(grid)


def _figures(values: list[float], digits: int) -> list[str]:
    return ["–" if v is None or math.isnan(v) else f"{v:.{digits}f}" for v in values]
