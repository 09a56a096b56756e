"""The training loop: bf16 autocast on the CPU, cosine schedule, averaged weights, checkpoints to resume from.

Everything random is seeded by (seed, epoch) or (seed, step), so a run that was interrupted goes on as if it
had not been; only the order of floating-point sums in the threads is free.
"""

from __future__ import annotations

import copy
import json
import math
import time
from pathlib import Path
from typing import Dict, List, Optional

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from augment import augment
from config import TrainConfig
from network import Network
from optimiser import optimisers_for
from photos import Photo, classes_of, prepared, stretched

CHECKPOINT_EVERY_S = 120
VALIDATE_EVERY_EPOCHS = 5


def normalise(x: Tensor, config: TrainConfig) -> Tensor:
    """Pictures in 0..1 → what the network takes."""
    mean = torch.tensor(config.preprocess.mean)[:, None, None]
    std = torch.tensor(config.preprocess.std)[:, None, None]
    return ((x - mean) / std).contiguous(memory_format=torch.channels_last)


def build(config: TrainConfig, classes: int) -> Network:
    """The network of a config, seeded."""
    torch.manual_seed(config.seed)
    network = Network(classes, config.widths, config.depths, config.stem, config.drop_path, config.dropout)
    return network.to(memory_format=torch.channels_last)


def predict(network: nn.Module, pictures: np.ndarray, config: TrainConfig, batch: int = 128) -> np.ndarray:
    """Logits of uint8 pictures [n, 3, H, W]."""
    network.eval()
    out: List[Tensor] = []
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for start in range(0, len(pictures), batch):
            x = torch.from_numpy(pictures[start:start + batch]).float() / 255
            out.append(network(normalise(x, config)).float())
    return torch.cat(out).numpy()


