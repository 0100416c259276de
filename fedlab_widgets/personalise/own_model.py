import torch
from pydantic import Field

from ..part import part
from ..slots import Correct, Personalise
from ..types import Memory, Table
from .needs import a_model_of_all


class Anchored(Correct):
    """Pull local weights to a row that is given: g' = g + mu w - mu anchor, anchor [C, P] from memory."""

    mu: float = Field(1.0, ge=0, description="strength of the pull")

    def affine(self, world, start, mine):
        return self.mu, -self.mu * mine.own["anchor"]


@part
class OwnModel(Personalise):
    """Every client trains a model of its own as well, pulled towards the one of all (Ditto).

    learn: from its row v [C, P], the same steps on the same rows as the training of the round, by other draws, with
    mu (v - start) added to every gradient; start is the model that the client received. mu = 0 is training alone,
    more is closer to all. own: "model" [N, P], and "seen" [N, 1]: a client that never took part uses the model of all.
    Liars train theirs on true rows. Costs as much time as the training itself, and P numbers a client. Raises BadInput
    for mu outside 0 to 100, with a local training that takes no corrections, and where layers stay at home.
    Source: Li et al., Ditto: Fair and Robust Federated Learning Through Personalization, ICML 2021, Algorithm 1
    (solver and order of the two trainings recalled); there v starts from the first model of all, as here.
    """

    mu: float = Field(0.1, ge=0, le=100, description="pull of a client's own model to the model of all")

    def misfits(self, e):
        if not hasattr(e.local, "correct"):
            yield (f"personalise = own_model trains with a pull, and local = {e.local.name} takes no corrections; set "
                   "local to 'sgd'")

    def lacks(self, plan):
        yield from a_model_of_all(self, plan)

    def init(self, world):
        model = world.layout.flatten(world.net, world.dtype, world.device)
        return Memory({"model": Table(world.clients, model), "seen": Table(world.clients, model.new_zeros(1))})

    def learn(self, world, local, start, end, cohort, mine, keys, stop):
        solver = local.model_copy(update={"correct": (Anchored(mu=self.mu),)})
        anchor = Memory({"0.anchor": start.expand(len(cohort), -1)})
        done = solver.train(world, mine.own["model"], cohort, anchor, keys, None, stop)
        return {"model": done.end, "seen": torch.ones_like(mine.own["seen"])}

    def models(self, world, local, rows, cohort, mine, keys):
        return torch.where(mine.own["seen"] > 0, mine.own["model"], rows)
