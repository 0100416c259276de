"""A run in the words of a paper's methods section, from its spec and its record alone.

A number that was not computed is not mentioned.
"""

from __future__ import annotations

import math
from statistics import mean, stdev

from .evaluate.decomposition import private_of
from .events import Started
from .forecast import size
from .phrases import listed, said
from .privatise import CorrelatedNoise, verify_participation
from .privatise.local_ledger import LocalLedger
from .schedule import Full
from .widgets import fairness
from .widgets.panel import reading

ATOMS = ("redundant", "unique", "masked")
ENDED = {"stopped": "was stopped", "interrupted": "was interrupted", "failed": "failed", "incomplete": "breaks off"}
RELATION = {"add or remove one client": "that differ by one client, with all it holds, more or less",
            "replace one client": "in which one client, with all it holds, is replaced",
            "replace all that one client holds, seen by the server": (
                "in which all that one client holds is replaced, seen by the server")}


def methods_text(run) -> str:
    """What was done, what guarded or attacked it, what was read, and with which software: a paragraph each."""
    start = next((e for e in run.events if isinstance(e, Started)), None)
    if start is None:
        return f"The run in {run.path} has not begun, so that there is nothing to report."
    runs = [run, *run.replicates]
    paragraphs = (_setup(run, start), _guarded(run, start), _results(runs, start), _software(runs, start))
    return "\n\n".join(filter(None, (" ".join(lines) for lines in paragraphs)))


# --- what was done --------------------------------------------------------------------------------------------------

def _setup(run, start):
    e, clients = run.experiment, _clients(run, start)
    yield f"We used {said(e.task)}; {start.test_rows:,} rows are the test set."
    if clients == 1:
        yield f"One client held all other rows, {_held(start)}."
    else:
        yield f"The other rows were split among {f'{clients:,} ' if clients else ''}clients {said(e.partition)}."
        panel = "" if len(start.clients) == clients else f" of a fixed panel of {len(start.clients):,}"
        yield f"Each client{panel} holds {_held(start)}."
    if e.fairness:
        yield f"Against disparity between groups {listed([said(f) for f in e.fairness])}."
    yield f"The model is {said(e.net)}; it has {start.parameters:,} weights."
    if clients == 1 and not _sent(run):
        yield f"Each round is {said(e.local)}."
    else:
        start_from = f"{said(e.distribute)} and ran {said(e.local)}."
        told = _left_out(e.schedule, clients)
        yield (told + _capital(start_from)) if told else f"In each round {said(e.schedule)}; {start_from}"
        if _sent(run):
            yield f"{_capital(said(e.encode))}; {said(e.aggregate)}" + (
                "." if e.aggregate.of_models else f", and {said(e.server)}.")
    if e.personalise is not None:
        yield f"{_capital(said(e.personalise))}."
    done, seeds = len(run.history), [r.experiment.seed for r in (run, *run.replicates)]
    short = "" if run.status == "finished" else f" of the {e.rounds:,} that were planned (the run {ENDED[run.status]})"
    were = "was" if done == 1 else "were"
    yield (f"There {were} {done:,} round{'s' * (done != 1)}{short}, in {e.precision}, with "
           + (f"seed {seeds[0]}." if len(seeds) == 1 else f"one run for each of the seeds {listed(map(str, seeds))}."))


