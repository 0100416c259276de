"""Rankings and masks go out as they are, bit by bit; the codec sees only what may be rounded."""

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets import wire
from fedlab_widgets.types import Block, Kind, Memory, Space

RANKS = Block("update", 24, Kind.RANKS, ((4, 5), (4,)))
MIXED = Space((Block("update", 6), Block("critical", 11, Kind.BITS), Block("order", 5, Kind.RANKS)))


def test_a_ranking_takes_as_many_bits_as_its_places():
    # 20 places need 5 bits each and 4 places 2: 108 bits, 14 bytes.
    assert wire.native_price(RANKS) == 14
    # One entry has one place: no bits. 2 places: 1 bit each.
    assert wire.native_price(Block("a", 3, Kind.RANKS, ((1,), (2,)))) == 1


def test_the_price_of_a_ranking_of_lenet():
    # 3x3 convolutions 1-32-64, then 12,544-128-10: 288 x 9 + 18,432 x 15 + 1,605,632 x 21 + 1,280 x 11 bits.
    sizes = (288, 18_432, 1_605_632, 1_280)
    block = Block("update", sum(sizes), Kind.RANKS, tuple((n,) for n in sizes))
    assert block.width == 1_625_632 and wire.native_price(block) == 34_011_424 // 8 == 4_251_428


def test_a_mask_takes_a_bit_a_column():
    assert wire.native_price(Block("critical", 11, Kind.BITS)) == 2


@pytest.mark.parametrize("codec", [fl.Update(), fl.TopK(fraction=0.5, feedback=False), fl.Float16()], ids=repr)
def test_bytes_are_those_really_packed_and_come_back(codec):
    rows = torch.cat([torch.arange(12.0).view(2, 6) / 8, (torch.arange(22) % 3 == 0).float().view(2, 11),
                      torch.tensor([[4.0, 0, 1, 3, 2], [0, 1, 2, 3, 4]])], dim=1)
    keys = torch.arange(2)
    payload, _ = wire.encoded(codec, rows, MIXED, keys, Memory())
    messages = [wire.packed(codec, payload, MIXED, i) for i in range(2)]
    # 11 bits are 2 bytes; 5 places of 3 bits are 15 bits, 2 bytes.
    due = codec.price(Space((Block("update", 6),)), torch.float32) + 4
    assert [len(m) for m in messages] == payload.bytes.tolist() == [due, due]
    assert wire.price(codec, MIXED, torch.float32) == due
    arrived = wire.unpacked(codec, messages, MIXED, torch.float32)
    assert torch.equal(wire.decoded(codec, arrived.tensors, MIXED, torch.float32),
                       wire.decoded(codec, payload.tensors, MIXED, torch.float32))
    back = wire.decoded(codec, arrived.tensors, MIXED, torch.float32)
    assert torch.equal(back[:, 6:], rows[:, 6:])   # to the bit, whatever the codec does to values
    assert messages[0][-4:-2] == bytes([0b01001001, 0b00000010])   # columns 0, 3, 6, 9 of 11
    with pytest.raises(ValueError, match="bytes"):
        wire.unpacked(codec, [messages[0] + b"\0"], MIXED, torch.float32)
    with pytest.raises(ValueError, match="bytes"):
        wire.unpacked(codec, [b"\0"], MIXED, torch.float32)
