"""`fedlab`: run, resume, show, list, doctor. Exit status 0 done, 1 the run failed, 2 bad input, 130 interrupted."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .part import BadInput

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False,
                  help="Federated learning on your own machine: run experiments, look at them, go on with them.")
Out = Annotated[Path | None, typer.Option(help="Folder to write; it must not be there yet.", show_default=False)]
Sets = Annotated[list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", show_default=False,
                                               help="Change a field; the value is JSON or a plain word. Repeatable.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda:0 …", show_default=False)]
Rounds = Annotated[int | None, typer.Option(help="Server updates.", show_default=False)]
Seeds = Annotated[int, typer.Option(help="How many runs, with seed, seed + 1, …")]
Single = Annotated[bool, typer.Option("--one-by-one", help="Train clients one after another (the reference path).")]


def console() -> Console:
    return Console(highlight=False)


@app.command()
def run(what: Annotated[str, typer.Argument(metavar="[RECIPE or SPEC.json]")] = "fedavg", sets: Sets = None,
        rounds: Rounds = None, out: Out = None, device: Device = None, seeds: Seeds = 1, one_by_one: Single = False):
    """Run a recipe or a spec file, write the run folder, print the result."""
    from . import OneByOne
    from .session import run as go
    from .show import table

    experiment = read(what, sets or [], rounds)
    console().print(f"{experiment.name}: {experiment.forecast(device)}", soft_wrap=True)
    done = go(experiment, out, OneByOne() if one_by_one else None, device, seeds, progress=True)
    table(done, console())
    raise typer.Exit(1 if done.status == "failed" else 0)


@app.command()
def resume(folder: Path):
    """Go on with a run that was stopped, interrupted or killed."""
    from .session import resume as go
    from .show import table

    done = go(folder, progress=True)
    table(done, console())
    raise typer.Exit(1 if done.status == "failed" else 0)


@app.command()
def show(folder: Path):
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
def doctor():
    """Check Python, torch, device and memory, versions, disk and data, each with its remedy."""
    from .doctor import report

    raise typer.Exit(0 if report(console()) else 1)


def read(what: str, sets: list[str], rounds: int | None):
    """The experiment that the command line names. Raises BadInput."""
    from . import Experiment, recipe

    if what.endswith(".json") or Path(what).is_file():
        try:
            experiment = Experiment.from_json(Path(what).read_bytes())
        except OSError as error:
            raise BadInput(f"{what} cannot be read ({error.strerror}); give a recipe (see fedlab list) or a spec file") from None
    else:
        experiment = recipe(what)
    changes = {}
    for text in sets:
        path, sign, value = text.partition("=")
        if not sign or not path:
            raise BadInput(f"--set {text!r} is no FIELD=VALUE; write --set local.lr=0.05")
        try:
            changes[path.strip()] = json.loads(value)
        except ValueError:
            changes[path.strip()] = value.strip()
    if rounds is not None:
        changes["rounds"] = rounds
    return experiment.changed(**changes)


def main() -> None:
    """The entry point: every error a user can cause ends in one sentence."""
    warnings.showwarning = lambda message, *rest, **more: print(f"note: {message}", file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")   # Windows consoles and pipes
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(_say("interrupted: what was recorded stays; go on with fedlab resume FOLDER", 130))
    except BadInput as error:
        sys.exit(_say(str(error), 2))
    except (OSError, RuntimeError) as error:   # a full disk, a mismatch, torch giving up: the run failed
        sys.exit(_say(str(error), 1))


def _say(text: str, status: int) -> int:
    print(f"fedlab: {text}", file=sys.stderr)
    return status