def _guarded(run, start):
    e = run.experiment
    if e.attack is not None:
        liars, seen = sum(c["liar"] for c in start.clients), len(start.clients)
        where = "clients" if seen == _clients(run, start) else "clients of the panel"
        who = f"{liars:,} lied: {'it' if liars == 1 else 'they'} {said(e.attack)}" if liars else "none lied"
        yield f"Of the {seen:,} {where}, {who}."
    if e.local.own_account:
        yield f"{_capital(e.local.own_account)}."
    if e.privatise is None:
        return
    spent, used = run.history.epsilon.dropna(), start.settings
    z, delta = used.get("noise_multiplier"), used.get("delta")
    yield f"{_capital(said(e.privatise))}" + ("." if z is None else f", with a noise multiplier of {z:.4g}.")
    clients = _clients(run, start)
    if len(spent) and z and delta and clients:
        same = e.privatise.model_copy(update={"noise_multiplier": z, "epsilon": None, "delta": delta})
        ledger = (same.ledger(e.schedule.sampling(clients), clients, e.rounds) if e.privatise.central
                  else LocalLedger(e.privatise.mechanism, z, delta))
        yield (f"After {len(run.history):,} rounds epsilon is {spent.iloc[-1]:.3g} at delta = {delta:.2g}, for data "
               f"{RELATION[ledger.relation]} (accountant: {ledger.method}).")
        yield ("It assumes a trusted server and clients that come as stated, and covers the released models, not the "
               "per-client figures and losses reported here." if e.privatise.central else
               f"It is of {e.privatise.covers}, not of the per-client figures and losses reported here.")
        if isinstance(e.privatise, CorrelatedNoise):
            yield _capital(verify_participation(run))
    if z:
        yield ("The noise follows from the run's seed, so that whoever knows the seed can take it out again: this "
               "demonstrates the mechanism and protects nobody.")
    elif z == 0:
        yield "No noise was added, so that there is no privacy guarantee."


# --- what was read --------------------------------------------------------------------------------------------------

def _results(runs, start):
    run, tables = runs[0], [_read(r.history) for r in runs]
    ends = [table.iloc[-1] for table in tables if len(table)]
    if not ends:
        return
    last, clients = ends[0], len(start.clients)
    own = clients > 1 and run.experiment.own_models   # many models, not one
    n = sum(c["held_out"] for c in start.clients)
    yield (f"Accuracy is of the {start.test_rows:,} test rows{', the mean over the clients’ own models' * own}; "
           f"figures of clients are of the {n:,} rows that "
           f"{f'{clients:,} clients' if clients > 1 else 'the one client'} held out"
           f"{', each read with its own model' * own}.")
    if _known(last, "accuracy"):
        level = "" if own or len(ends) > 1 else _level(last.accuracy, start.test_rows)
        yield (f"After round {last['round']:.0f} accuracy is {_over(ends, 'accuracy')}{level}; always guessing the "
               f"commonest label gives {100 * run.majority:.1f} %.")
    if _known(last, "worst_client") and clients > 1:
        yield (f"The mean over clients is {_over(ends, 'mean_client')}, the worst client is at "
               f"{_over(ends, 'worst_client')} and the best at {_over(ends, 'best_client')}.")
    if len(ends) > 1:
        yield (f"± is the standard deviation over {len(ends)} seeds; figures without it are of seed "
               f"{run.experiment.seed}.")
    yield from _disparity(run, last)
    if _sent(run):
        up, down = size(run.history.bytes_up.sum()), size(run.history.bytes_down.sum())
        yield f"{up} went up and {down} down, in {run.history.trips.iloc[-1]:,.0f} visits to clients."
    else:
        yield "Nothing was sent."


def _level(accuracy, n) -> str:
    low, high = fairness.wilson(fairness.Rate("", n, round(accuracy * n)))
    return (f" (Wilson’s 95 % interval {100 * low:.1f} to {100 * high:.1f} %; it speaks of the test rows, not of the "
            "randomness of training)")


