from dataclasses import replace

from ..part import part
from ..slots import Distribute
from ..types import Memory, Table


@part
class LastSent(Distribute):
    """Start each client from the model that it was last sent, which may be an old one: for work that is not in step.

    start: [C, P]; once its work has made a round a client is sent the new model, and what other shared values it needs
    (SCAFFOLD's variate); until it reports again it works with these. P numbers a client that has taken part.
    Price: every parameter, once per client asked. Raises nothing of its own.
    Source: Fraboni et al., A General Theory for Federated Optimization with Asynchronous and Heterogeneous Clients
    Updates, JMLR 24, 2023 (arXiv 2206.10189): the model that a client last received.
    """

    def own(self, world, model, fresh):
        return Table(world.clients, model)

    def init(self, world, shared):
        return Memory({name: Table(world.clients, value) for name, value in shared.items()})

    def start(self, world, state, ids):
        return state.own.gather(ids)

    def heard(self, state, ids, mine):
        return replace(mine, shared=state.memory["distribute"].of(ids).own)

    def at_home(self, world, end):
        return None

    def after(self, world, state, ids, model, rows, shared, sent):
        known = {n: value.expand(len(ids), *value.shape) for n, value in shared.items()}
        return model.expand(len(ids), -1), Memory(known)
