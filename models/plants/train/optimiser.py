"""Muon for the convolutions, AdamW for the rest.

Method: Jordan et al. 2024 (Muon: the momentum of a weight matrix is orthogonalised by Newton-Schulz steps), with
the update scaled to AdamW's size as in Liu et al. 2025 ("Muon is scalable"), so that one learning rate and
one weight decay serve both kinds of parameter.
"""

from __future__ import annotations

from typing import Iterable, List

import torch
from torch import Tensor, nn

# Coefficients of the quintic iteration that Jordan et al. fitted: five steps bring singular values near 1.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
STEPS = 5
MATCH_ADAM = 0.2  # root mean square of an AdamW update


def orthogonalise(matrix: Tensor) -> Tensor:
    """The nearest matrix with singular values near 1, in bf16, which these iterations tolerate.

    Each step multiplies x by a polynomial of x xᵀ, so the steps run on that small square matrix and x itself is
    multiplied once: half the time of the plain iteration.
    """
    a, b, c = NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).to(torch.bfloat16)
    x = x / (x.norm() + 1e-7)
    gram = x @ x.T
    product = gram
    for step in range(STEPS):
        factor = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal().add_(a)
        product = factor if step == 0 else factor @ product
        if step < STEPS - 1:
            gram = factor @ gram @ factor
    x = (product @ x).to(matrix.dtype)
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised per convolution, with decoupled weight decay."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float, weight_decay: float, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                if "velocity" not in self.state[p]:
                    self.state[p]["velocity"] = torch.zeros_like(p)
                velocity = self.state[p]["velocity"]
                velocity.lerp_(p.grad, 1 - group["momentum"])
                update = p.grad.lerp(velocity, group["momentum"])
                # Channels last in memory, so this order of the columns is a view; their order does not matter.
                update = update.permute(0, 2, 3, 1)
                matrix = orthogonalise(update.reshape(p.shape[0], -1)).view(update.shape).permute(0, 3, 1, 2)
                scale = MATCH_ADAM * max(p.shape[0], p.numel() // p.shape[0]) ** 0.5
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(matrix, alpha=-group["lr"] * scale)


def optimisers_for(network: nn.Module, kind: str, lr: float, weight_decay: float) -> List[torch.optim.Optimizer]:
    """The optimisers of a run: every parameter is in exactly one of them. Norms and biases do not decay."""
    parameters = list(network.parameters())
    matrices = [p for p in parameters if p.ndim > 1]
    vectors = [p for p in parameters if p.ndim <= 1]
    if kind == "sgd":
        return [torch.optim.SGD([{"params": matrices, "weight_decay": weight_decay}, {"params": vectors}],
                                lr=lr, momentum=0.9, nesterov=True)]
    if kind == "adamw":
        return [torch.optim.AdamW([{"params": matrices, "weight_decay": weight_decay},
                                   {"params": vectors, "weight_decay": 0.0}], lr=lr)]
    if kind == "muon":
        convolutions = [p for p in matrices if p.ndim == 4 and p.shape[1] > 3]
        rest = [p for p in matrices if not (p.ndim == 4 and p.shape[1] > 3)]
        return [Muon(convolutions, lr, weight_decay),
                torch.optim.AdamW([{"params": rest, "weight_decay": weight_decay},
                                   {"params": vectors, "weight_decay": 0.0}], lr=lr)]
    raise ValueError(f"optimiser must be sgd, adamw or muon, got {kind!r}")
