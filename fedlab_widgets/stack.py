"""Nets of linear layers with pointwise steps between them, written out by hand for C clients at once: forward, backward
without autograd, and an update that goes straight into the weights, so that no gradient is ever held.

The functions are plain enough for TorchScript (hence no postponed annotations here): `local.fused` runs them so.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .layout import Layout
from .slots import Classification, Task

AFTER = {nn.ReLU: 1, nn.Tanh: 2, nn.Sigmoid: 3}   # what may stand between linear layers; 0 is nothing


class Dense(NamedTuple):
    """A linear layer: where its weight [outputs, inputs] and bias [outputs] (-1: none) lie in the flat row; `after`
    follows it; one that does not move has no gradient."""

    inputs: int
    outputs: int
    weight: int
    bias: int
    after: int
    moves: bool = True


def weights(layer: Dense, rows: Tensor) -> Tensor:
    """rows [C, P] -> a view [C, outputs, inputs]."""
    return rows[:, layer.weight:layer.weight + layer.inputs * layer.outputs].view(-1, layer.outputs, layer.inputs)


def biases(layer: Dense, rows: Tensor) -> Tensor:
    """rows [C, P] -> a view [C, outputs]."""
    return rows[:, layer.bias:layer.bias + layer.outputs]


def pointwise(after: int, x: Tensor) -> Tensor:
    return torch.relu(x) if after == 1 else torch.tanh(x) if after == 2 else torch.sigmoid(x) if after == 3 else x


def slope(after: int, a: Tensor, d: Tensor) -> Tensor:
    """What comes back through a pointwise step that gave a, of what came back to it, d."""
    if after == 1:
        return torch.ops.aten.threshold_backward(d, a, 0.0)
    return d.mul_(1 - a * a) if after == 2 else d.mul_(a * (1 - a)) if after == 3 else d


def forward(layers: list[Dense], w: Tensor, x: Tensor) -> list[Tensor]:
    """w [C, P], x [C, B, ...] -> the input of every layer, and last the outputs [C, B, K]."""
    seen = [x.flatten(2)]
    for layer in layers:
        weight = weights(layer, w).transpose(1, 2)
        if layer.bias < 0:
            out = torch.bmm(seen[-1], weight)
        else:
            out = torch.baddbmm(biases(layer, w).unsqueeze(1), seen[-1], weight)
        seen.append(pointwise(layer.after, out))
    return seen


def errors(layers: list[Dense], w: Tensor, x: Tensor, y: Tensor,
           share: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """The inputs and the errors [C, B, outputs] of every layer, and the mean losses [C].

    Of each client's mean cross-entropy; x [C, B, ...], y [C, B], share [C, B] what each row counts in the mean. A
    client whose rows count for nothing has errors of zero. A layer's gradient is errors^T inputs, and for its bias the
    sum of the errors.
    """
    seen = forward(layers, w, x)
    d, losses = top(seen.pop(), y, share)
    return seen, back(layers, w, seen, d), losses


def top(outputs: Tensor, y: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """The errors [C, B, K] of the outputs themselves, and the mean losses [C]."""
    logs, picked = outputs.log_softmax(-1), y.unsqueeze(-1)
    losses = -(logs.gather(-1, picked).squeeze(-1) * share).sum(1)
    d = logs.exp_()
    d.scatter_add_(-1, picked, torch.full([1, 1, 1], -1.0, dtype=d.dtype, device=d.device).expand_as(picked))
    return d.mul_(share.unsqueeze(-1)), losses


def back(layers: list[Dense], w: Tensor, seen: list[Tensor], d: Tensor) -> list[Tensor]:
    """The errors of every layer from those of the outputs, d [C, B, K], and the inputs that the layers saw."""
    found, lowest = [d], 0
    while lowest < len(layers) - 1 and not layers[lowest].moves:   # nothing below needs an error
        lowest += 1
    for i in range(len(layers) - 1, 0, -1):
        if i <= lowest:
            found.append(d)
            continue
        d = torch.bmm(found[-1], weights(layers[i], w))
        found.append(slope(layers[i - 1].after, seen[i], d))
    found.reverse()
    return found


def add(layers: list[Dense], into: Tensor, seen: list[Tensor], found: list[Tensor], alpha: float) -> None:
    """into [C, P] += alpha gradient, in place, from what `errors` gave; columns of padding are left alone."""
    for i, layer in enumerate(layers):
        if not layer.moves:
            continue
        weight, d = weights(layer, into), found[i]
        if layer.outputs < 16:   # a narrow product in place costs more (5x at 2) than one beside it and a sum
            weight.add_(torch.bmm(d.transpose(1, 2), seen[i]), alpha=alpha)
        else:
            weight.baddbmm_(d.transpose(1, 2), seen[i], alpha=alpha)
        if layer.bias >= 0:
            biases(layer, into).add_(d.sum(1), alpha=alpha)


@dataclass(frozen=True)
class Stack:
    """The layers, from the rows to the answers."""

    layers: tuple[Dense, ...]

    @classmethod
    def of(cls, net: nn.Module, layout: Layout, task: Task) -> tuple["Stack | None", str]:
        """(the net as a stack, "") or (None, why it is none)."""
        if type(task).loss is not Classification.loss:
            return None, f"task {task.name} has a loss of its own"
        if type(net) is not nn.Sequential:
            return None, f"the net is a {type(net).__name__}, not a Sequential of Linear layers"
        layers: list[Dense] = []
        for i, module in enumerate(net):
            kind = type(module)
            if kind is nn.Linear:
                names = [f"{i}.weight", *([f"{i}.bias"] if module.bias is not None else [])]
                if any(name not in layout.names for name in names):
                    return None, f"layer {i} shares or freezes its weights"
                at = [layout.offsets[layout.names.index(name)] for name in names]
                layers.append(Dense(module.in_features, module.out_features, at[0], at[1] if len(at) > 1 else -1, 0))
            elif kind in AFTER and layers and layers[-1].after == 0:
                layers[-1] = layers[-1]._replace(after=AFTER[kind])
            elif not (kind is nn.Flatten and not layers and (module.start_dim, module.end_dim) == (1, -1)):
                return None, f"layer {i} is {kind.__name__}"
        if not layers or layers[-1].after:
            return None, "its last layer is not linear"
        return cls(tuple(layers)), ""

    def moving(self, free: Tensor) -> "Stack | None":
        """The same with those layers still whose columns have free [P] = 0; None where that cuts a layer in two."""
        if any(layer.bias >= 0 and free[layer.weight] != free[layer.bias] for layer in self.layers):
            return None
        return Stack(tuple(layer._replace(moves=bool(free[layer.weight])) for layer in self.layers))

    def forward(self, w: Tensor, x: Tensor) -> Tensor:
        """Outputs [C, B, K] of rows x [C, B, ...] under weights w [C, P]."""
        return forward(self.layers, w, x)[-1]

    def gradient(self, w: Tensor, x: Tensor, y: Tensor, share: Tensor,
                 penalty: Callable[[Tensor], Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """The gradient [C, P] of each client's mean loss and its penalty (outputs [C, B, K] -> [C]); the losses [C]."""
        g = torch.zeros_like(w)
        seen = forward(self.layers, w, x)
        outputs = seen.pop()
        d, losses = top(outputs, y, share)
        if penalty is not None:   # autograd through the outputs alone, which are small; the layers stay by hand
            with torch.enable_grad():
                free = outputs.detach().requires_grad_()
                extra = penalty(free)
            if extra.requires_grad:
                d += torch.autograd.grad(extra.sum(), free)[0]
        add(self.layers, g, seen, back(self.layers, w, seen, d), 1.0)
        return g, losses
