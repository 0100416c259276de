"""From a spec to what a run needs: rows loaded, clients dealt out, the net built and probed."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import lru_cache

import torch
from torch import nn

from . import seeds
from .layout import Layout
from .part import BadInput
from .shards import Data, Shards
from .slots import Task
from .spec import Experiment
from .stack import Stack
from .types import World


@lru_cache(maxsize=2)
def rows_of(task: Task) -> Data:
    return task.load()


def pick_device(name: str | None) -> torch.device:
    """"auto" (or None), "cpu", "cuda", "cuda:0" … Raises BadInput for one that is not there."""
    name = name or "auto"
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise BadInput(f"device = {name!r} is no device; give auto, cpu or cuda:0") from None
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise BadInput(f"device = {name!r} is not there: torch {torch.__version__} sees no CUDA GPU; "
                           "use device=cpu, or install a CUDA build of torch")
        if (device.index or 0) >= torch.cuda.device_count():
            raise BadInput(f"device = {name!r} is not there: there are {torch.cuda.device_count()} GPUs, from cuda:0")
        return torch.device("cuda", device.index or 0)
    if device.type != "cpu":
        raise BadInput(f"device = {name!r} is not supported; give auto, cpu or cuda:0")
    return device


@lru_cache(maxsize=4)
def _world(task, net, partition, distribute, seed: int, rounds: int, precision: str, device: str) -> World:
    data = rows_of(task)
    dtype, place = getattr(torch, precision), torch.device(device)
    clients = partition.count(data)
    if clients > len(data.y):
        raise BadInput(f"partition.clients = {clients} is more than the {len(data.y)} training rows; "
                       f"give at most {len(data.y)}")
    owner = partition.assign(data, seeds.keys(seed, "partition", 0, 0))
    data = data.to(place, dtype)
    shards = Shards.of(data, owner, clients, seed)
    data = replace(data, x=shards.x, y=shards.y, group=shards.group, client=None)   # one copy of the rows, by client
    module = build(net, data, seed).to(place, dtype)
    layout = Layout.of(module)
    patterns = distribute.kept(layout)
    for pattern in patterns:
        if not layout.columns((pattern,)).width:
            raise BadInput(f"distribute.layers = {pattern!r} matches no layer; the net has {', '.join(layout.names)}")
    stack, why = Stack.of(module, layout, task)
    return World(task, module, data, shards, layout, layout.columns(patterns, outside=True), seed, rounds, dtype, place,
                 probe(module, layout, data.x[:2]), stack, why)


def world_of(experiment: Experiment, device: torch.device) -> World:
    """The world of an experiment; the last few are kept, so that a change of method does not load the data again."""
    e = experiment
    return _world(e.task, e.net, e.partition, e.distribute, e.seed, e.rounds, e.precision, str(device))


def build(net, data: Data, seed: int) -> nn.Module:
    """The net with weights that follow the run's seed, whatever torch drew before; torch's own state is put back."""
    inputs = data.x.shape[1:]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(seeds.bits(seeds.keys(seed, "initial weights", 0, 0), 1)))
        module = net.build(inputs, len(data.labels))
    if not isinstance(module, nn.Module):
        raise BadInput(f"net = {net.name} built a {type(module).__name__}, not a torch.nn.Module; return a module")
    return module


def probe(module: nn.Module, layout: Layout, x: torch.Tensor) -> bool:
    """Whether the net runs under vmap. Raises BadInput for nets whose rounds would not mean what they seem to."""
    name = type(module).__name__
    if not layout.total:
        raise BadInput(f"net = {name} has no weights, so there is nothing to learn; add a layer")
    module.train()
    before = {k: b.clone() for k, b in module.named_buffers()}
    try:
        with torch.random.fork_rng(devices=[]):
            first, second = module(x), module(x)
    except Exception as error:  # whatever a user's forward raises
        raise BadInput(f"net = {name} cannot take rows of shape {list(x.shape[1:])}: {error}; "
                       "check its first layer, or choose another net") from None
    if any(not torch.equal(b, before[k]) for k, b in module.named_buffers()):
        raise BadInput(f"net = {name} changes its buffers in forward (BatchNorm?), and averaging clients would mix "
                       "them silently; use GroupNorm or LayerNorm")
    if not torch.equal(first, second):
        raise BadInput(f"net = {name} draws random numbers in forward (Dropout?), and a run could not be repeated; "
                       "leave it out, and use local.weight_decay against overfitting")
    if first.dim() != 2:
        raise BadInput(f"net = {name} gives outputs of shape {list(first.shape)}; give [rows, labels]")
    row = layout.flatten(module, x.dtype, x.device)

    def one(w, x):
        return torch.func.functional_call(module, layout.views(w), (x,))

    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            stacked = torch.vmap(one)(row.expand(2, -1).contiguous(), torch.stack([x, x]))
    except Exception:  # any operator without a batching rule: the net then runs one client at a time
        return False
    return torch.allclose(stacked[0], first, rtol=1e-3, atol=1e-4)