class Trainer:
    """One run. `work` receives checkpoint.pt and log.jsonl; a checkpoint found there is resumed."""

    def __init__(self, config: TrainConfig, data: Path, photos: List[Photo], cache: Path, work: Path) -> None:
        self.config, self.data, self.cache, self.work = config, data, cache, work
        self.classes = classes_of(photos)
        self.photos = [photo for photo in photos if photo.split == "train"]
        self.all_photos = photos
        index = {name: i for i, name in enumerate(self.classes)}
        self.rows = torch.tensor([photo.index for photo in self.photos])
        self.aspect = torch.tensor([photo.width / photo.height for photo in self.photos])
        self.truth = torch.tensor([index[photo.klass] for photo in self.photos])
        self.reject = index.get(config.reject_label, -1)
        counts = torch.bincount(self.truth, minlength=len(self.classes)).float()
        self.weights = counts[self.truth] ** -config.balance
        self.steps_per_epoch = len(self.photos) // config.batch
        self.total_steps = self.steps_per_epoch * config.epochs
        self.val = [photo for photo in photos if photo.split == "val"]
        self.val_pictures = prepared(data, self.val, config.preprocess)
        self.network = build(config, len(self.classes))
        self.average = copy.deepcopy(self.network).eval()
        self.optimisers = optimisers_for(self.network, config.optimiser, config.lr, config.weight_decay)
        self.step, self.seconds = 0, 0.0
        self._squares: Dict[int, Tensor] = {}
        work.mkdir(parents=True, exist_ok=True)
        self._resume()

    def run(self, stop_after_s: Optional[float] = None) -> Network:
        """Train to the end (or for `stop_after_s`); returns the averaged network."""
        started = saved = time.monotonic()
        offset = self.seconds
        while self.step < self.total_steps:
            epoch = self.step // self.steps_per_epoch
            order = self._order(epoch)
            losses: List[float] = []
            while self.step < (epoch + 1) * self.steps_per_epoch:
                position = (self.step % self.steps_per_epoch) * self.config.batch
                losses.append(self._train_step(order[position:position + self.config.batch]))
                self.step += 1
                self.seconds = offset + time.monotonic() - started
                if time.monotonic() - saved > CHECKPOINT_EVERY_S:
                    self._save()
                    saved = time.monotonic()
                if stop_after_s is not None and self.seconds - offset > stop_after_s:
                    self._save()
                    return self.average
            line: Dict[str, object] = {"epoch": epoch + 1, "of": self.config.epochs, "side_px": self._side(),
                                       "loss": round(sum(losses) / max(1, len(losses)), 4), "seconds": round(self.seconds)}
            if (epoch + 1) % VALIDATE_EVERY_EPOCHS == 0 or self.step >= self.total_steps:
                line.update(self.validate())
            with open(self.work / "log.jsonl", "a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
        self._save()
        return self.average

    def validate(self) -> Dict[str, float]:
        """Top-1 on val by source group, of the averaged weights."""
        logits = predict(self.average, self.val_pictures, self.config)
        index = {name: i for i, name in enumerate(self.classes)}
        truth = np.array([index[photo.klass] for photo in self.val])
        right = logits.argmax(1) == truth
        groups = np.array(["reject" if index[p.klass] == self.reject else p.source.split("_")[0] for p in self.val])
        figures = {f"val_{g}": round(float(right[groups == g].mean()), 4) for g in sorted(set(groups)) if g}
        figures["val_top1"] = round(float(right[groups != "reject"].mean()), 4)
        return figures

    def _side(self) -> int:
        progress = self.step / self.total_steps
        return next((phase.side_px for phase in self.config.phases if progress < phase.until),
                    self.config.phases[-1].side_px)

    def _order(self, epoch: int) -> Tensor:
        generator = Generator().manual_seed(self.config.seed * 100_003 + epoch)
        count = self.steps_per_epoch * self.config.batch
        if self.config.balance == 0:
            return torch.randperm(len(self.photos), generator=generator)[:count]
        # Systematic sampling: every photo at least ⌊weight⌋ times, so that an epoch leaves few photos out.
        share = (self.weights / self.weights.sum() * count).double()
        ends = torch.cumsum(share, 0)
        marks = torch.arange(count, dtype=torch.double) + torch.rand(1, generator=generator, dtype=torch.double)
        picks = torch.searchsorted(ends, marks).clamp_(max=len(self.photos) - 1)
        return picks[torch.randperm(count, generator=generator)]

    def _squares_for(self, side_px: int) -> Tensor:
        # A stretched square of about 1.2 times the training side keeps the resampling near one to one.
        square = 112 if side_px <= 96 else 160
        if square not in self._squares:
            whole = stretched(self.data, self.all_photos, square, self.cache)
            self._squares = {square: torch.from_numpy(whole[self.rows.numpy()])}
        return self._squares[square]

    def _train_step(self, picks: Tensor) -> float:
        config, side = self.config, self._side()
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = config.lr * self._schedule()
        generator = Generator().manual_seed(config.seed * 1_000_003 + self.step)
        torch.manual_seed(config.seed * 7_368_787 + self.step)
        one_hot = F.one_hot(self.truth[picks], len(self.classes)).float()
        x, targets = augment(self._squares_for(side)[picks], self.aspect[picks], one_hot, side, self.reject,
                             config.augment, generator)
        self.network.train()
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.network(normalise(x, config))
        loss = F.cross_entropy(logits.float(), targets, label_smoothing=config.label_smoothing)
        self.network.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        for optimiser in self.optimisers:
            optimiser.step()
        self._average_weights()
        return float(loss.detach())

    def _schedule(self) -> float:
        progress = self.step / self.total_steps
        if progress < self.config.warmup:
            return (progress + 1e-3) / (self.config.warmup + 1e-3)
        return max(0.002, 0.5 * (1 + math.cos(math.pi * (progress - self.config.warmup) / (1 - self.config.warmup))))

    def _average_weights(self) -> None:
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            mine, theirs = self.average.state_dict(), self.network.state_dict()
            for key, value in mine.items():
                if value.dtype.is_floating_point:
                    value.lerp_(theirs[key], 1 - decay)
                else:
                    value.copy_(theirs[key])

    def _save(self) -> None:
        temporary = self.work / "checkpoint.part"
        torch.save({"network": self.network.state_dict(), "average": self.average.state_dict(), "step": self.step,
                    "optimisers": [o.state_dict() for o in self.optimisers], "seconds": self.seconds, "classes": self.classes}, temporary)
        temporary.replace(self.work / "checkpoint.pt")

    def _resume(self) -> None:
        path = self.work / "checkpoint.pt"
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        if state["classes"] != self.classes:
            raise ValueError(f"{path} was made for other classes; remove it or choose another --work folder")
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"]):
            optimiser.load_state_dict(saved)
        self.step, self.seconds = int(state["step"]), float(state["seconds"])
