"""How many liars a rule tolerates, how many rows it needs for that, and what is said where they do not come.

A rule with a field `f`, the liars tolerated in a round, has `room = (a, b)`: it needs a f + b rows. A round that brings
fewer is combined with the largest f that they allow.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, floor


def needs(rule) -> int:
    """The rows that a rule needs for its f."""
    times, more = rule.room
    return times * rule.f + more


def fits(rule, count: int) -> int:
    """The liars that a rule tolerates in a round of `count` rows: f, or fewer where the rows are too few."""
    times, more = rule.room
    return max(0, min(rule.f, (count - more) // times))


def small(rule, count: int) -> str | None:
    """What is said of a round of `count` rows; None when they are enough."""
    if count >= needs(rule):
        return None
    return (f"{rule.name} with f = {rule.f} needs {needs(rule)} rows, and {count} came: in this round it tolerates "
            f"{fits(rule, count)} liars")


def lacking(rule, plan) -> Iterator[str]:
    """Why a rule with f cannot do its work with these clients, in sentences."""
    rows, lying = coming(plan)
    times, more = rule.room
    if rows < needs(rule) - 1e-9:
        most = floor((rows + 1e-9 - more) / times)
        way = (f"set f to {most}, or let more clients take part" if most >= 0 else
               "let more clients take part, or choose another rule")
        yield (f"aggregate: {rule.name} with f = {rule.f} needs {needs(rule)} rows a round ({_form(rule)}), and "
               f"{rows:g} are expected; {way}")
    if lying > rule.f + 1e-9:
        most = floor((rows + 1e-9 - more) / times)
        raised = f"set f to {ceil(lying)}, or " if ceil(lying) <= most else ""
        yield (f"aggregate: {rule.name} with f = {rule.f} tolerates as many liars a round, and {lying:g} of {rows:g} "
               f"are expected to lie; {raised}set attack.liars to fewer, or let more honest clients take part")


def half(rule, plan) -> Iterator[str]:
    """Why a rule that needs a majority of honest rows cannot do its work with these clients."""
    rows, lying = coming(plan)
    if lying and 2 * lying >= rows - 1e-9:
        yield (f"aggregate: {rule.name} tolerates fewer than half of the rows as lies, and {lying:g} of {rows:g} are "
               "expected to lie; set attack.liars to fewer")


def coming(plan) -> tuple[float, float]:
    """How many rows a round is expected to bring, and how many of them lies."""
    clients, schedule = plan.world.clients, plan.experiment.schedule
    eligible, rate = schedule.eligible(clients), schedule.rate(clients)
    among = eligible if isinstance(eligible, range) else set(eligible)
    return rate * len(eligible), rate * sum(i in among for i in plan.liars.tolist())


def _form(rule) -> str:
    times, more = rule.room
    return f"{times} f + {more}"
