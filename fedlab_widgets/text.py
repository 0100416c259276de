"""Text that a model writes: characters drawn one after another from what it takes to be likely."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import TYPE_CHECKING

import torch
from torch import nn

from . import seeds
from .part import BadInput
from .session import one_thread
from .spec import Experiment
from .tasks.austen import CHARACTERS, Austen, encoded
from .world import world_of

if TYPE_CHECKING:
    from .run import Run

LONGEST = 100_000
# A net knows windows that are full: a prompt stands after these words, as often as it takes.
OPENING = ("It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want "
           "of a wife.\n")


def write(source: Run | Experiment | nn.Module, prompt: str = "", length: int = 200, temperature: float = 0.7,
          seed: int = 0) -> str:
    """The prompt, and `length` characters that a model of the task austen writes after it.

    source: a run, whose last kept model writes (after the run, or during it); an experiment, whose net writes as it is
    before the first round; or a net as CharTransformer builds it. temperature: characters are drawn with chances
    softmax(outputs / temperature): 1 as the model has them, less for what is likelier, 0 for the likeliest alone. The
    same seed gives the same text. A prompt shorter than the context is read after the first sentence of Pride and
    Prejudice; a character that is none of the vocabulary is read as a rare one, and rare ones are never written.
    Raises BadInput for a source that is no model of austen, for a prompt that is no text, for a length outside 0 to
    100,000 and for a temperature outside 0 to 10.

    >>> from fedlab_widgets import Austen, CharTransformer, Experiment, Natural
    >>> untrained = Experiment(task=Austen(), net=CharTransformer(), partition=Natural())
    >>> written = write(untrained, "Emma ", 20)
    >>> written[:5], len(written), written == write(untrained, "Emma ", 20)
    ('Emma ', 25, True)
    """
    if not isinstance(prompt, str):
        raise BadInput(f"prompt = {prompt!r} is a {type(prompt).__name__}; give the text that the model is to go on "
                       "with, or \"\"")
    if not (isinstance(length, Integral) and 0 <= length <= LONGEST):
        raise BadInput(f"length = {length!r} is not allowed; give a whole number from 0 to {LONGEST:,}")
    if not (isinstance(temperature, Real) and 0 <= temperature <= 10):
        raise BadInput(f"temperature = {temperature!r} is not allowed; give a number from 0 to 10")
    net, context = _model(source)
    return written(net, context, next(net.parameters()), prompt, length, temperature, seed)


@torch.no_grad()
def written(net: Callable[[torch.Tensor], torch.Tensor], context: int, like: torch.Tensor, prompt: str, length: int,
            temperature: float, seed: int = 0) -> str:
    """The same by a function from rows [B, context], of the type and in the place of `like`, to outputs [B, K]."""
    opening = OPENING * math.ceil(context / len(OPENING))
    read = encoded(opening + prompt).tolist()[-context:]
    draws = seeds.uniforms(seeds.keys(seed, "text", 0, 0), length, torch.float64).tolist()
    found = []
    with one_thread():   # two are five times as slow with so little to do
        for draw in draws:
            scores = net(torch.tensor([read], dtype=like.dtype, device=like.device))[0, 1:].double().cpu()   # none rare
            if temperature:
                chances = ((scores - scores.max()) / temperature).softmax(0).cumsum(0)
                place = min(int((chances <= draw).sum()), len(scores) - 1)
            else:
                place = int(scores.argmax())
            found.append(CHARACTERS[1 + place])
            read = [*read[1:], 1 + place]
    return prompt + "".join(found)


def _model(source) -> tuple[nn.Module, int]:
    """The net that writes, and how many characters it reads."""
    if isinstance(source, nn.Module):
        if getattr(source, "tokens", None) != len(CHARACTERS):
            raise BadInput(f"a {type(source).__name__} is no net that fl.CharTransformer built for the task austen; "
                           "give one, a run, or an experiment with task=austen")
        return source, source.context
    e = getattr(source, "experiment", source)
    task = getattr(e, "task", None)
    if not isinstance(task, Austen):
        what = f"{type(source).__name__} with task = {task.name}" if task is not None else type(source).__name__
        raise BadInput(f"a {what} cannot write; give a run or an experiment with task=austen, or its net")
    net = world_of(e, torch.device("cpu")).net if e is source else source.model()
    return net, task.context
