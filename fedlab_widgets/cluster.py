"""Many machines: the client half of a round as tasks of a Ray cluster, a chunk of clients each.

What goes where: the plan (spec, net, rows of data) is put into the cluster once a run and lies once on every machine,
where all its workers read the same memory; the model and shared values are put once a round. With a chunk go its
clients' own rows (SCAFFOLD's variates, residuals, personal layers), and with what they send their new ones come back.
Clients' own rows thus live where the run is steered, not with the workers: chunks are the same whatever machine takes
them, a round needs any client anywhere, and a row whose only copy died with a machine could not be made again. It costs
a row down and a row up per client and round, which is less than what such methods send anyway; snapshots, resume and
retry need nothing else.

A task is pure in its arguments and its random draws are keyed by client and round, so that Ray may run it again
elsewhere when a worker or a machine dies: bit for bit the same on processors of one kind. Chunks are consecutive
clients of the cohort, fixed by `chunk`, whichever machines there are: the load is balanced by who takes the next one.
"""

from __future__ import annotations

import os
import platform
import time
from collections import deque
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from uuid import uuid4

import torch
from torch import Tensor

from . import ray_link
from .executors import CACHE, Executor, OneByOne, PlaceLost, Stacked, fitting
from .parcel import pack, unpack
from .part import BadInput
from .plan import Plan
from .types import Cohort, Interrupted, Memory, State, World, chunks_of

POLL = 0.05     # seconds between two looks at the stop flag
LOOK = 0.25     # … and between two looks of a worker
RETRIES = 5     # how often a chunk is begun again when the worker or the machine under it dies
CHUNK = 32      # clients of a task at most, unless told: a task costs milliseconds of its own
ON_GPU = 1024   # the same where it has a GPU; what does not fit its memory is halved
AHEAD = 4       # tasks under way for each that the cluster can run: none waits for the next to be sent
WAYS = ("fused", "vmap", "one by one")
READ = ("local", "encode", "personalise", "distribute")   # the memories that clients read; the server's stays …
PUBLIC = ("public",)   # … but for what everybody knows of a client


