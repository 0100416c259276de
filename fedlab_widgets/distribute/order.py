from ..part import part
from ..ranking import ballot
from ..server.by_rank import ScoresByRank
from ..slots import Distribute
from ..wire import native_price


@part
class Order(Distribute):
    """Send everybody the order of the scores alone: clients know the scores, and put them there (FRL).

    start: the model [P] seen as [C, P] without a copy. Price: of each tensor of n scores n ceil(log2 n) bits, all
    together in whole bytes. The seed, from which clients draw the fixed weights and the sorted scores once, is not
    priced. Raises BadInput for servers other than ScoresByRank, whose models are no orders. Source: Mozaffari et al.,
    USENIX Security 2023 (see RankSGD).
    """

    def misfits(self, e):
        if not isinstance(e.server, ScoresByRank):
            yield (f"distribute = order sends an order of scores that clients know, and server = {e.server.name} makes "
                   "new ones; set server to 'scores_by_rank', or distribute to 'broadcast'")

    def start(self, world, state, ids):
        return state.model.expand(len(ids), -1)

    def price(self, world):
        return native_price(ballot(world.layout, world.sent))
