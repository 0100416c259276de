"""What a linear bandit cannot work with, and what it lacks: sentences with the way out."""

from __future__ import annotations

from collections.abc import Iterator

from ..nets.linear_statistics import LinearStatistics
from ..server.apply import Apply
from ..tasks.linear_bandit import LinearBandit


def misfits(part, e) -> Iterator[str]:
    """What else in the Experiment does not go with it."""
    if not isinstance(e.task, LinearBandit) or not isinstance(e.net, LinearStatistics):
        yield ("local = lin_ucb meets users and keeps sums over them; set task to 'linear_bandit' and net to "
               f"'linear_statistics' (they are {e.task.name} and {e.net.name}), or local to 'sgd'")
    if part.privacy == "shuffle" and part.epsilon > 1:
        yield (f"local.epsilon = {part.epsilon:g} is more than amplification by shuffling is for: give at most 1, or "
               "set local.privacy to 'silo'")
    if e.server != Apply() or not e.aggregate.equal_weights:
        yield ("local = lin_ucb adds sums up: set server to 'apply' with lr = 1, and aggregate to one that weighs "
               "silos equally, such as Mean(weights='uniform')")
    for f in e.fairness:
        if f.sends and not f.stays and part.privacy != "none":
            yield (f"fairness = {f.name} makes silos send figures of their users that local = lin_ucb does not hide; "
                   "leave one of them out")


def lacks(part, plan) -> Iterator[str]:
    """What is missing once the data are known: silos, users, columns."""
    world, schedule, due = plan.world, plan.experiment.schedule, plan.experiment.rounds * part.batch
    if schedule.rate(world.clients) < 1 or len(schedule.eligible(world.clients)) < world.clients:
        yield ("local = lin_ucb needs every silo at every synchronisation, as its tree does; set schedule to "
               "Lockstep() with sampler 'full' and no dropout")
    if (fewest := int(world.shards.train.min())) < due:
        yield (f"local.batch = {part.batch} users in {plan.experiment.rounds} rounds are {due}, and a silo has "
               f"{fewest} to meet; lower rounds or local.batch, or set task.users to at least {-(-due * 5 // 4)}")
    if world.sent.width < world.layout.real.width:
        yield "local = lin_ucb sends all that it sums; set distribute to 'broadcast'"