def _disparity(run, last):
    if _known(last, "parity_gap") and run.counts() is not None:
        told = reading(run, draws=0)
        a, b = told.gap.first, told.gap.second
        pair = ", the two groups furthest apart" if len(told.groups) > 2 else ""
        yield (f"Of the held-out rows “{told.favourable}” was predicted for {100 * a.rate:.1f} % of {a.group} (n = "
               f"{a.n:,}) and {100 * b.rate:.1f} % of {b.group} (n = {b.n:,}){pair}: a gap of {told.gap.points:.1f} "
               f"percentage points (95 % interval {fairness.signed(told.gap.low)} to {fairness.signed(told.gap.high)}, "
               f"{fairness.METHOD}); in the data it is {told.data_gap.points:.1f}.")
    if _known(last, "unique"):
        parts = listed(f"{last[a]:.4f} {a}" for a in ATOMS)
        yield (f"The disparity, as information that predictions give about the group (Hamman & Dutta, ICLR 2024), is "
               f"{last.global_disparity:.4f} bits globally and {last.local_disparity:.4f} locally: {parts}; these are "
               f"plug-in estimates, too large in small samples{' and through noise' * _known(last, 'tables_epsilon')}.")
    if all(_known(last, f"{a}_hi") for a in ATOMS):
        chance = listed(format(last[f"{a}_hi"], ".4f") + f" {a}" for a in ATOMS)
        alone = "Chance and noise reach" if _known(last, "tables_epsilon") else "Chance alone reaches"
        yield (f"{alone} {chance} (upper end of a 95 % band): the further of groups shuffled among people "
               "and, for redundant and masked, people dealt to the clients at random.")
    private = private_of(run)
    if private is not None and _known(last, "tables_epsilon"):
        yield (f"Parts, disparities and their bands were read from noisy tables. {private.statement} All other figures "
               "of the held-out rows are of the true counts and are not protected.")


def _software(runs, start):
    used = start.settings
    named = {"FedLab Widgets": "fedlab_widgets", "PyTorch": "torch", "Python": "python"}
    told = listed(f"{name} {used.get(key, '')}".strip() for name, key in named.items()
                  if key in used or key == "fedlab_widgets")
    where = f" on {used['device']}" + (f" ({used['machine']})" if "machine" in used else "") if "device" in used else ""
    yield f"We used {told}{where}; the rounds took {sum(r.history.seconds.sum() for r in runs):.1f} s in all."


# --- small things ---------------------------------------------------------------------------------------------------

def _clients(run, start) -> int | None:
    """How many clients there are, where spec or record say so."""
    few = len(start.clients) < run.experiment.evaluate.clients   # then the panel is everybody
    return getattr(run.experiment.partition, "clients", None) or (len(start.clients) if few else None)


def _left_out(schedule, clients) -> str:
    """Who took part where some clients were left out; "" where nobody was."""
    some = getattr(schedule, "clients", None)
    if not some or len(some) == clients:
        return ""
    of = f"Of the {f'{clients:,} ' if clients else ''}clients {len(some):,}"
    if isinstance(schedule.sampler, Full) and not schedule.dropout:
        return f"{of} took part, {'all of them ' if len(some) > 1 else ''}in every round. "
    were = "were" if len(some) > 1 else "was"
    return f"{of} {were} eligible, and of {'these' if len(some) > 1 else 'this one'} in each round {said(schedule)}. "


def _held(start) -> str:
    """Rows of the panel's clients, from the fewest to the most."""
    def span(key):
        low, high = (f(c[key] for c in start.clients) for f in (min, max))
        return f"{low:,}" if low == high else f"{low:,} to {high:,}"

    return f"{span('train')} to learn from and {span('held_out')} held out"


def _sent(run) -> bool:
    return not len(run.history) or bool(run.history.bytes_up.sum() + run.history.bytes_down.sum())


def _read(history):
    """The rounds after which anything was read."""
    return history[history[["accuracy", "unique"]].notna().any(axis=1)]


def _over(ends, column) -> str:
    """A share in percent: of one run, or the mean over seeds with its standard deviation."""
    values = [100 * float(end[column]) for end in ends]
    return f"{values[0]:.1f} %" if len(values) == 1 else f"{mean(values):.1f} ± {stdev(values):.1f} %"


def _known(row, name) -> bool:
    return not math.isnan(row.get(name, math.nan))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
