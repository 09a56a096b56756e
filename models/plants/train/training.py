"""The training loop: bf16 autocast, cosine schedule, averaged weights, checkpoints to resume from.

It runs on PyTorch's default device: the CPU, or what `run.py --device` says.

Everything random is seeded by (seed, epoch) or (seed, step), so a run that was interrupted goes on with the same
photos, crops and mixtures.
"""

from __future__ import annotations

import copy
import json
import math
import os
import time
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, multiprocessing, nn

from augment import augment
from config import TrainConfig
from network import Network
from optimiser import optimisers_for
from photos import Photo, classes_of, prepared, read_manifest, stretched

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
    device = torch.get_default_device()
    out: List[Tensor] = []
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
        for start in range(0, len(pictures), batch):
            x = torch.from_numpy(pictures[start:start + batch]).to(device).float() / 255
            out.append(network(normalise(x, config)).float().cpu())
    return torch.cat(out).numpy()


class Trainer:
    """One run. `work` receives checkpoint.pt and log.jsonl; a checkpoint found there is resumed.

    With `replicas` > 1, further processes take steps from the same counter and update the same weights without
    locks (Recht et al. 2011, "Hogwild!"): a step may see weights that are one step old. On a machine that is busy with
    other work this trains about twice as fast as threads that wait for each other, and one core of a quiet
    machine loses nothing; the price is that two runs are no longer equal to the last bit.
    """

    def __init__(self, config: TrainConfig, data: Path, photos: List[Photo], cache: Path, work: Path) -> None:
        self.config, self.data, self.cache, self.work = config, data, cache, work
        self.device = torch.get_default_device()
        self.all_photos, self.classes = photos, classes_of(photos)
        train = [photo for photo in photos if photo.split == "train"]
        index = {name: i for i, name in enumerate(self.classes)}
        self.rows = torch.tensor([photo.index for photo in train])
        self.aspect = torch.tensor([photo.width / photo.height for photo in train])
        self.truth = torch.tensor([index[photo.klass] for photo in train])
        self.reject = index.get(config.reject_label, -1)
        counts = torch.bincount(self.truth, minlength=len(self.classes)).float()
        self.weights = counts[self.truth] ** -config.balance
        self.steps_per_epoch = len(train) // config.batch
        self.total_steps = self.steps_per_epoch * config.epochs
        self.val = [photo for photo in photos if photo.split == "val"]
        self.val_pictures: Optional[np.ndarray] = None
        self.network = build(config, len(self.classes))
        self.average = copy.deepcopy(self.network).eval()
        self.optimisers = optimisers_for(self.network, config.optimiser, config.lr, config.weight_decay)
        self.counter: Synchronized = multiprocessing.get_context("spawn").Value("q", 0)
        self.seconds = 0.0
        self._squares: Dict[int, Tensor] = {}
        self._epoch_order: Tuple[int, Tensor] = (-1, torch.empty(0))
        work.mkdir(parents=True, exist_ok=True)
        self._resume()

    def start_from(self, checkpoint: Path) -> None:
        """Take over what another task's network has learnt, all but the head. A run that has begun goes on as it is."""
        if self._done() > 0:
            return
        learnt = torch.load(checkpoint, weights_only=True, map_location=self.device)["average"]
        body = {key: value for key, value in learnt.items() if not key.startswith("head.")}
        for network in (self.network, self.average):
            network.load_state_dict({**network.state_dict(), **body})

    def run(self, replicas: int = 1) -> Network:
        """Train to the end; returns the averaged network."""
        for phase in self.config.phases:  # cached before the helpers start, so that they do not all decode
            self._squares_for(phase.side_px)
        self.network.share_memory()
        self.average.share_memory()
        spawn = multiprocessing.get_context("spawn")
        helpers = [spawn.Process(target=_help, args=(self._arguments(), self.network, self.average, self.counter), daemon=True)
                   for _ in range(replicas - 1)]
        for helper in helpers:
            helper.start()
        self._lead()
        for helper in helpers:
            helper.join()
        self._log({"epoch": self.config.epochs, **self.validate()})
        self._save()
        return self.average

    def follow(self, network: Network, average: Network, counter: "Synchronized") -> None:
        """Take steps from a leader's counter, on a leader's weights, until none is left or the leader is gone."""
        with torch.no_grad():
            for mine, shared in ((self.network, network), (self.average, average)):
                for name, parameter in mine.named_parameters():
                    parameter.data = shared.get_parameter(name).data
                for name, module in mine.named_modules():
                    for key in list(module._buffers):
                        module._buffers[key] = shared.get_submodule(name)._buffers[key]
        self.counter = counter
        leader = os.getppid()
        while os.getppid() == leader:
            step = self._take()
            if step is None:
                return
            self._train_step(step)

    def _lead(self) -> None:
        started = saved = time.monotonic()
        offset, losses, epoch = self.seconds, [], self._done() // self.steps_per_epoch
        step = self._take()
        while step is not None:
            losses.append(self._train_step(step))
            self.seconds = offset + time.monotonic() - started
            step = self._take()
            if self._done() // self.steps_per_epoch > epoch:
                epoch = self._done() // self.steps_per_epoch
                line = {"epoch": epoch, "of": self.config.epochs, "side_px": self._side(self._done()),
                        "loss": round(sum(losses) / len(losses), 4), "seconds": round(self.seconds)}
                self._log({**line, **(self.validate() if epoch % VALIDATE_EVERY_EPOCHS == 0 else {})})
                losses = []
            if time.monotonic() - saved > CHECKPOINT_EVERY_S:
                self._save()
                saved = time.monotonic()

    def validate(self) -> Dict[str, float]:
        """Top-1 on val by source group, of the averaged weights."""
        if self.val_pictures is None:
            self.val_pictures = prepared(self.data, self.val, self.config.preprocess)
        logits = predict(self.average, self.val_pictures, self.config)
        index = {name: i for i, name in enumerate(self.classes)}
        truth = np.array([index[photo.klass] for photo in self.val])
        right = logits.argmax(1) == truth
        groups = np.array(["reject" if index[p.klass] == self.reject else p.source.split("_")[0] for p in self.val])
        figures = {f"val_{g}": round(float(right[groups == g].mean()), 4) for g in sorted(set(groups)) if g}
        figures["val_top1"] = round(float(right[groups != "reject"].mean()), 4)
        return figures

    def _arguments(self) -> Tuple[TrainConfig, Path, Path, Path]:
        return self.config, self.data, self.cache, self.work

    def _take(self) -> Optional[int]:
        """The next step that nobody has taken, or None after the last."""
        with self.counter.get_lock():
            if self.counter.value >= self.total_steps:
                return None
            self.counter.value += 1
            return self.counter.value - 1

    def _done(self) -> int:
        return int(self.counter.value)

    def _log(self, line: Dict[str, object]) -> None:
        with open(self.work / "log.jsonl", "a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")

    def _side(self, step: int) -> int:
        progress = step / self.total_steps
        return next((phase.side_px for phase in self.config.phases if progress < phase.until),
                    self.config.phases[-1].side_px)

    def _order(self, epoch: int) -> Tensor:
        """Which photos an epoch shows, in order; the same in every process."""
        if self._epoch_order[0] != epoch:
            generator = Generator(self.device).manual_seed(self.config.seed * 100_003 + epoch)
            count = self.steps_per_epoch * self.config.batch
            # Systematic sampling: every photo at least ⌊weight⌋ times, so that an epoch leaves few photos out.
            ends = torch.cumsum((self.weights / self.weights.sum() * count).double(), 0)
            marks = torch.arange(count, dtype=torch.double) + torch.rand(1, generator=generator, dtype=torch.double)
            picks = torch.searchsorted(ends, marks).clamp_(max=len(self.weights) - 1)
            self._epoch_order = (epoch, picks[torch.randperm(count, generator=generator)])
        return self._epoch_order[1]

    def _squares_for(self, side_px: int) -> Tensor:
        # A stretched square of about 1.2 times the training side keeps the resampling near one to one.
        square = 112 if side_px <= 96 else 160
        if square not in self._squares:
            self._squares[square] = torch.from_numpy(stretched(self.data, self.all_photos, square, self.cache)).to(self.device)
        return self._squares[square]

    def _train_step(self, step: int) -> float:
        config, side = self.config, self._side(step)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = config.lr * self._schedule(step)
        generator = Generator(self.device).manual_seed(config.seed * 1_000_003 + step)
        torch.manual_seed(config.seed * 7_368_787 + step)
        position = (step % self.steps_per_epoch) * config.batch
        picks = self._order(step // self.steps_per_epoch)[position:position + config.batch]
        one_hot = F.one_hot(self.truth[picks], len(self.classes)).float()
        x, targets = augment(self._squares_for(side)[self.rows[picks]], self.aspect[picks], one_hot, side, self.reject,
                             config.augment, generator)
        self.network.train()
        with torch.autocast(self.device.type, torch.bfloat16):
            logits = self.network(normalise(x, config))
        loss = F.cross_entropy(logits.float(), targets, label_smoothing=config.label_smoothing)
        self.network.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        for optimiser in self.optimisers:
            optimiser.step()
        self._average_weights(step)
        return float(loss.detach())

    def _schedule(self, step: int) -> float:
        progress = step / self.total_steps
        if progress < self.config.warmup:
            return (progress + 1e-3) / (self.config.warmup + 1e-3)
        return max(0.002, 0.5 * (1 + math.cos(math.pi * (progress - self.config.warmup) / (1 - self.config.warmup))))

    def _average_weights(self, step: int) -> None:
        decay = min(self.config.ema_decay, (1 + step) / (10 + step))
        with torch.no_grad():
            mine, theirs = self.average.state_dict(), self.network.state_dict()
            for key, value in mine.items():
                if value.dtype.is_floating_point:
                    value.lerp_(theirs[key], 1 - decay)
                else:
                    value.copy_(theirs[key])

    def _save(self) -> None:
        temporary = self.work / "checkpoint.part"
        torch.save({"network": self.network.state_dict(), "average": self.average.state_dict(), "step": self._done(),
                    "optimisers": [o.state_dict() for o in self.optimisers], "seconds": self.seconds, "classes": self.classes}, temporary)
        temporary.replace(self.work / "checkpoint.pt")

    def _resume(self) -> None:
        path = self.work / "checkpoint.pt"
        if not path.exists():
            return
        state = torch.load(path, weights_only=True, map_location=self.device)
        if state["classes"] != self.classes:
            raise ValueError(f"{path} was made for other classes; remove it or choose another --work folder")
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"]):
            optimiser.load_state_dict(saved)
        self.counter.value, self.seconds = int(state["step"]), float(state["seconds"])


def _help(arguments: Tuple[TrainConfig, Path, Path, Path], network: Network, average: Network, counter: "Synchronized") -> None:
    """A helper process: its own gradients and momentum, the leader's weights."""
    torch.set_num_threads(1)
    config, data, cache, work = arguments
    Trainer(config, data, read_manifest(data), cache, work).follow(network, average, counter)
