from pydantic import Field

from ..part import part
from ..slots import Personalise
from ..types import Memory, never
from .needs import a_model_of_all


@part
class FineTune(Personalise):
    """Every client trains the model of all a little further on its own rows before it uses it.

    models: `epochs` passes of the local training, with its first step size times `scale` and no corrections, from rows
    [C, P]; done anew at each reading, for the clients of the panel, and nothing is remembered. What is trained together
    does not change. Raises BadInput for fields out of range, with a local training that counts neither epochs nor a
    step size, where layers stay at home, and with parts of the slot fairness that tell clients what they do not know.
    Source: standard; e.g. Yu, Bagdasaryan, Shmatikov, Salvaging Federated Learning by Local Adaptation, arXiv
    2002.04758 (recalled).
    """

    epochs: int = Field(1, ge=1, le=100, description="passes over a client's rows")
    scale: float = Field(1.0, gt=0, le=100, description="step size, in step sizes of the local training")

    def misfits(self, e):
        if not (hasattr(e.local, "lr") and hasattr(e.local, "epochs")):
            yield (f"personalise = fine_tune needs epochs and a step size, and local = {e.local.name} has not both; "
                   "set local to 'sgd'")

    def lacks(self, plan):
        yield from a_model_of_all(self, plan)
        for f in plan.experiment.fairness:
            if f.tells(plan.world):
                yield (f"personalise = fine_tune trains when nobody is asked or told anything, and fairness = {f.name} "
                       "tells clients something in every round; leave one of them out, or set personalise to own_model")

    def models(self, world, local, rows, cohort, mine, keys):
        # Not by the schedule of the rounds: after the last one its steps may be of no length.
        plain = {"schedule": "constant", "correct": (), "steps": None}
        solver = local.model_copy(update={name: v for name, v in plain.items() if hasattr(local, name)} | {
            "lr": local.lr * self.scale, "epochs": self.epochs})
        return solver.train(world, rows.expand(len(cohort), -1), cohort, Memory(), keys, None, never).end
