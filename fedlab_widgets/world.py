"""From a spec to what a run needs: rows loaded, clients dealt out, the net built and probed."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import lru_cache

import torch
from torch import nn

from . import room, seeds
from .layout import Layout
from .part import BadInput
from .shards import Data, Shards
from .slots import Classification, Partition, Task
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


def counted(partition: Partition, data: Data) -> tuple[int, int]:
    """How many clients and holdings there will be. Raises BadInput for more holdings than rows."""
    clients, holdings = partition.count(data), partition.holdings(data)
    if holdings > len(data.y):
        field = "partition.of.clients" if holdings < clients else "partition.clients"
        raise BadInput(f"{field} = {holdings} is more than the {len(data.y)} training rows; give at most "
                       f"{len(data.y)}, or let clients share rows with partition=reuse")
    return clients, holdings


@lru_cache(maxsize=4)
def _world(task, net, partition, distribute, seed: int, rounds: int, precision: str, device: str) -> World:
    data = rows_of(task)
    mixed, place = precision == "bf16-mixed", torch.device(device)
    dtype = torch.float32 if mixed else getattr(torch, precision)
    clients, holdings = counted(partition, data)
    room.for_rows(data, dtype, place)
    key = seeds.keys(seed, "partition", 0, 0)
    owner = partition.assign(data, key)
    data = partition.seen(data, owner, key).to(place, dtype)
    shards = Shards.of(data, owner, clients, seed, holdings)
    data = replace(data, x=shards.x, y=shards.y, group=shards.group, client=None)   # one copy of the rows, by client
    module = build(net, data, seed).to(place, dtype)
    layout = Layout.of(module)
    patterns = distribute.kept(layout)
    for pattern in patterns:
        if not layout.columns((pattern,)).width:
            raise BadInput(f"distribute.layers = {pattern!r} matches no layer; the net has {', '.join(layout.names)}")
    stack, why = (None, "bfloat16 products are torch's to choose") if mixed else Stack.of(module, layout, task)
    return World(task, module, data, shards, layout, layout.columns(patterns, outside=True), seed, rounds, dtype, place,
                 probe(module, layout, task, data), stack, why, mixed)


def world_of(experiment: Experiment, device: torch.device) -> World:
    """The world of an experiment; the last few are kept, so that a change of method does not load the data again."""
    e = experiment
    world = _world(e.task, e.net, e.partition, e.distribute, e.seed, e.rounds, e.precision, str(device))
    return replace(world, fairness=e.fairness) if e.fairness else world


def build(net, data: Data, seed: int, which: int = 0) -> nn.Module:
    """The net with weights that follow the run's seed, and `which` of several it is to be, whatever torch drew before;
    torch's own state is put back."""
    inputs = data.x.shape[1:]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(seeds.bits(seeds.keys(seed, "initial weights", 0, which), 1)))
        module = net.build(inputs, len(data.labels))
        if isinstance(module, nn.Module):
            net.warm(module, data)
    if not isinstance(module, nn.Module):
        raise BadInput(f"net = {net.name} built a {type(module).__name__}, not a torch.nn.Module; return a module")
    kinds = sorted({str(p.dtype).removeprefix("torch.") for p in module.parameters() if p.is_floating_point()})
    if not set(kinds) <= {"float32"} and kinds != ["float64"]:
        raise BadInput(f"net = {net.name} has weights in {' and '.join(kinds)}, and a client's weights are one row of "
                       "one type; build all of them in float32, and choose the type of the run with precision")
    return module


def probe(module: nn.Module, layout: Layout, task: Task, data: Data) -> bool:
    """Whether the net runs under vmap. Raises BadInput for nets whose rounds would not mean what they seem to."""
    name, x, labels = type(module).__name__, data.x[:2], len(data.labels)
    if not layout.total:
        raise BadInput(f"net = {name} has no weights, so there is nothing to learn; add a layer")
    module.train()
    before = {k: b.clone() for k, b in module.named_buffers()}
    devices = [x.device] if x.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices):
            drawn = _drawn(devices)
            first, second = module(x), module(x)
            still = all(map(torch.equal, drawn, _drawn(devices)))
    except Exception as error:  # whatever a user's forward raises
        text = str(error).strip().partition("\n")[0]
        raise BadInput(f"net = {name} cannot take rows of shape {list(x.shape[1:])}: {text or type(error).__name__}; "
                       f"check its first layer, and that nothing in it turns {str(x.dtype).removeprefix('torch.')} "
                       "into another type; or choose another net") from None
    if not isinstance(first, torch.Tensor):
        raise BadInput(f"net = {name} gives a {type(first).__name__}, not a tensor; give [rows, {labels}]")
    if any(k not in before or not torch.equal(b, before[k]) for k, b in module.named_buffers()):
        raise BadInput(f"net = {name} changes its buffers in forward (BatchNorm?), and averaging clients would mix "
                       "them silently; use GroupNorm or LayerNorm")
    if not still or not torch.equal(first, second):   # a small dropout may leave two rows alone
        raise BadInput(f"net = {name} draws random numbers in forward (Dropout?), and a run could not be repeated; "
                       "leave it out, and use local.weight_decay against overfitting")
    plain = isinstance(task, Classification)   # a loss of one's own may do with fewer outputs
    if first.dim() != 2 or len(first) != len(x) or not (labels if plain else 1) <= first.shape[1] <= labels:
        raise BadInput(f"net = {name} gives outputs of shape {list(first.shape)} for {len(x)} rows, and the task has "
                       f"{labels} labels; give [rows, {labels}]: `outputs` of build(inputs, outputs) says how many")
    if first.dtype != x.dtype:
        raise BadInput(f"net = {name} turns {str(x.dtype).removeprefix('torch.')} rows into "
                       f"{str(first.dtype).removeprefix('torch.')} outputs; leave types alone in forward, and choose "
                       "the type of the run with precision")
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


def _drawn(devices: list[torch.device]) -> list[torch.Tensor]:
    """Where torch's own random numbers stand."""
    return [torch.get_rng_state(), *map(torch.cuda.get_rng_state, devices)]