@dataclass(frozen=True)
class Ray(Executor):
    """Trains chunks of clients as tasks of a Ray cluster; needs the extra: pip install 'fedlab-widgets[ray]'.

    address: "HOST:PORT" of the cluster's head; None for RAY_ADDRESS, else the cluster that runs on this machine, else
    one that is started here and ends with this process. chunk and way as `Stacked` has them, or way = "one by one";
    chosen when None, and recorded. num_cpus, num_gpus: what each task claims; with num_gpus = 0.25 four share a GPU.
    This process must run on a machine of the cluster (ray start --address=HOST:PORT --num-cpus=0 makes it one), and
    every machine needs the same fedlab-widgets and torch. Parts from a notebook cell travel with the run; those from a
    file of your own must be importable there.
    Bits are those of `Stacked` with the same chunk and way on the same kind of processor.
    Raises BadInput for values out of range, without Ray, for an address where no cluster answers, and for claims that
    no machine meets; PlaceLost when the cluster goes away: the run keeps its rounds, and a resume goes on.
    """

    address: str | None = None
    chunk: int | None = None
    way: str | None = None
    num_cpus: float = 1
    num_gpus: float = 0
    _put: list = field(default_factory=list, init=False, repr=False, compare=False)   # [plan, its key, where it lies]

    def __post_init__(self):
        if self.address is not None and not isinstance(self.address, str):
            raise BadInput(f"address = {self.address!r} is not allowed: give \"HOST:PORT\", or None")
        if self.way not in (None, *WAYS):
            raise BadInput(f"way = {self.way!r} is not allowed: give one of {', '.join(WAYS)}, or None")
        for name, least in (("num_cpus", 0.001), ("num_gpus", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= 1000:
                raise BadInput(f"{name} = {value!r} is not allowed: give a number from {least} to 1000")
        if self.num_gpus > 1 and self.num_gpus != int(self.num_gpus):
            raise BadInput(f"num_gpus = {self.num_gpus} is not allowed: give a share of one GPU, or a whole number")
        Stacked(self.chunk)   # which says what is wrong with a chunk

    def settled(self, world: World) -> Ray:
        try:
            ray_link.join(self.address)
            self._must_fit(ray_link.nodes())
        except BadInput as error:
            raise BadInput(f"{error}{self._otherwise()}") from None
        suits = fitting(world)[0]
        way = self.way or ("one by one" if isinstance(suits, OneByOne) else suits.settled(world).way)
        found = replace(self, chunk=self.chunk or (1 if way == "one by one" else self._suits(world)), way=way)
        found._each.settled(world)   # which says when the way does not fit the net
        return found

    def _suits(self, world: World) -> int:
        """Clients of a task: few enough for the cache (or the GPU) and for every worker to get some, nobody alone."""
        most = ON_GPU if self.num_gpus else min(CHUNK, max(1, CACHE // (world.layout.total * world.dtype.itemsize)))
        workers = sum(self._fits(n) for n in ray_link.nodes())
        return min(most, max(2, -(-world.clients // workers)))

    @property
    def _each(self) -> Executor:
        """How a task trains its clients."""
        return OneByOne(1) if self.way == "one by one" else Stacked(self.chunk, self.way, 1)

    def path(self, plan: Plan) -> Plan:
        return plan   # what the clients see is put where they are, once

    def map(self, work, cohort):
        """`work` is the engine's partial(client_half, plan, state, stop): its arguments travel apart."""
        half, (plan, state, stop) = work.func, work.args
        ray, ask = ray_link.ray_module(), ray_link.ask
        task = _task().options(num_cpus=self.num_cpus, num_gpus=self.num_gpus, scheduling_strategy="SPREAD")
        waiting: deque = deque()

        def oldest():
            """What the first of those under way gives, once it is there."""
            ref, ids = waiting[0]
            alone = since = time.monotonic()
            while not ask(ray.wait, [ref], timeout=POLL)[0]:
                if stop():
                    raise Interrupted
                if time.monotonic() - since > ray_link.TICK:   # a task that fits nowhere would wait for ever
                    since = time.monotonic()
                    alone = since if any(self._fits(n) for n in ray_link.nodes()) else alone
                    if since - alone > ray_link.PATIENCE:
                        raise ray_link.Gone(f"none of its machines is left that offers {self._claims}")
            came = unpack(ask(ray.get, ref), plan.world.device, copy=True)
            waiting.popleft()
            return came

        try:
            if not self._put or self._put[0] is not plan:
                self._put[:] = plan, uuid4().hex, ask(ray.put, self._packed(plan))
            shared = ask(ray.put, pack((half, _shared(state))))
            ahead = AHEAD * max(1, sum(self._fits(n) for n in ray_link.nodes()))
            for piece in chunks_of(len(cohort), self.chunk):
                some = cohort[piece]
                waiting.append((ask(task.remote, _terms(), self.num_gpus > 0, *self._put[1:], shared,
                                    pack(some), pack(_own(state, some))), some.ids))
                if len(waiting) > ahead:
                    yield oldest()
            while waiting:
                yield oldest()
        except ray.exceptions.RayTaskError as error:   # what a part raised there is raised here
            cause = error.cause if isinstance(error.cause, Exception) else error
            cause.add_note(f"On a machine of the Ray cluster:\n{error}")
            raise cause from None
        except ray.exceptions.OutOfMemoryError as error:   # Ray ended the worker before its machine was full
            raise MemoryError(str(error).split("\n")[0]) from None
        except (ray_link.Gone, ray.exceptions.RayError) as error:
            if isinstance(error, ray.exceptions.LocalRayletDiedError):
                ray_link.leave(ray)
            raise PlaceLost(self._lost(error, cohort.round, waiting[0][1] if waiting else cohort.ids)) from None
        finally:
            if waiting:   # nobody wants them any more
                ray_link.raise_flag(self._put[1])
                self._put.clear()

    def smaller(self):
        return replace(self, chunk=self.chunk // 2) if self.chunk > 1 else None

    def describe(self):
        return {"executor": "ray", "path": self.way, "chunk": self.chunk, "address": self.address,
                "num_cpus": self.num_cpus, "num_gpus": self.num_gpus}

    def _packed(self, plan: Plan) -> list:
        try:
            return pack(self._each.path(plan))
        except Exception as error:   # noqa: BLE001  (whatever a part of the user's own holds)
            raise BadInput(f"the experiment cannot be sent to the workers ({type(error).__name__}: {error}); define "
                           "its parts at the top level of a cell or module, without locks, files and the like in "
                           "them") from None

    @property
    def _claims(self) -> str:
        return f"{self.num_cpus:g} CPUs" + (f" and {self.num_gpus:g} GPUs" if self.num_gpus else "")

    def _fits(self, node: ray_link.Node) -> int:
        """How many tasks a machine takes at a time."""
        room = int(node.cpus[1] / self.num_cpus)
        return min(room, int(node.gpus[1] / self.num_gpus)) if self.num_gpus else room

    def _must_fit(self, nodes: list[ray_link.Node]) -> None:
        if not any(self._fits(n) for n in nodes):
            has = "; ".join(f"{n.name}: {n.cpus[1]:g} CPUs and {n.gpus[1]:g} GPUs" for n in nodes)
            raise BadInput(f"num_cpus = {self.num_cpus:g} and num_gpus = {self.num_gpus:g}: no machine of the Ray "
                           f"cluster has so many ({has}); ask for less, or add a machine with ray start --address")

    def _otherwise(self) -> str:
        """The way on without a cluster: the same chunk and way, and so the same bits."""
        if self.chunk is None or self.way is None:
            return ""
        return ". To go on on this machine, bit for bit the same: resume(here=True), or fedlab resume FOLDER --here"

    def _lost(self, error: Exception, round: int, ids: Tensor) -> str:
        where = f"the Ray cluster at {self.address}" if self.address else "the Ray cluster"
        whose = f"clients {int(ids[0])} to {int(ids[-1])}"
        name, said = type(error).__name__, str(error).strip().split("\n")[0].rstrip(".")
        if name in ("WorkerCrashedError", "NodeDiedError"):
            what = (f"{where} gave up on {whose} in round {round}: workers that trained them died {RETRIES + 1} times "
                    f"({said}); if memory is short there, take a smaller chunk than {self.chunk} or larger num_cpus")
        elif name in ("Gone", "LocalRayletDiedError"):
            what = f"{where} went away in round {round}" + (f" ({said})" if said else "")
        else:
            what = f"{where} failed in round {round} ({name}: {said})"
        return f"{what}. The rounds before it are kept: resume the run once the cluster is there{self._otherwise()}"


@lru_cache
def _task():
    """Made once: Ray sends a function to its workers each time it is made anew."""
    return ray_link.ray_module().remote(max_retries=RETRIES)(_train)


def _terms() -> tuple[tuple[str, str], ...]:
    """What must be the same on every machine."""
    from . import __version__

    return (("fedlab-widgets", __version__), ("torch", torch.__version__.split("+")[0]),
            ("MKL_CBWR", os.environ.get("MKL_CBWR", "")))


def _shared(state: State) -> State:
    """A state without clients' own rows and what only the server reads."""
    return replace(state, own=None, memory={p: Memory({}, state.memory[p].shared) for p in READ} | {
        "aggregate": Memory()})


def _own(state: State, some: Cohort) -> tuple[Tensor | None, dict[str, dict[str, Tensor]]]:
    """The own rows of some clients: those kept at home, and those of each memory."""
    public = {n: t.gather(some.ids) for n, t in state.memory["aggregate"].own.items() if n in PUBLIC}
    return (None if state.own is None else state.own.gather(some.ids),
            {p: state.memory[p].of(some.ids).own for p in READ} | {"aggregate": public})


@dataclass(frozen=True)
class Rows:
    """A table of which only the rows [C, D] of clients ids [C], ascending, have come along."""

    ids: Tensor
    rows: Tensor

    def gather(self, ids: Tensor) -> Tensor:
        return self.rows[torch.searchsorted(self.ids, ids).to(self.rows.device)]


# --- on a worker ----------------------------------------------------------------------------------------------------

_AT_HAND: dict[str, Plan] = {}   # the plan of the run that this worker works for
_LOOKED = [0.0]                  # when it last asked whether to stop


def _train(terms, gpu, key, plan, shared, cohort, own):
    """A task: what the clients of a chunk do."""
    for (name, here), (_, there) in zip(_terms(), terms, strict=True):
        if name == "MKL_CBWR" and here != there and not _AT_HAND:
            os.environ[name] = there   # read at the first product, which is still to come
        elif here != there:
            raise BadInput(f"{name} {there} steers this run, and {platform.node()} of the Ray cluster has "
                           f"{here or 'none'}; install the same version on every machine")
    torch.set_num_threads(1)
    device = torch.device("cuda", 0) if gpu else torch.device("cpu")
    if gpu and not torch.cuda.is_available():
        raise BadInput(f"num_gpus: {platform.node()} of the Ray cluster offers a GPU, and torch "
                       f"{torch.__version__} sees none there; install a CUDA build of torch, or take num_gpus=0")
    if key not in _AT_HAND:
        _AT_HAND.clear()
        whole = unpack(plan)
        _AT_HAND[key] = replace(whole, world=_on(whole.world, device))
    (half, state), cohort, (kept, own) = unpack(shared, device), unpack(cohort), unpack(own, device)
    state = replace(state, own=None if kept is None else Rows(cohort.ids, kept),
                    memory={p: Memory({n: Rows(cohort.ids, r) for n, r in own[p].items()}, m.shared)
                            for p, m in state.memory.items()})
    return pack(half(_AT_HAND[key], state, partial(_asked_to_stop, key), cohort))


def _asked_to_stop(run: str) -> bool:
    """Whether the run is to stop; it is asked about every LOOK seconds."""
    if time.monotonic() - _LOOKED[0] < LOOK:
        return False
    _LOOKED[0] = time.monotonic()
    return ray_link.flag_is_up(run)


def _on(world: World, device: torch.device) -> World:
    """A world on this machine's device; on the CPU its rows stay where Ray has put them."""
    data = world.data.to(device, world.dtype)
    return replace(world, device=device, data=data, net=world.net.to(device),
                   shards=replace(world.shards, x=data.x, y=data.y, group=data.group))
