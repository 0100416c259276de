"""Text to be learned one character at a time: Jane Austen's novels, a client a chapter."""

from __future__ import annotations

import string

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from pydantic import Field

from ..part import part
from ..shards import Data
from ..slots import Classification
from .readers import read_austen

RARE = "\N{REPLACEMENT CHARACTER}"   # stands for digits, & * [ ] £, and whatever else somebody may write
CHARACTERS = RARE + "\n !\"'(),-.:;?_" + string.ascii_uppercase + string.ascii_lowercase
NAMES = ("rare", "line break", "space", *CHARACTERS[3:])   # of the labels, where people read them
TEST_SHARE = 0.1
_CODES = np.zeros(256, dtype=np.uint8)
_CODES[[ord(c) for c in CHARACTERS[1:]]] = np.arange(1, len(CHARACTERS))


def encoded(text: str) -> np.ndarray:
    """The characters of a text as their places [length] uint8 in CHARACTERS; 0 for those that are not there.

    >>> encoded("Emma?").tolist(), CHARACTERS[19]
    ([19, 53, 53, 41, 13], 'E')
    """
    points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    return _CODES[np.where(points < len(_CODES), points, 0)]


@part
class Austen(Classification):
    """Which character comes next? Six novels of Jane Austen, a client a chapter: 269 of them, of six domains.

    load: x [rows, context] float32 holds characters as their places in a vocabulary of 67 (letters as they are, line
    break, space, punctuation, and one for all rare ones), y the place of the character that follows, group the novel,
    client the chapter, named "Emma 12" (numbered through the volumes): use it with partition=fl.Natural(). Windows
    start `stride` apart. The last tenth of every chapter is the test set, and no test window shares a character with a
    training window. With stride <= context windows do overlap within a chapter's first nine tenths: rows that a client
    holds out then share characters with rows that it learns from, and figures on held-out rows flatter.
    Raises BadInput when a file is missing or damaged. Source: text in the public domain, through the R package
    janeaustenr; clients by piece of work as Shakespeare's by role in McMahan et al., AISTATS 2017.
    """

    context: int = Field(32, ge=8, le=128, description="characters that the net sees before the one to guess")
    stride: int | None = Field(None, ge=8, le=1000, description="characters from the start of one window to the next; "
                                                                "just enough to share none when empty")

    def load(self):
        held, clients, novels = {False: [], True: []}, [], read_austen()
        for novel, (title, chapters) in enumerate(novels.items()):
            for number, text in enumerate(chapters, 1):
                codes = encoded(text)
                cut = len(codes) - round(TEST_SHARE * len(codes))
                for test, piece in ((False, codes[:cut]), (True, codes[cut:])):
                    windows = sliding_window_view(piece, self.context + 1)[::self.stride or self.context + 1]
                    held[test].append((windows, novel, len(clients)))
                clients.append(f"{title} {number}")
        (x, y, group, client), (test_x, test_y, test_group, _) = map(_joined, held.values())
        return Data(x, y, group, test_x, test_y, test_group, labels=NAMES, groups=tuple(novels), client=client,
                    client_names=tuple(clients))


def _joined(pieces: list) -> tuple[torch.Tensor, ...]:
    """x, y, group and client of the windows [n, context + 1] of each piece, with its novel and its chapter."""
    windows = torch.from_numpy(np.concatenate([w for w, _, _ in pieces]))
    counts = torch.tensor([len(w) for w, _, _ in pieces])
    novel, chapter = (torch.tensor([p[i] for p in pieces]).repeat_interleave(counts) for i in (1, 2))
    return windows[:, :-1].float(), windows[:, -1].long(), novel, chapter
