from ..part import part
from ..slots import Distribute


@part
class Broadcast(Distribute):
    """Send everybody the one global model.

    start: the model [P] seen as [C, P] without a copy. Price: every parameter, once per client asked.
    Raises nothing of its own. Source: McMahan et al., AISTATS 2017, Algorithm 1.
    """

    def start(self, world, state, ids):
        return state.model.expand(len(ids), -1)
