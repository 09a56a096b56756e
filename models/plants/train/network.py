"""The network: a residual network of plain 3×3 convolutions with squeeze-and-excitation.

Plain convolutions, because on CPUs with AVX512-BF16 they train several times faster per multiply than
depthwise ones, and ONNX Runtime runs them close to the peak of the core as well.
Method: He et al. 2016 (residual blocks), Hu et al. 2018 (squeeze-and-excitation), He et al. 2019 (average
pooling before the 1×1 shortcut, zero-initialised last batch norm), Huang et al. 2016 (stochastic depth).
"""

from __future__ import annotations

from typing import List, Sequence

import torch
from torch import Tensor, nn


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs)
    )


class SqueezeExcite(nn.Module):
    """Scales each channel by a gate computed from the mean of every channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(8, channels // 4)
        self.down = nn.Linear(channels, hidden)
        self.up = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.up(torch.relu(self.down(x.mean((2, 3))))))
        return x * gate[:, :, None, None]


class Block(nn.Module):
    """Two 3×3 convolutions and a gate, added to the shortcut; dropped per photo with `drop` in training."""

    def __init__(self, inputs: int, outputs: int, stride: int, drop: float) -> None:
        super().__init__()
        self.first = _conv(inputs, outputs, 3, stride)
        self.second = _conv(outputs, outputs, 3)
        self.gate = SqueezeExcite(outputs)
        self.drop = drop
        shortcut: List[nn.Module] = []
        if stride == 2:
            shortcut.append(nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False))
        if stride == 2 or inputs != outputs:
            shortcut.append(_conv(inputs, outputs, 1))
        self.shortcut = nn.Sequential(*shortcut)
        nn.init.zeros_(self.second[1].weight)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.gate(self.second(torch.relu(self.first(x))))
        if self.training and self.drop > 0:
            keep = (torch.rand(x.shape[0], 1, 1, 1) >= self.drop).to(branch.dtype) / (1 - self.drop)
            branch = branch * keep
        return torch.relu(self.shortcut(x) + branch)


class Network(nn.Module):
    """[batch, 3, H, W] normalised RGB → [batch, classes] logits; any H and W of at least 32."""

    def __init__(self, classes: int, widths: Sequence[int], depths: Sequence[int], stem: int,
                 drop_path: float, dropout: float) -> None:
        super().__init__()
        self.stem = _conv(3, stem, 3, 2)
        blocks: List[nn.Module] = []
        inputs, done, total = stem, 0, sum(depths)
        for width, depth in zip(widths, depths):
            for i in range(depth):
                done += 1
                blocks.append(Block(inputs, width, 2 if i == 0 else 1, drop_path * done / total))
                inputs = width
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(inputs, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.head.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        features = self.blocks(torch.relu(self.stem(x))).mean((2, 3))
        return self.head(self.dropout(features))
