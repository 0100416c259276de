"""What parties send while a prefix tree grows, and what the server reads in it.

A row has E = W 2^s estimates, three numbers about them (their variance; and, once it has arrived, the bits of its
prefixes and 1, so that a sum over parties tells both), and E items of M bits. In shared levels everybody knows the
candidates: only estimates travel, and the server writes the prefixes beside them.
"""

from __future__ import annotations

import torch

from ..layout import Columns
from ..prefixes import NONE, as_bits, as_weights, extended, listed, numbers
from ..types import Block, Kind, Space


def space(part, world) -> Space:
    width, bits = world.net.bits.shape
    most = width << part.step
    return Space((Block("update", most), Block("about", 3), Block("items", most * bits, Kind.BITS)))


def travels(part, world, state) -> Columns:
    """In shared levels the estimates of candidates, and their variance; then nothing; at last a list of items."""
    round, (width, bits), total = state.round + 1, world.net.bits.shape, space(part, world).width
    most = width << part.step
    if part.common(round):
        found = part.candidates(world, *listed(world, state.model[None]), round)
        return Columns(((0, int(found.count[0])), (most, most + 1)), total)
    last = ((0, width), (most + 3, most + 3 + width * bits))
    return Columns(last if part.due(round) == bits else (), total)


def replayed(part, world, rows, cohort, memory):
    """rows [C, D] with what needs no wire: how long the prefixes are, and in shared levels which they are."""
    estimate, about, items = space(part, world).split(rows).values()
    due, bits = part.due(cohort.round), world.net.bits.shape[-1]
    known = torch.tensor([due, 1], dtype=rows.dtype, device=rows.device).expand(len(rows), -1)
    if part.common(cohort.round):
        found = part.candidates(world, *listed(world, memory.shared["server list"][None]), cohort.round)
        items = as_bits(found.prefix.clamp(min=0), bits, rows).flatten(1).expand(len(rows), -1)
    return torch.cat([estimate, about[:, :1], known, items], dim=1)


def renewed(part, world, value, memory):
    """The new list as weights [P], from the combined blocks; that of before where nothing came."""
    (width, bits), estimate = world.net.bits.shape, value["update"][None]
    if not bool((estimate != 0).any()):
        return memory.shared["server list"]
    variance, due, parties = value["about"].tolist()
    due = min(max(round(due / parties), part.step), bits) if parties else part.step
    prefix = numbers(value["items"].view(1, -1, bits))
    above = torch.full_like(estimate[:, 0], torch.inf if due == bits else part.tau * max(variance, 0)**0.5)
    kept = extended(torch.where(estimate != 0, prefix, NONE), estimate, above, part.k, width)
    return as_weights(world, kept[0][0], due, kept[1][0])


def misfits(e, net, aggregate, server):
    if not isinstance(e.net, net):
        yield (f"local = prefix_extension grows a list of prefixes, and net = {e.net.name} is none; set net to "
               "'prefix_tree'")
    if not isinstance(e.aggregate, aggregate):
        yield (f"local = prefix_extension sends lists of items, which aggregate = {e.aggregate.name} cannot add up; "
               "set aggregate to 'sum_by_item'")
    if e.server != server():
        yield (f"local = prefix_extension makes the new list itself, which server = {e.server.name} would change; set "
               "server to 'apply' with lr 1")
    if e.personalise is not None or e.own_models:
        part = e.distribute if e.personalise is None else e.personalise
        yield (f"local = prefix_extension grows one list, and {part.slot} = {part.name} gives clients models of their "
               "own; set personalise to none and distribute to 'survivors'")


def lacks(part, plan):
    world = plan.world
    (width, bits), x = world.net.bits.shape, world.data.x
    levels = bits // part.step
    if bits > 48 or not bool(((x == 0) | (x == 1)).all()):
        yield ("local = prefix_extension reads items as strings of up to 48 bits, and the task's rows hold "
               + (f"{bits} columns" if bits > 48 else "other numbers than 0 and 1") + "; set task to 'items'")
    elif bits % part.step:
        yield (f"local.step = {part.step} does not divide the {bits} bits of an item; set local.step to 1, 2 or "
               "another divisor")
    elif plan.experiment.rounds > levels:
        yield (f"rounds = {plan.experiment.rounds} is more than the {levels} levels of {bits} bits in steps of "
               f"{part.step}, and users are asked once; set rounds to {levels}")
    if part.k > width:
        yield f"local.k = {part.k} items do not fit on a list of net.width = {width}; set net.width to {part.k} or more"
