"""What goes out on the wire: values, places, bytes."""

import struct

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets.types import Block, Memory, Space

FOUR = Space((Block("update", 4),))


def test_update_is_the_row_itself():
    codec, rows = fl.Update(), torch.tensor([[1.0, -2.0, 0.5, 3.0]])
    arrays, _ = codec.encode(rows, FOUR, torch.zeros(1, dtype=torch.int64), Memory())
    payload = codec.payload(arrays, FOUR, torch.float32)
    assert payload.bytes.tolist() == [16] and codec.pack(payload, 0) == struct.pack("<4f", 1, -2, 0.5, 3)
    assert codec.price(FOUR, torch.float64) == 32
    assert torch.equal(codec.decode(arrays, FOUR), rows)


def test_top_k_with_error_feedback_over_two_rounds():
    """One entry of four. Round 1: [3, -1, 2, .5] sends 3 from place 0 and keeps [0, -1, 2, .5].
    Round 2: [1, -1.5, -.5, 0] + kept = [1, -2.5, 1.5, .5] sends -2.5 from place 1 and keeps [1, 0, 1.5, .5].
    """
    codec, keys = fl.TopK(fraction=0.25), torch.zeros(1, dtype=torch.int64)
    mine = Memory(own={"residual": torch.zeros(1, 4)})
    for row, place, value, kept in (([3.0, -1.0, 2.0, 0.5], 0, 3.0, [0.0, -1.0, 2.0, 0.5]),
                                    ([1.0, -1.5, -0.5, 0.0], 1, -2.5, [1.0, 0.0, 1.5, 0.5])):
        arrays, mine = codec.encode(torch.tensor([row]), FOUR, keys, mine)
        payload = codec.payload(arrays, FOUR, torch.float32)
        assert payload.bytes.tolist() == [8] and codec.pack(payload, 0) == struct.pack("<if", place, value)
        decoded = codec.decode(codec.unpack([codec.pack(payload, 0)], FOUR, torch.float32).tensors, FOUR)
        assert decoded.tolist() == [[value if i == place else 0.0 for i in range(4)]]
        assert mine.own["residual"].tolist() == [kept]


def test_top_k_without_feedback_forgets():
    codec, keys = fl.TopK(fraction=0.5, feedback=False), torch.zeros(2, dtype=torch.int64)
    rows = torch.tensor([[3.0, -1.0, 2.0, 0.5], [0.0, -4.0, 1.0, 5.0]])
    arrays, mine = codec.encode(rows, FOUR, keys, Memory())
    assert codec.decode(arrays, FOUR).tolist() == [[3, 0, 2, 0], [0, -4, 0, 5]] and not mine.own


def test_blocks_are_cut_separately():
    # A quarter of four is one entry, of one column at least one: the small control is not starved by the large update.
    space = Space((Block("update", 4), Block("control", 1)))
    arrays, _ = fl.TopK(fraction=0.25, feedback=False).encode(
        torch.tensor([[9.0, 8.0, 7.0, 6.0, 0.1]]), space, torch.zeros(1, dtype=torch.int64), Memory())
    assert arrays["places"].tolist() == [[0, 4]] and arrays["values"][0].tolist() == pytest.approx([9.0, 0.1])
    assert fl.TopK(fraction=0.25).price(space, torch.float64) == 2 * (4 + 8)


def test_lengths():
    # round(0.1 * 25) = round(2.5) = 2 (to even), never less than one, never more than there are.
    assert [fl.TopK(fraction=0.1).kept(w) for w in (1, 10, 25, 1000)] == [1, 1, 2, 100]
    assert fl.TopK(fraction=1).kept(7) == 7


def test_a_message_of_another_length_is_refused():
    for codec in (fl.Update(), fl.TopK()):
        with pytest.raises(ValueError, match="bytes where"):
            codec.unpack([b"\0" * (codec.price(FOUR, torch.float32) - 1)], FOUR, torch.float32)


def test_nothing_is_lost_between_rows_and_residual():
    """With feedback, what arrived plus what is kept is what was learned: over 3 rounds, by two clients."""
    codec, total, sent = fl.TopK(fraction=0.25), torch.zeros(2, 4), torch.zeros(2, 4)
    mine = Memory(own={"residual": torch.zeros(2, 4)})
    draw = torch.tensor([[5.0, 3.0, -2.0, 1.0], [1.0, 2.0, 3.0, 4.0]])
    for t in (1.0, -0.5, 0.25):
        total = total + t * draw
        arrays, mine = codec.encode(t * draw, FOUR, torch.zeros(2, dtype=torch.int64), mine)
        sent = sent + codec.decode(arrays, FOUR)
    assert torch.allclose(sent + mine.own["residual"], total)
