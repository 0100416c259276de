import torch
from pydantic import Field

from ..part import part
from ..slots import Personalise
from ..types import Memory, Table
from .needs import a_model_of_all


@part
class Mixture(Personalise):
    """Every client uses a mixture of a model of its own and the one of all (APFL).

    models: alpha v + (1 - alpha) rows [C, P]. learn: v [C, P] takes the steps of the gradient of its own loss at the
    mixture m = alpha v + (1 - alpha) end, which are those of m with alpha^2 times the step size: m' by local training,
    v' = (m' - (1 - alpha) end) / alpha. own: "model" [N, P], and "seen" [N, 1]: a client that never took part uses the
    model of all. Costs as much time as the training itself, and P numbers a client.
    Raises BadInput for alpha outside 0.01 to 1, with a local training without a step size, and where layers stay home.
    Source: Deng, Kamani, Mahdavi, Adaptive Personalized Federated Learning, arXiv 2003.13461, Algorithm 1 (recalled).
    Differs: there both models step in turn, here v follows once the client's copy of the model of all has arrived at
    `end`; alpha is fixed, not learned; and a clip bounds the gradient at m.
    """

    alpha: float = Field(0.5, ge=0.01, le=1, description="share of a client's own model in what it uses")

    def misfits(self, e):
        if not hasattr(e.local, "lr"):
            yield (f"personalise = mixture trains with a smaller step, and local = {e.local.name} has no step size; "
                   "set local to 'sgd'")

    def lacks(self, plan):
        yield from a_model_of_all(self, plan)

    def init(self, world):
        model = world.layout.flatten(world.net, world.dtype, world.device)
        return Memory({"model": Table(world.clients, model), "seen": Table(world.clients, model.new_zeros(1))})

    def learn(self, world, local, start, end, cohort, mine, keys, stop):
        rest = (1 - self.alpha) * end
        solver = local.model_copy(update={"lr": local.lr * self.alpha**2} | ({"correct": ()} if hasattr(
            local, "correct") else {}))
        done = solver.train(world, self.alpha * mine.own["model"] + rest, cohort, Memory(), keys, None, stop)
        return {"model": (done.end - rest) / self.alpha, "seen": torch.ones_like(mine.own["seen"])}

    def models(self, world, local, rows, cohort, mine, keys):
        mixed = self.alpha * mine.own["model"] + (1 - self.alpha) * rows
        return torch.where(mine.own["seen"] > 0, mixed, rows)
