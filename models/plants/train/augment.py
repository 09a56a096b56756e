"""Training augmentation, for a whole batch at once: photos as users take them, from photos as we have them.

The resolution of a photo must tell nothing about its class: one source exists at 64 px only. So every class is
shrunk to a random resolution half of the time, and some photos are sharpened or made noisy, which gives the
64 px photos fine detail too.
"""

from __future__ import annotations

import io
import math
from typing import Tuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Generator, Tensor

from config import Augment
from negatives import synthetic


def _uniform(g: Generator, count: int, low: float, high: float) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=g)


def _chosen(g: Generator, count: int, probability: float) -> Tensor:
    return (torch.rand(count, generator=g) < probability).nonzero()[:, 0]


def crop(squares: Tensor, aspect: Tensor, side_px: int, spec: Augment, g: Generator) -> Tensor:
    """uint8 stretched squares [n, 3, S, S] and width/height [n] → float crops [n, 3, side, side] in 0..1.

    Crop, aspect, rotation and mirror are one affine map, so the pixels are resampled once.
    """
    n = squares.shape[0]
    area = _uniform(g, n, spec.min_area, 1.0)
    ratio = torch.exp(_uniform(g, n, -spec.max_log_ratio, spec.max_log_ratio))
    # In units of the photo's height the photo is aspect × 1; a crop larger than the photo is clipped to it.
    shape = ratio * aspect if spec.keep_shape else ratio
    width = torch.minimum(torch.sqrt(area * aspect * shape), aspect)
    height = torch.minimum(torch.sqrt(area * aspect / shape), torch.ones(n))
    centre_x = (torch.rand(n, generator=g) * 2 - 1) * (1 - width / aspect)
    centre_y = (torch.rand(n, generator=g) * 2 - 1) * (1 - height)
    mirror = torch.where(torch.rand(n, generator=g) < 0.5, -1.0, 1.0)
    limit = math.radians(spec.max_rotation_deg)
    angle = _uniform(g, n, -limit, limit) * (torch.rand(n, generator=g) < 0.6)
    cos, sin = torch.cos(angle), torch.sin(angle)
    theta = torch.stack([
        torch.stack([mirror * cos * width / aspect, -sin * height / aspect, centre_x], 1),
        torch.stack([mirror * sin * width, cos * height, centre_y], 1),
    ], 1)
    grid = F.affine_grid(theta, [n, 3, side_px, side_px], align_corners=False)
    return F.grid_sample(squares.float().div_(255), grid, mode="bilinear", padding_mode="reflection",
                         align_corners=False)


def _colour(x: Tensor, spec: Augment, g: Generator) -> Tensor:
    n = x.shape[0]
    gain = 1 + (torch.rand(n, 3, 1, 1, generator=g) * 2 - 1) * spec.channel_gain
    brightness = _uniform(g, n, 1 - spec.colour, 1 + spec.colour)[:, None, None, None]
    x = x * (gain * brightness)
    contrast = _uniform(g, n, 1 - spec.colour, 1 + spec.colour)[:, None, None, None]
    mean = x.mean((1, 2, 3), keepdim=True)
    saturation = _uniform(g, n, 1 - spec.colour, 1 + spec.colour)
    saturation = torch.where(torch.rand(n, generator=g) < spec.grey_p, torch.zeros(n), saturation)[:, None, None, None]
    x = (x - mean) * contrast + mean
    grey = x.mean(1, keepdim=True)
    return (x - grey) * saturation + grey


def _degrade(x: Tensor, spec: Augment, g: Generator) -> None:
    side = x.shape[-1]
    rows = _chosen(g, x.shape[0], spec.degrade_p)
    for part in rows.chunk(4):  # four resolutions a batch: a resize per photo would cost four times as much
        if len(part) == 0:
            continue
        small = int(torch.randint(min(spec.degrade_min_px, side - 1), side, (1,), generator=g))
        shrunk = F.interpolate(x[part], (small, small), mode="bilinear", antialias=True)
        mode = "bicubic" if float(torch.rand(1, generator=g)) < 0.6 else "bilinear"
        x[part] = F.interpolate(shrunk, (side, side), mode=mode)


