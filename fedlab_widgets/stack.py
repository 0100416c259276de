"""Nets of linear layers with pointwise steps between them, written out by hand for C clients at once: forward, backward
without autograd, and an update that goes straight into the weights, so that no gradient is ever held.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from .layout import Layout
from .slots import Classification, Task

# What may stand between linear layers: the step itself, and its slope from what it gave (a) and what came back (d).
SLOPES = {nn.ReLU: (torch.relu, lambda a, d: d.mul_(a > 0)),
          nn.Tanh: (torch.tanh, lambda a, d: d.mul_(1 - a * a)),
          nn.Sigmoid: (torch.sigmoid, lambda a, d: d.mul_(a * (1 - a)))}


@dataclass(frozen=True)
class Dense:
    """A linear layer: where its weight [outputs, inputs] and bias [outputs] lie in the flat row; `after` follows it."""

    inputs: int
    outputs: int
    weight: int
    bias: int | None = None
    after: type[nn.Module] | None = None

    def weights(self, rows: Tensor) -> Tensor:
        """rows [C, P] -> a view [C, outputs, inputs]."""
        return rows[:, self.weight:self.weight + self.inputs * self.outputs].view(-1, self.outputs, self.inputs)

    def biases(self, rows: Tensor) -> Tensor | None:
        """rows [C, P] -> a view [C, outputs]."""
        return None if self.bias is None else rows[:, self.bias:self.bias + self.outputs]


@dataclass(frozen=True)
class Stack:
    """The layers, from the rows to the answers."""

    layers: tuple[Dense, ...]

    @classmethod
    def of(cls, net: nn.Module, layout: Layout, task: Task) -> tuple[Stack | None, str]:
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
                layers.append(Dense(module.in_features, module.out_features, at[0], at[1] if len(at) > 1 else None))
            elif kind in SLOPES and layers and layers[-1].after is None:
                layers[-1] = replace(layers[-1], after=kind)
            elif not (kind is nn.Flatten and not layers and (module.start_dim, module.end_dim) == (1, -1)):
                return None, f"layer {i} is {kind.__name__}"
        if not layers or layers[-1].after is not None:
            return None, "its last layer is not linear"
        return cls(tuple(layers)), ""

    def forward(self, w: Tensor, x: Tensor) -> list[Tensor]:
        """w [C, P], x [C, B, ...] -> the input of every layer, and last the outputs [C, B, K]."""
        seen = [x.flatten(2)]
        for layer in self.layers:
            bias, weight = layer.biases(w), layer.weights(w).transpose(1, 2)
            out = torch.bmm(seen[-1], weight) if bias is None else torch.baddbmm(bias[:, None], seen[-1], weight)
            seen.append(out if layer.after is None else SLOPES[layer.after][0](out))
        return seen

    def errors(self, w: Tensor, x: Tensor, y: Tensor, real: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """The inputs and the errors [C, B, outputs] of every layer, and the mean losses [C].

        Of each client's mean cross-entropy over its real rows; x [C, B, ...], y and real [C, B]. A client without real
        rows has errors of zero. A layer's gradient is errors^T inputs, and for its bias the sum of the errors.
        """
        seen = self.forward(w, x)
        logs, picked = seen.pop().log_softmax(-1), y[..., None]
        share = real / real.sum(1, keepdim=True).clamp(min=1).to(logs.dtype)
        losses = -(logs.gather(-1, picked)[..., 0] * share).sum(1)
        d = logs.exp_()
        d.scatter_add_(-1, picked, d.new_full((1, 1, 1), -1.0).expand(picked.shape))
        errors = [d.mul_(share[..., None])]
        for i in range(len(self.layers) - 1, 0, -1):
            d = torch.bmm(errors[-1], self.layers[i].weights(w))
            after = self.layers[i - 1].after
            errors.append(d if after is None else SLOPES[after][1](seen[i], d))
        return seen, errors[::-1], losses

    def add(self, into: Tensor, seen: list[Tensor], errors: list[Tensor], alpha: float) -> None:
        """into [C, P] += alpha gradient, in place; columns of padding are left alone."""
        for layer, a, d in zip(self.layers, seen, errors, strict=True):
            layer.weights(into).baddbmm_(d.transpose(1, 2), a, alpha=alpha)
            if layer.bias is not None:
                layer.biases(into).add_(d.sum(1), alpha=alpha)
