"""`fedlab doctor`: what this machine has, and what to do where something is missing."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from rich.console import Console

from .forecast import size

NEEDED_DISK = 200 * 10**6


def report(console: Console) -> bool:
    """Print one line a finding; True when nothing is wrong."""
    wrong = 0
    for good, what, remedy in checks():   # each as it is found: the data take a moment
        console.print(f"ok     {what}" if good else f"WRONG  {what}: {remedy}", soft_wrap=True)
        wrong += not good
    console.print(f"\n{wrong} to put right" if wrong else "\nNothing is missing", soft_wrap=True)
    return not wrong


def checks():
    """(good, what was found, what to do if it is not good) for everything a run needs."""
    import torch

    good = (3, 11) <= sys.version_info[:2] <= (3, 13)
    yield good, f"Python {platform.python_version()} on {platform.platform()}", "install Python 3.11, 3.12 or 3.13"
    here = Path(__file__).parent
    try:
        yield True, f"fedlab-widgets {version('fedlab-widgets')} in {here}", ""
    except PackageNotFoundError:
        yield False, f"fedlab-widgets in {here} is not installed", "pip install . in the checkout"
    for name, wanted in sorted(_wanted().items()):
        try:
            found = version(name)
            fits = wanted is None or wanted.contains(found, prereleases=True)
            yield fits, f"{name} {found}", f"pip install '{name}{wanted or ''}'"
        except PackageNotFoundError:
            yield False, f"{name} is missing", f"pip install '{name}{wanted or ''}'"
    from .widgets.front_end import findings

    yield from findings()
    from . import machine  # late, so that a missing psutil was said before

    memory = machine.cpu().free
    yield memory > 10**9, f"{size(memory)} of memory free", "close other programs, or use fewer clients a round"
    gpus = machine.gpus()
    for gpu in gpus:
        yield True, machine.words(gpu), ""
    if not gpus and shutil.which("nvidia-smi"):
        yield False, f"an NVIDIA driver is here, and torch {torch.__version__} sees no GPU: runs use the CPU", (
            "install a CUDA build of torch, https://pytorch.org/get-started")
    elif not gpus:
        yield True, f"no CUDA GPU: runs use the CPU ({os.cpu_count()} cores)", ""
    free = shutil.disk_usage(Path.cwd()).free
    yield free > NEEDED_DISK, f"{size(free)} of disk free in {Path.cwd()}", "make room, or run elsewhere with --out"
    from .part import BadInput
    from .tasks import readers

    for name, read in (("adult", readers.read_adult), ("mnist", readers.read_mnist), ("digits", readers.read_digits)):
        try:
            yield True, f"data set {name}: {len(read().y):,} rows", ""
        except BadInput as error:
            yield False, f"data set {name}: {error}", "reinstall fedlab-widgets"


def _wanted() -> dict:
    """The requirements of the installed package, without extras."""
    try:
        from packaging.requirements import Requirement
    except ImportError:
        return {}
    try:
        lines = requires("fedlab-widgets") or []
    except PackageNotFoundError:
        return {}
    found = [Requirement(line) for line in lines if "extra ==" not in line]
    return {r.name: r.specifier if str(r.specifier) else None for r in found}
