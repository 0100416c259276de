"""Groups of layers that travel in turn: which layers a net has, and which fragment each belongs to."""

import re

from ..layout import Columns, Layout


def layers(names: tuple[str, ...]) -> tuple[str, ...]:
    """The layer of each tensor, by its name: a numbered block with all that is in it, else what comes first.

    >>> layers(("0.weight", "0.bias", "blocks.1.query.weight", "head.bias", "place"))
    ('0', '0', 'blocks.1', 'head', 'place')
    """
    return tuple(re.match(r"[^.]+\.\d+(?=\.|$)|[^.]+", name).group() for name in names)


def fragments(layout: Layout, count: int, strided: bool) -> list[tuple[str, ...]]:
    """The tensors of each of `count` fragments: layer l belongs to fragment l mod count if strided, else fragments are
    runs of layers, of equal length to within one."""
    each = layers(layout.names)
    order = list(dict.fromkeys(each))
    belongs = {layer: at % count if strided else at * count // len(order) for at, layer in enumerate(order)}
    return [tuple(n for n, layer in zip(layout.names, each, strict=True) if belongs[layer] == i) for i in range(count)]


def sent_columns(layout: Layout, sent: Columns, names: tuple[str, ...]) -> Columns:
    """Where some tensors lie in the row of what travels [D]."""
    ranges: list[tuple[int, int]] = []
    at = 0
    for name, shape, offset in zip(layout.names, layout.shapes, layout.offsets, strict=True):
        if any(a <= offset < b for a, b in sent.ranges):
            if name in names:
                begin = ranges.pop()[0] if ranges and ranges[-1][1] == at else at   # neighbours are one range
                ranges.append((begin, at + shape.numel()))
            at += shape.numel()
    return Columns(tuple(ranges), at)
