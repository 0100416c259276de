from ..part import part
from ..prefixes import as_bits, numbers
from ..slots import Aggregate
from ..types import Kind
from .rows import gathered


@part
class SumByItem(Aggregate):
    """Add up, item by item, what parties have counted: a row is a list of items, each with an estimate.

    combine: rows [C, D] of estimates [E], three numbers about them, and items [E, M] in bits -> one such list of the
    items that anybody lists, the E highest of them, the highest first; an item counts 0 for parties that do not list
    it, an estimate of exactly 0 is an empty place, and what is known about estimates is added too. It is a sum over the
    parties that came: users of others are not counted. Nothing is cut off at 0 before the sum, which would bias it.
    Raises BadInput for rows that are no lists.
    Source: Zhang, Ye, Hu, SIGMOD 2025 (arXiv 2412.14832): the server's half of finding heavy hitters.
    """

    tag = "of lists"
    takes = frozenset({Kind.VALUES, Kind.BITS})

    def combine(self, world, total, weights, expected, cohort, mine):
        rows, bits = gathered(total), world.net.bits.shape[-1]
        most = (rows.shape[1] - 3) // (bits + 1)
        estimate, about, items = rows.split([most, 3, most * bits], dim=1)
        used, by = estimate != 0, weights.to(rows)
        found, which = numbers(items.unflatten(1, (most, bits)))[used].unique(return_inverse=True)
        table = rows.new_zeros(len(rows), len(found))   # [C, items]
        sums = by @ table.index_put_((used.nonzero()[:, 0], which), estimate[used], accumulate=True)
        order = sums.argsort(descending=True, stable=True)[:most]
        value = rows.new_zeros(rows.shape[1])
        value[:len(order)] = sums[order]
        value[most:most + 3] = by @ about
        value[most + 3:most + 3 + len(order) * bits] = as_bits(found[order], bits, rows).flatten()
        return value, mine

    def lacks(self, plan):
        if [b.name for b in plan.meant.blocks] != ["update", "about", "items"]:
            yield (f"aggregate = sum_by_item adds up lists of items, and local = {plan.experiment.local.name} sends "
                   "none; set local to 'prefix_extension', or aggregate to 'mean'")
