"""The way to a Ray cluster: joining one, watching that it is still there, and what its machines do.

Ray ends the process whose cluster has been silent for a minute, and waits for minutes before it says that an address is
wrong: in a notebook both would cost the user everything in the kernel. So an address is tried before Ray is given it,
and a guard lets go of a cluster that has gone, well before that minute is over.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from typing import NamedTuple

from .part import BadInput

PATIENCE = 20.0   # seconds without a sign of life until a cluster counts as gone; Ray itself ends the process after 60
TICK = 1.0        # seconds between two looks
LOCAL = ("", "localhost", "127.0.0.1", "::1")
# Held while Ray is asked something, so that nobody lets go of the cluster meanwhile.
ASKING = threading.RLock()
_OURS: set[str] = set()   # addresses that were joined here, not by the user
_SEEN: dict[str, list[Node]] = {}   # the machines of the guarded cluster at its address, at most a TICK ago


class Gone(Exception):
    """There is no connection any more."""


class Node(NamedTuple):
    """A machine of the cluster: CPUs and GPUs in use and in all, as tasks have claimed them; bytes of memory that Ray
    may use; bytes of its object store in use and in all."""

    name: str
    cpus: tuple[float, float]
    gpus: tuple[float, float]
    memory: float
    store: tuple[float, float]


def ray_module():
    """Ray, or BadInput with what to install."""
    try:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")   # a laboratory tells nobody what is done in it
        import ray
        from ray._private import auto_init_hook
    except ImportError:
        raise BadInput("Ray is not installed here; pip install 'fedlab-widgets[ray]', on every machine of the "
                       "cluster") from None
    auto_init_hook.enable_auto_connect = False   # else whoever asks a cluster that has gone waits for another
    return ray


def join(address: str | None):
    """Ray, connected to the cluster at an address; None for RAY_ADDRESS, else the one that runs on this machine, else
    one that is started here and ends with this process. Raises BadInput in words for what cannot be joined."""
    ray = ray_module()
    address = None if address in (None, "", "auto") else address.strip()
    if address is not None and "://" in address:
        raise BadInput(f"address = {address!r} goes by Ray Client, which is not supported; make this machine one of "
                       "the cluster with ray start --address=HOST:6379 --num-cpus=0, and give HOST:6379")
    with ASKING:
        here = _where(ray) if ray.is_initialized() else None
        if here and (address is None or _same(address, here)):
            return _guarded(ray, here)
        if here and here not in _OURS:
            raise BadInput(f"address = {address!r}, and this process is connected to the Ray cluster at {here} "
                           "already; leave the address out to use that one, or call ray.shutdown() first")
        wanted = address or os.environ.get("RAY_ADDRESS") or _running(ray)
        if wanted and not answers(wanted):
            named = f"address = {address!r}" if address else f"RAY_ADDRESS = {wanted!r}"
            raise BadInput(f"{named}: no Ray cluster answers there; start one with ray start --head and give the "
                           "HOST:6379 that it names, or give no address for one on this machine")
        if here:
            leave(ray)
        try:
            ray.init(address=wanted or "local", log_to_driver=False, logging_level="error",
                     **({} if wanted else {"include_dashboard": False}))
        except Exception as error:   # noqa: BLE001  (Ray has many; what it says first is the cause)
            said = " ".join(str(error).split())[:300]
            way = ("install the same versions of Ray and Python here and there" if "ersion mismatch" in said else
                   f"make this machine one of the cluster with ray start --address={wanted} --num-cpus=0" if wanted else
                   "start one with ray start --head to see more")
            raise BadInput(f"address = {wanted or 'local'!r}: the Ray cluster cannot be joined ({said}); "
                           f"{way}") from None
        _OURS.add(_where(ray))
        return _guarded(ray, _where(ray))


def leave(ray) -> None:
    """Let go of a cluster; of one that has gone even when somebody is still waiting for its answer."""
    held = ASKING.acquire(timeout=10)
    try:
        ray.shutdown()
    finally:
        if held:
            ASKING.release()


def answers(address: str, timeout: float = 3.0) -> bool:
    """Whether a Ray cluster lives at an address: it greets as HTTP/2 does, with a frame of settings."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]") or "localhost", int(port)), timeout) as to:
            if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):   # it would not answer to plain text
                return True
            to.settimeout(timeout)
            to.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5))
            return to.recv(9)[3:4] == b"\x04"
    except (OSError, ValueError, OverflowError):
        return False


def ask(what, *args, **more):
    """what(*args, **more) of a Ray that is connected. Raises Gone."""
    with ASKING:
        if not ray_module().is_initialized():
            raise Gone
        return what(*args, **more)


def nodes() -> list[Node]:
    """The machines that were alive a moment ago, by name; none without a connection."""
    return next(iter(_SEEN.values()), []) if _SEEN and ray_module().is_initialized() else []


def raise_flag(name: str) -> None:
    """Let every worker of the cluster know a word. (`ray.cancel` would do to stop a task, and now and then takes this
    process with it: Ray 2.60 fails a check of its own when a cancelled task comes back all the same.)"""
    with ASKING:
        ray = ray_module()
        if ray.is_initialized() and answers(_where(ray)):
            from ray.experimental.internal_kv import _internal_kv_put

            _internal_kv_put(name.encode(), b"1", namespace=b"fedlab")


def flag_is_up(name: str) -> bool:
    """On a worker: whether the word was said."""
    from ray.experimental.internal_kv import _internal_kv_get

    return _internal_kv_get(name.encode(), namespace=b"fedlab") is not None


def _nodes(ray) -> list[Node]:
    from ray._private.state import state

    free = state.available_resources_per_node()

    def used(node, name):
        has = node["Resources"].get(name, 0.0)
        left = free[node["NodeID"]].get(name, 0.0) if node["NodeID"] in free else has
        return has - left, has

    return sorted(Node(n["NodeManagerHostname"], used(n, "CPU"), used(n, "GPU"), n["Resources"].get("memory", 0.0),
                       used(n, "object_store_memory")) for n in state.node_table() if n["Alive"])


def _where(ray) -> str:
    return ray.get_runtime_context().gcs_address


def _same(address: str, here: str) -> bool:
    (host, _, port), (host_here, _, port_here) = address.rpartition(":"), here.rpartition(":")
    if port != port_here:
        return False
    try:
        return host in LOCAL or socket.gethostbyname(host) == socket.gethostbyname(host_here)
    except OSError:
        return False


def _running(ray) -> str | None:
    """The cluster that ray start began on this machine, if it still lives."""
    try:
        address = ray._private.utils.read_ray_address(None)
    except Exception:   # noqa: BLE001  (not part of Ray's public face)
        return None
    return address if address and answers(address) else None


def _guarded(ray, here: str):
    if here not in _SEEN:
        _SEEN.clear()
        _SEEN[here] = _nodes(ray)
        threading.Thread(target=_guard, args=(ray, here), daemon=True, name="fedlab ray").start()
    return ray


def _guard(ray, here: str) -> None:
    """Look at the machines, and let go of a cluster that has gone, before Ray ends this process for it. Only this
    thread asks about machines, and only of a cluster that answers: without one the question stops the process."""
    sign = time.monotonic()
    with suppress(Exception):   # somebody let go of it at this very moment
        while ask(_where, ray) == here:
            if answers(here):
                sign = time.monotonic()
                _SEEN[here] = ask(_nodes, ray)
            elif time.monotonic() - sign > PATIENCE:
                leave(ray)
            time.sleep(TICK)
    _SEEN.pop(here, None)
