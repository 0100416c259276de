from ..part import part
from ..prefixes import listed
from ..slots import Distribute


@part
class Survivors(Distribute):
    """Send parties the list of prefixes that were kept, as long as they grow one tree: prefixes, and nothing else.

    start: the model [P] seen as [C, P] without a copy. Downloads: ceil(l / 8) bytes for each prefix of l bits that is
    on the list, to all who are asked while there is one tree and in the round after; later only to parties that have
    no list of their own that is further. Estimates on the list stay with the server. Price: half of the longest list,
    as lists grow. Raises BadInput without PrefixExtension.
    Source: Zhang, Ye, Hu, SIGMOD 2025 (arXiv 2412.14832): the server broadcasts what survives.
    """

    certain = False

    def start(self, world, state, ids):
        return state.model.expand(len(ids), -1)

    def price(self, world):
        width, bits = world.net.bits.shape
        return width * -(-bits // 8) // 2

    def downloads(self, plan, state, cohort):
        local, world = plan.experiment.local, plan.world
        prefix, length = listed(world, state.model[None])
        asked = cohort.invited
        if not local.common(state.round):
            asked = int((state.memory["local"].own["length"].gather(cohort.ids) < length).sum())
        return asked * int((prefix >= 0).sum()) * -(-int(length) // 8)

    def misfits(self, e):
        from ..local.prefix_extension import PrefixExtension  # which comes later

        if not isinstance(e.local, PrefixExtension):
            yield (f"distribute = survivors sends a list of prefixes, and local = {e.local.name} keeps none; set "
                   "distribute to 'broadcast'")
