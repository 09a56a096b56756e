"""Synthetic pictures of the reject class: things that a user may send and that no photo in the data shows.

The photos of `not_a_plant` are vehicles, pets, people and clothes only. A blank wall, a page of text, a screen
or a covered lens would otherwise fall to whichever flower has that colour.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


def _uniform(generator: Generator, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=generator)


def _flat(side: int, g: Generator) -> Tensor:
    return _uniform(g, 3, 1, 1).expand(3, side, side) + 0.03 * torch.randn(3, side, side, generator=g)


def _gradient(side: int, g: Generator) -> Tensor:
    return F.interpolate(_uniform(g, 1, 3, 2, 2), (side, side), mode="bilinear", align_corners=True)[0]


def _cloud(side: int, g: Generator) -> Tensor:
    cells = int(torch.randint(3, 24, (1,), generator=g))
    return F.interpolate(_uniform(g, 1, 3, cells, cells), (side, side), mode="bicubic")[0]


def _noise(side: int, g: Generator) -> Tensor:
    return _uniform(g, 3, side, side)


def _stripes(side: int, g: Generator) -> Tensor:
    angle, period = float(_uniform(g, 1)) * 3.14, 3 + float(_uniform(g, 1)) * side / 3
    axis = torch.arange(side, dtype=torch.float32)
    wave = axis[None, :] * torch.cos(torch.tensor(angle)) + axis[:, None] * torch.sin(torch.tensor(angle))
    mask = ((wave / period) % 1 < 0.5).float()[None]
    if float(_uniform(g, 1)) < 0.4:  # a checked cloth or a tiled wall: stripes both ways
        mask = (mask + mask.transpose(1, 2)) / 2
    return _uniform(g, 3, 1, 1) * mask + _uniform(g, 3, 1, 1) * (1 - mask)


def _text(side: int, g: Generator) -> Tensor:
    paper, ink = 0.75 + 0.25 * _uniform(g, 3, 1, 1), 0.3 * _uniform(g, 3, 1, 1)
    if float(_uniform(g, 1)) < 0.3:
        paper, ink = ink, paper
    page = paper.expand(3, side, side).clone()
    line = int(torch.randint(5, 14, (1,), generator=g))
    marks = (_uniform(g, side, side // 3 + 1) < 0.55).float().repeat_interleave(3, 1)[:, :side]
    rows = (torch.arange(side) % line < max(2, line // 2)).float()[:, None]
    margin = int(torch.randint(1, side // 5, (1,), generator=g))
    marks = marks * rows
    marks[:, :margin] = 0
    return page * (1 - marks) + ink * marks


def _boxes(side: int, g: Generator) -> Tensor:
    picture = _gradient(side, g).clone()
    for _ in range(int(torch.randint(2, 9, (1,), generator=g))):
        x, y = (int(v) for v in torch.randint(0, side - 8, (2,), generator=g))
        w, h = (int(v) for v in torch.randint(6, side // 2, (2,), generator=g))
        picture[:, y:y + h, x:x + w] = _uniform(g, 3, 1, 1)
    return picture


_KINDS = (_flat, _gradient, _cloud, _noise, _stripes, _text, _boxes)


def synthetic(side: int, generator: Generator) -> Tensor:
    """One picture, float [3, side, side] in 0..1."""
    kind = _KINDS[int(torch.randint(0, len(_KINDS), (1,), generator=generator))]
    return kind(side, generator).clamp(0, 1)
