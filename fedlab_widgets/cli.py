"""`fedlab`: run, resume, show, list, doctor. Exit status 0 done, 1 the run failed, 2 bad input, 130 interrupted."""

from __future__ import annotations

import json
import re
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from .part import BadInput

if TYPE_CHECKING:
    from .run import Run

USAGE = typer.BadParameter.__base__   # a wrong option or command, under whichever name typer ships click
app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False,
                  help="Federated learning on your own machine: run experiments, look at them, go on with them.")
Out = Annotated[Path | None, typer.Option(help="Folder to write; it must not be there yet.", show_default=False)]
Sets = Annotated[list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", show_default=False,
                                               help="Change a field; the value is JSON or a plain word. Repeatable.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda:0 …", show_default=False)]
# Numbers are read as texts: then the experiment itself says what is wrong with them, with the range.
Rounds = Annotated[str | None, typer.Option(metavar="NUMBER", help="Server updates.", show_default=False)]
Seeds = Annotated[str, typer.Option(metavar="NUMBER", help="How many runs, with seed, seed + 1, …")]
Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="What fedlab run wrote.", show_default=False)]
Single = Annotated[bool, typer.Option("--one-by-one", help="Train clients one after another (the reference path).")]


def console() -> Console:
    return Console(highlight=False, markup=False, emoji=False)   # names and paths are printed as they are


@app.command()
def run(what: Annotated[str, typer.Argument(metavar="[RECIPE or SPEC.json]")] = "fedavg", sets: Sets = None,
        rounds: Rounds = None, out: Out = None, device: Device = None, seeds: Seeds = "1", one_by_one: Single = False):
    """Run a recipe or a spec file, write the run folder, print the result."""
    from . import OneByOne
    from .session import folder_for
    from .session import run as go

    experiment = read(what, sets or [], rounds)
    folder = folder_for(experiment, out)
    console().print(f"{experiment.name}: {experiment.forecast(device)}", soft_wrap=True)
    executor = OneByOne() if one_by_one else None
    finish(folder, lambda: go(experiment, folder, executor, device, value(seeds), progress=True))


@app.command()
def resume(folder: Folder, here: Annotated[bool, typer.Option(
        "--here", help="On this machine, where it ran on a cluster.")] = False):
    """Go on with a run that was stopped, interrupted or killed."""
    from .run import open_run

    finish(folder, lambda: open_run(folder).resume(here=here, progress=True))


@app.command()
def show(folder: Folder):
    """Print what a run folder holds."""
    from .run import open_run
    from .show import table

    table(open_run(folder), console())


@app.command("list")
def list_():
    """List recipes, and the parts of every slot."""
    from .show import listing

    listing(console())


@app.command()
def lab(folder: Annotated[Path | None, typer.Argument(help="Where to put the course.", show_default=False)] = None,
        browser: Annotated[bool, typer.Option(help="Open a browser window.")] = True):
    """Open JupyterLab on the first notebook of the course (a copy of your own, when this is no checkout)."""
    from .course import open_lab

    raise typer.Exit(open_lab(folder, browser))


