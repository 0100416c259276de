"""What became of a backdoor: how often its trigger brings the label that liars wanted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..attack import Backdoor
from ..part import BadInput
from ..session import one_thread
from ..widgets.fairness import Rate, wilson
from ..world import pick_device, world_of


@dataclass(frozen=True)
class AttackSuccess:
    """Of `rows` test rows whose label is not the target: how many are given it, with the trigger and without."""

    target: str
    rows: int
    hits: int
    before: int

    @property
    def rate(self) -> float:
        """The attack success rate, 0 to 1: the share given the target label when they carry the trigger."""
        return self.hits / self.rows

    @property
    def without(self) -> float:
        """The same share, 0 to 1, of the same rows as they are: what is the model's own error, and not the trigger."""
        return self.before / self.rows

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the rate (Wilson), over rows; it knows nothing of other seeds."""
        return wilson(Rate("", self.rows, self.hits))

    def __str__(self) -> str:
        low, high = self.interval
        return (f"with the trigger {100 * self.rate:.1f} % of {self.rows:,} test rows of other labels are taken for "
                f"{self.target} (95 % interval {100 * low:.1f} to {100 * high:.1f} %), without it "
                f"{100 * self.without:.1f} %")


def attack_success(run, attack: Backdoor | None = None) -> AttackSuccess:
    """The attack success rate of a run's last kept model, on the task's test rows whose label is not the target.

    attack: whose trigger and target are tried; the run's own when not given (give one to read a run without liars).
    Raises BadInput where neither is a backdoor, no row has another label, or the run has kept no model yet.
    Source: Bagdasaryan et al., AISTATS 2020 (backdoor accuracy).
    """
    attack = run.experiment.attack if attack is None else attack
    if not isinstance(attack, Backdoor):
        raise BadInput(f"{run.path} has no backdoor, so that no trigger is known; give attack=fl.Backdoor(…)")
    with one_thread():
        data = world_of(run.experiment, pick_device("cpu")).data
        other = data.test_y != attack.target
        if attack.target >= len(data.labels) or not other.any():
            raise BadInput(f"attack.target = {attack.target} leaves no test row of another label to try; the labels go "
                           f"from 0 to {len(data.labels) - 1}")
        x = data.test_x[other]
        hits, before = (int(np.sum(run.predict(rows) == attack.target)) for rows in (attack.triggered(x), x))
    return AttackSuccess(data.labels[attack.target], len(x), hits, before)
