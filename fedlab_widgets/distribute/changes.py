from dataclasses import replace

from ..part import part
from ..slots import Distribute
from ..types import payload_bytes


@part
class Changes(Distribute):
    """Send everybody what changed in the last round: the fragment that moved, where only some of the model moves.

    start: the model [P] seen as [C, P] without a copy. Price: all columns once, before the first round (clients have
    nothing yet); from then on the columns that travelled in the round before, which are those that moved. For clients
    that take part in every round, with a local training that sends fragments in turn; with another everything moves.
    Raises nothing of its own. Source: Douillard et al., Streaming DiLoCo (arXiv 2501.18512): workers receive the
    synchronised fragment alone; the bill for the first model is ours.
    """

    certain = False   # `price` is that of the whole model: an upper bound

    def start(self, world, state, ids):
        return state.model.expand(len(ids), -1)

    def downloads(self, plan, state, cohort):
        world, local = plan.world, plan.experiment.local
        moved = None
        if state.round and local.in_turn:
            moved = local.travels(world, replace(state, round=state.round - 1))
        return cohort.invited * payload_bytes((moved or world.sent).width, world.dtype)