@app.command()
def bench(works: Annotated[list[str] | None, typer.Argument(metavar="[W1 … W4, W4s-1e3 … W4s-1e6, pid, robust]",
                                                            show_default=False)] = None,
          repeats: Annotated[str, typer.Option(metavar="NUMBER", help="Rounds of each that are timed.")] = "5",
          device: Device = None, raw: Annotated[bool, typer.Option(help="Time the plain PyTorch loop beside.")] = True,
          extra: Annotated[bool, typer.Option("--extras", help="What other methods cost on top of FedAvg.")] = False,
          as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a work.")] = False):
    """Time this machine on the four benchmark works, against a plain PyTorch loop in the same process.

    W4s-1e3 to W4s-1e6 are W3 with so many registered clients; to compare memory, run each in a command of its own. pid:
    the decomposition of disparity; robust: rules against liars, beside byzfl.
    """
    from .bench import WORKS, compare
    from .bench.extras import extras

    for name in works or WORKS:
        if name in ("pid", "robust"):
            for line in import_module(f".bench.{name}", __package__).lines():
                console().print(line, soft_wrap=True)
            continue
        found = compare(name, value(repeats), device=device, raw=raw)
        if extra:
            found["extras"] = extras(name, value(repeats), device=device)
        if as_json:
            print(json.dumps(found))
            continue
        ratio = f", {found['ratio_raw']:.1f} times the speed of the raw loop" if raw else ""
        shares = ", ".join(f"{share} {part:.0%}" for share, part in found["shares"].items())
        console().print(f"{name}: {found['ms_round']:.1f} ms a round of {found['steps']:,} steps{ratio}, "
                        f"{found['peak_mb']:.0f} MB, by {found['path']['path']} ({shares})", soft_wrap=True)
        if extra:
            console().print("    on top of FedAvg: " + ", ".join(f"{what} {part:+.0%}" for what, part in
                                                                  found["extras"].items()), soft_wrap=True)


@app.command()
def doctor():
    """Check Python, torch, device and memory, versions, disk and data, each with its remedy."""
    from .doctor import report

    raise typer.Exit(0 if report(console()) else 1)


def finish(folder: Path, work: Callable[[], Run]) -> None:
    """Do the work, print the run that comes of it, and leave with the status that fits."""
    from .show import table

    try:
        done = work()
    except KeyboardInterrupt:
        way = "nothing was written"
        if folder.exists():
            way = f"what was recorded stays; go on with fedlab resume {folder}"
        raise typer.Exit(_say(f"interrupted: {way}", 130)) from None
    table(done, console())
    raise typer.Exit(1 if any(r.status == "failed" for r in (done, *done.replicates)) else 0)


def read(what: str, sets: list[str], rounds: str | None):
    """The experiment that the command line names. Raises BadInput."""
    from . import Experiment, recipe
    from .recipes import BOOK

    known = what in BOOK   # before files: a run folder may be called like its recipe
    if not known and what and Path(what).is_dir():
        raise BadInput(f"{what!r} is a folder; go on with the run in it by fedlab resume, or give a spec file")
    if not known and (what.endswith(".json") or Path(what).is_file()):
        try:
            experiment = Experiment.from_json(Path(what).read_bytes())
        except OSError as error:
            raise BadInput(f"{what} cannot be read ({error.strerror}); give a recipe (see fedlab list) or a spec file "
                           "that is there") from None
        except BadInput as error:
            raise BadInput(f"{what}: {error}") from None
    else:
        experiment = recipe(what)
    changes = {}
    for text in sets:
        path, sign, given = text.partition("=")
        if not sign or not path:
            raise BadInput(f"--set {text!r} is no FIELD=VALUE; write --set local.lr=0.05")
        changes[path.strip()] = value(given)
    if rounds is not None:
        changes["rounds"] = value(rounds)
    return experiment.changed(**changes)


def value(text: str):
    """JSON, or else a plain word. Raises BadInput for what was meant as JSON and is none."""
    try:
        return json.loads(text)
    except ValueError as error:
        if text.strip().startswith(("{", "[", '"')):   # perhaps the shell took its quotes
            raise BadInput(f"{text} is no JSON ({error}); put it in single quotes: "
                           "--set aggregate='{\"part\":\"mean\",\"weights\":\"uniform\"}'") from None
        return text.strip()


def main() -> None:
    """The entry point: every error a user can cause ends in one sentence."""
    warnings.showwarning = _note()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")   # Windows consoles and pipes
    sys.exit(_status(sys.argv[1:]))


def _status(words: list[str]) -> int:
    try:
        status = app(words or ["--help"], "fedlab", standalone_mode=False)
        return (status or 0) if words else 2
    except (KeyboardInterrupt, typer.Abort):   # before there was a run
        return _say("interrupted: nothing was written", 130)
    except BadInput as error:
        return _say(str(error), 2)
    except USAGE as error:
        about = error.ctx.command_path if error.ctx else "fedlab"
        return _say(f"{error.format_message().rstrip('.')}; see {about} --help", 2)
    except (OSError, RuntimeError) as error:   # a full disk, a mismatch, torch giving up: the run failed
        return _say(str(error), 1)


def _say(text: str, status: int) -> int:
    print(f"fedlab: {text.removesuffix('.')}", file=sys.stderr)
    return status


def _note() -> Callable[..., None]:
    """Prints each warning once, however many rounds it is true of; the table says how many."""
    seen = set()

    def show(message, *_, **__):
        text = re.sub(r"^round \d+: ", "", str(message))
        if text not in seen:
            seen.add(text)
            print(f"note: {text}", file=sys.stderr)

    return show
