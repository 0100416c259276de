"""A sweep as a panel: two fields changed, every choice with every other, as a heat map that fills in while it runs."""

from __future__ import annotations

import asyncio
import html as markup
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ipywidgets as w
import pandas as pd
from IPython.display import HTML, display

from ..attack import Backdoor
from ..evaluate.backdoor import attack_success
from ..executors import Executor
from ..part import BadInput
from ..progress import lasting
from ..run import Run
from ..spec import Experiment
from ..sweep import Grid, Sweep
from .controls import NOTHING
from .form_look import Names
from .runner import AT_WORK, Phase
from .sweep_map import LOOK, SweepMap, page
from .sweep_runner import SweepRunner
from .why import explained
from .words import Word
