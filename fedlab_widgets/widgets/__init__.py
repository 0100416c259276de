"""The lab: form, runner, board, panels. Nothing here is needed to run an experiment."""

from .hearing import mend

mend()
