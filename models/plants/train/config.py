"""What one training run is: every choice that changes the model, in one frozen record per task.

The values are the ones that the trials in TRIALS.md ended with.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, Tuple


@dataclass(frozen=True)
class Phase:
    """Train at `side_px` until `until` (fraction of all steps, 1.0 = the end)."""

    until: float
    side_px: int


@dataclass(frozen=True)
class Preprocess:
    """How the served model sees a photo; the same words as `input` in postern.yaml."""

    width: int
    height: int
    fit: str = "cover"
    scale: float = 1.0
    kernel: str = "cubic"
    mean: Tuple[float, float, float] = (0.47, 0.45, 0.38)
    std: Tuple[float, float, float] = (0.26, 0.24, 0.26)


@dataclass(frozen=True)
class Augment:
    """Strength of the training augmentation; probabilities are per photo, ranges are uniform."""

    min_area: float = 0.25          # smallest crop, as a fraction of the photo
    max_log_ratio: float = 0.34     # aspect of the crop: e^±0.34 is 5:7 … 7:5
    keep_shape: bool = False        # crops have the shape of the photo: for models that see it stretched (fit: fill)
    max_rotation_deg: float = 20.0
    degrade_p: float = 0.5          # shrink to a random resolution and enlarge again
    degrade_min_px: int = 40
    colour: float = 0.3             # brightness, contrast, saturation ±30 %
    channel_gain: float = 0.08      # white balance ±8 %
    grey_p: float = 0.03
    noise_p: float = 0.25
    noise_max: float = 0.05
    sharpen_p: float = 0.15
    jpeg_p: float = 0.15
    jpeg_quality: Tuple[int, int] = (25, 85)
    erase_p: float = 0.2
    mixup_p: float = 0.15           # per batch
    cutmix_p: float = 0.3           # per batch
    synthetic_p: float = 0.015      # replaced by a synthetic picture of the reject class


@dataclass(frozen=True)
class TrainConfig:
    """One run, from photos to ONNX."""

    task: str
    seed: int
    epochs: int
    phases: Tuple[Phase, ...]
    preprocess: Preprocess
    widths: Tuple[int, ...]
    depths: Tuple[int, ...]
    stem: int = 32
    batch: int = 96
    optimiser: str = "muon"         # sgd, adamw or muon (optimiser.py)
    lr: float = 4e-3
    weight_decay: float = 0.05
    warmup: float = 0.03            # fraction of all steps
    label_smoothing: float = 0.1
    drop_path: float = 0.05
    dropout: float = 0.2
    ema_decay: float = 0.998
    balance: float = 0.2            # sampling weight of a class ∝ photos^-balance
    augment: Augment = field(default_factory=Augment)
    reject_label: str = ""          # "" = the task has no reject class
    aliases: Dict[str, str] = field(default_factory=dict)  # manifest class → label
    mirrored: bool = False          # average the logits of the photo and its mirror image, in the graph


PLANTS = TrainConfig(
    task="plants",
    seed=20,
    epochs=48,
    phases=(Phase(0.4, 80), Phase(0.8, 104), Phase(1.0, 128)),
    preprocess=Preprocess(width=128, height=128, scale=1.14),
    widths=(64, 128, 256, 320),
    depths=(1, 2, 2, 2),
    reject_label="not_a_plant",
    # One outcome for what is one danger and looks alike: with the five apart, iNaturalist top-1 stays below 0.55 on val.
    aliases={name: "toxicodendron" for name in (
        "eastern_poison_ivy", "western_poison_ivy", "eastern_poison_oak", "western_poison_oak", "poison_sumac")},
)

# From scratch, on its own CC0 photos alone: the weights owe nothing to photos of other rights.
CLOTHES = TrainConfig(
    task="clothes",
    seed=20,
    epochs=40,
    phases=(Phase(0.4, 80), Phase(1.0, 128)),
    preprocess=Preprocess(width=128, height=128, fit="fill"),
    widths=(48, 96, 192, 256),
    depths=(1, 2, 2, 1),
    mirrored=True,
    batch=64,
    lr=3e-3,
    # Sleeves and hems decide: nearly whole garments, and no pasted patches.
    augment=Augment(min_area=0.6, max_log_ratio=0.2, keep_shape=True, max_rotation_deg=12.0, mixup_p=0.3, cutmix_p=0.0,
                    degrade_p=0.3, synthetic_p=0.0),
)

CONFIGS: Dict[str, TrainConfig] = {"plants": PLANTS, "clothes": CLOTHES}