def _sharpen(x: Tensor, spec: Augment, g: Generator) -> None:
    rows = _chosen(g, x.shape[0], spec.sharpen_p)
    if len(rows):
        part = x[rows]
        amount = _uniform(g, len(rows), 0.3, 1.5)[:, None, None, None]
        x[rows] = part + (part - F.avg_pool2d(part, 3, 1, 1, count_include_pad=False)) * amount


def _noise(x: Tensor, spec: Augment, g: Generator) -> None:
    rows = _chosen(g, x.shape[0], spec.noise_p)
    if len(rows):
        sigma = _uniform(g, len(rows), 0.0, spec.noise_max)[:, None, None, None]
        x[rows] += sigma * torch.randn(len(rows), *x.shape[1:], generator=g)


def _jpeg(x: Tensor, spec: Augment, g: Generator) -> None:
    for row in _chosen(g, x.shape[0], spec.jpeg_p).tolist():
        quality = int(torch.randint(spec.jpeg_quality[0], spec.jpeg_quality[1], (1,), generator=g))
        pixels = (x[row].clamp(0, 1) * 255).byte().permute(1, 2, 0).cpu().numpy()
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
        again = np.array(Image.open(buffer))
        x[row] = torch.from_numpy(again).to(x.device).permute(2, 0, 1).float() / 255


def _erase(x: Tensor, spec: Augment, g: Generator) -> None:
    side = x.shape[-1]
    for row in _chosen(g, x.shape[0], spec.erase_p).tolist():
        h, w = (int(v) for v in torch.randint(side // 8, side // 2, (2,), generator=g))
        top = int(torch.randint(0, side - h, (1,), generator=g))
        left = int(torch.randint(0, side - w, (1,), generator=g))
        x[row, :, top:top + h, left:left + w] = torch.rand(3, 1, 1, generator=g)


def augment(squares: Tensor, aspect: Tensor, targets: Tensor, side_px: int, reject: int, spec: Augment,
            g: Generator) -> Tuple[Tensor, Tensor]:
    """A training batch: float pictures in 0..1 and one-hot targets [n, classes], both changed by mixing.

    `reject` is the index of the reject class, or -1 when the task has none.
    """
    x = _colour(crop(squares, aspect, side_px, spec, g), spec, g)
    targets = targets.clone()
    if reject >= 0:
        for row in _chosen(g, x.shape[0], spec.synthetic_p).tolist():
            x[row] = synthetic(side_px, g)
            targets[row] = 0
            targets[row, reject] = 1
    _degrade(x, spec, g)
    _sharpen(x, spec, g)
    _noise(x, spec, g)
    x = x.clamp_(0, 1)
    _jpeg(x, spec, g)
    _erase(x, spec, g)
    return _mix(x, targets, spec, g)


def _mix(x: Tensor, targets: Tensor, spec: Augment, g: Generator) -> Tuple[Tensor, Tensor]:
    """Mixup (Zhang et al. 2018) or CutMix (Yun et al. 2019) of the batch with its own permutation, or neither."""
    draw, share = float(torch.rand(1, generator=g)), float(torch.rand(1, generator=g))
    if draw >= spec.mixup_p + spec.cutmix_p:
        return x, targets
    other = torch.randperm(x.shape[0], generator=g)
    if draw < spec.mixup_p:
        # |2u−1|^½ leans to the ends as Beta(0.4, 0.4) does; torch has no seeded Beta.
        keep = 0.5 + 0.5 * abs(2 * share - 1) ** 0.5
        return x * keep + x[other] * (1 - keep), targets * keep + targets[other] * (1 - keep)
    side = x.shape[-1]
    edge = int(side * math.sqrt(share * 0.5))
    if edge == 0:
        return x, targets
    top, left = (int(v) for v in torch.randint(0, side - edge + 1, (2,), generator=g))
    x = x.clone()
    x[:, :, top:top + edge, left:left + edge] = x[other][:, :, top:top + edge, left:left + edge]
    keep = 1 - (edge / side) ** 2
    return x, targets * keep + targets[other] * (1 - keep)
