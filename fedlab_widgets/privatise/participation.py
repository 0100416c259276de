"""Whether the clients of a run came as its account assumes: read from the record, after the run."""

from __future__ import annotations

from ..part import BadInput
from .accountant import Everyone, InTurnSampling


def verify_participation(run) -> str:
    """One sentence: that no client came oftener than the account promised, or why that cannot be told.

    run: a Run with central noise whose sampler makes a promise (in_turn: at most once in b rounds; full: every round at
    most). Reads `RoundEnded.cohort`. Raises BadInput, with the client and its rounds, where the record breaks the
    promise, and for a run that promised nothing.
    """
    from ..events import RoundEnded
    from ..world import pick_device, world_of

    e = run.experiment
    clients = world_of(e, pick_device("cpu")).clients
    terms = e.schedule.sampling(clients)
    if e.privatise is None or not e.privatise.central or not isinstance(terms, (Everyone, InTurnSampling)):
        raise BadInput(f"{run.path} promised nothing about how often a client comes; run it with "
                       "schedule.sampler = 'in_turn' and privatise = 'correlated_noise' or 'gaussian'")
    apart = getattr(terms, "separation", 1)
    cohorts = {event.round: event.cohort for event in run.events if isinstance(event, RoundEnded)}
    if any(cohort is None for cohort in cohorts.values()):
        return "cohorts of more than 1,000 clients are not recorded, so that it cannot be told how often each came"
    return came_as_promised(cohorts, apart, e.rounds)


def came_as_promised(cohorts: dict[int, list[int]], separation: int, rounds: int) -> str:
    """The same of the ids that came in each round, where each may come once in `separation` of `rounds` rounds.

    >>> came_as_promised({1: [0], 2: [1], 3: [0]}, separation=2, rounds=4)
    'as promised: in 3 rounds no client came oftener than 2 times (2 allowed), nor twice in any 2 rounds'
    """
    last: dict[int, int] = {}
    times: dict[int, int] = {}
    for round, cohort in sorted(cohorts.items()):
        if round > rounds:
            raise BadInput(f"round {round} is recorded, and the noise was made for {rounds}: epsilon does not hold; "
                           "plan for more rounds before the run")
        for client in cohort:
            if client in last and round - last[client] < separation:
                raise BadInput(f"client {client} came in rounds {last[client]} and {round}, and the account promises "
                               f"at least {separation} rounds from one turn to the next: epsilon does not hold; choose "
                               "the sampler in_turn")
            last[client], times[client] = round, times.get(client, 0) + 1
    most, allowed = max(times.values(), default=0), -(-rounds // separation)
    once = "once" if most == 1 else f"{most} times"
    return (f"as promised: in {len(cohorts)} rounds no client came oftener than {once} ({allowed} allowed), nor twice "
            f"in any {separation} rounds")
