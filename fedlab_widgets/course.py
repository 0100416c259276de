"""The course: notebooks that ship with the package, opened in JupyterLab."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from .part import BadInput

_INSTALLED = Path(__file__).parent / "notebooks"
_CHECKOUT = Path(__file__).parents[1] / "notebooks"
FIRST = "00_first_run.ipynb"
# Else JupyterLab asks, in a pop-up over the lab, whether it may fetch news. Nothing here needs a network.
QUIET = ("--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate")


def course_folder(wanted: Path | None = None) -> Path:
    """A folder with the notebooks that may be written: the checkout's own, else a copy in `wanted` or ./fedlab-course.

    A notebook that is there already is left as it is. Raises BadInput when the notebooks are missing or the copy fails.
    """
    if wanted is None and not _INSTALLED.is_dir() and (_CHECKOUT / FIRST).is_file():
        return _CHECKOUT
    source = next((f for f in (_INSTALLED, _CHECKOUT) if (f / FIRST).is_file()), None)
    if source is None:
        raise BadInput("the notebooks are not in this installation; reinstall fedlab-widgets")
    target = Path(wanted or "fedlab-course")
    try:
        target.mkdir(parents=True, exist_ok=True)
        for notebook in sorted(source.glob("*.ipynb")):
            if not (target / notebook.name).exists():
                shutil.copyfile(notebook, target / notebook.name)
    except OSError as error:
        raise BadInput(f"{target} cannot be written ({error.strerror}); give another folder: "
                       "fedlab lab FOLDER") from None
    return target


def open_lab(wanted: Path | None = None, browser: bool = True) -> int:
    """Run JupyterLab on the first notebook until it is closed; its exit status."""
    folder = course_folder(wanted)
    print(f"opening JupyterLab on {folder / FIRST}; end it with Ctrl-C", file=sys.stderr)
    # By address and not as a file: then the address that is printed opens the notebook, too. -y: one Ctrl-C ends all.
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder.resolve()}",
               f"--LabApp.default_url=/lab/tree/{FIRST}", "-y", *QUIET, *([] if browser else ["--no-browser"])]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")   # in a container there is often nobody else
    if os.name != "nt":   # JupyterLab in this very process: it gets every signal itself, and its status is ours
        os.execv(command[0], command)
    try:
        return subprocess.run(command).returncode
    except KeyboardInterrupt:
        return 0
