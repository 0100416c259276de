"""What each client of a run spent: a ledger per client, where the guarantee is the client's and not the model's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..part import BadInput
from .accountant import Everyone, Ledger, PoissonSampling
from .local_ledger import LocalLedger

if TYPE_CHECKING:
    import pandas as pd

FEW = 100    # different ledgers up to which each client's own is asked
GRID = 0.02  # beyond: chances of a row are rounded up by this share at most, so that clients share ledgers


def client_epsilons(run) -> pd.DataFrame:
    """A row a client of the panel: its rows n_k, the rounds it came, q_k, its steps, delta, epsilon, and `whose` it is.

    run: a Run, with local = private_sgd (epsilon of any one row of the client, Poisson lots of chance q_k = batch / n_k
    over all its local steps; PLD in wide bins, an upper bound within 0.2 % where we looked, and where more than 100
    ledgers differ with q_k rounded up by at most 2 %), or with privatise = local_noise (epsilon of all that the client
    holds). Rounds are those in which it came, or all where cohorts of more than 1000 were not recorded. Against the
    server: who was asked hides nothing. Clients hold rows of their own, so the largest epsilon holds for all of them;
    of a panel (evaluate.clients) that is not everybody, for the panel only. `whose` is in `frame.attrs`, too.
    Raises BadInput for a run of which neither is true, or that holds no client yet.
    Source: Abadi et al. 2016; parallel composition, McSherry 2009 (remembered).
    """
    from ..events import RoundEnded, Started
    from ..local import PrivateSGD
    from .local_noise import LocalNoise

    e, table = run.experiment, run.clients
    if not (isinstance(e.local, PrivateSGD) or isinstance(e.privatise, LocalNoise)):
        raise BadInput(f"{run.path} keeps no account per client: it has local = {e.local.name} and privatise = "
                       f"{e.privatise.name if e.privatise else 'none'}; run it with local=fl.PrivateSGD() or "
                       "privatise=fl.LocalNoise()")
    if not len(table):
        raise BadInput(f"{run.path} holds no client yet; run it on first")
    ended = [event for event in run.events if isinstance(event, RoundEnded)]
    whole = any(event.cohort is None for event in ended)
    table = table[["train"]].rename(columns={"train": "rows"}).assign(
        rounds=len(ended) if whole else run.clients.trips)
    if isinstance(e.local, PrivateSGD):
        return _of_rows(e.local, table)
    settings = next(event for event in run.events if isinstance(event, Started)).settings
    ledger = LocalLedger(e.privatise.mechanism, settings["noise_multiplier"], settings["delta"])
    spent = {n: ledger.epsilon(int(n)) for n in table.rounds.unique()}
    table = table.assign(q=1.0, steps=table.rounds, delta=ledger.delta, epsilon=table.rounds.map(spent))
    return _signed(table, "all that the client holds, against the server")


def _of_rows(local, table):
    import torch

    steps = local.steps_of(torch.tensor(table.rows.values), max(int(table.rows.max()), 1)).numpy() * table.rounds
    q = (local.batch / table.rows.clip(lower=1)).clip(upper=1.0)
    keys = list(zip(q, steps, strict=True))
    if len(set(keys)) > FEW:
        keys = [(min(1.0, math.exp(GRID * math.ceil(math.log(a) / GRID))), b) for a, b in keys]
    spent = {(a, b): Ledger(Everyone() if a == 1 else PoissonSampling(a), local.noise_multiplier, local.delta).about(b)
             for a, b in set(keys)}
    table = table.assign(q=q, steps=steps, delta=local.delta, epsilon=[spent[key] for key in keys])
    return _signed(table, "any one row of the client, against the server")


def _signed(table, whose: str):
    table = table.assign(whose=whose)
    table.attrs["whose"] = whose
    return table
