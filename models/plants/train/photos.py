"""Photos and manifest: read once from photos.tar, kept as uint8 arrays that the training can sample.

The tar is read in place; nothing is unpacked. Two kinds of array are cached as .npy files:
- stretched squares (for training): each photo resized to S×S whatever its shape. The crop undoes the
  stretch, so no photo is distorted, and one array holds photos of every shape.
- prepared pictures (for evaluation): exactly what the worker would feed the network.
"""

from __future__ import annotations

import csv
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List

import numpy as np
from PIL import Image, ImageOps

from config import Preprocess

KERNELS = {
    "nearest": Image.Resampling.NEAREST,
    "linear": Image.Resampling.BILINEAR,
    "cubic": Image.Resampling.BICUBIC,
    "lanczos3": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True)
class Photo:
    """One row of the manifest; `index` is its row in the cached arrays."""

    index: int
    file: str
    klass: str
    source: str
    width: int
    height: int
    split: str


def read_manifest(data: Path) -> List[Photo]:
    """The rows of `data/manifest.csv` in file order. A manifest without sources has one, ''."""
    with open(data / "manifest.csv", newline="", encoding="utf-8") as file:
        return [
            Photo(i, row["file"], row["class"], row.get("source") or "", int(row["width"]),
                  int(row["height"]), row["split"])
            for i, row in enumerate(csv.DictReader(file))
        ]


def classes_of(photos: List[Photo]) -> List[str]:
    """Every class of the manifest, sorted: the order of the network's outputs."""
    return sorted({photo.klass for photo in photos})


def read_tar(data: Path, wanted: Dict[str, int]) -> Dict[int, bytes]:
    """The JPEG bytes of each wanted file (name in the tar → index)."""
    found: Dict[int, bytes] = {}
    with tarfile.open(data / "photos.tar") as tar:
        for member in tar:
            name = member.name[2:] if member.name.startswith("./") else member.name
            if member.isfile() and name in wanted:
                handle = tar.extractfile(member)
                assert handle is not None
                found[wanted[name]] = handle.read()
    missing = len(wanted) - len(found)
    if missing:
        raise FileNotFoundError(f"photos.tar lacks {missing} of the {len(wanted)} photos that manifest.csv names")
    return found


def decode(blob: bytes) -> Image.Image:
    """RGB, upright by its EXIF tag."""
    return ImageOps.exif_transpose(Image.open(io.BytesIO(blob))).convert("RGB")


def prepare(image: Image.Image, spec: Preprocess) -> Image.Image:
    """What the worker does before mean and std: resize with antialiasing, then the centre crop."""
    kernel = KERNELS[spec.kernel]
    target_w, target_h = round(spec.width * spec.scale), round(spec.height * spec.scale)
    if spec.fit == "fill":
        image = image.resize((target_w, target_h), kernel)
    elif spec.fit == "cover":
        ratio = max(target_w / image.width, target_h / image.height)
        size = (max(target_w, round(image.width * ratio)), max(target_h, round(image.height * ratio)))
        image = image.resize(size, kernel)
    elif spec.fit == "contain":
        image = ImageOps.pad(image, (target_w, target_h), kernel)
    else:
        raise ValueError(f"fit must be cover, fill or contain, got {spec.fit!r}")
    left, top = (image.width - spec.width) // 2, (image.height - spec.height) // 2
    return image.crop((left, top, left + spec.width, top + spec.height))


def stretched(data: Path, photos: List[Photo], side_px: int, cache: Path) -> np.ndarray:
    """uint8 [photos, 3, side, side], every photo stretched to a square; cached on disk."""
    path = cache / f"stretched-{side_px}.npy"
    if not path.exists():
        blobs = read_tar(data, {photo.file: photo.index for photo in photos})
        out = np.empty((len(photos), 3, side_px, side_px), np.uint8)
        for photo in photos:
            picture = decode(blobs[photo.index]).resize((side_px, side_px), Image.Resampling.BICUBIC)
            out[photo.index] = np.asarray(picture).transpose(2, 0, 1)
        _save(path, out)
    return np.load(path, mmap_mode="c")  # shared by all processes through the page cache; "c": torch wants it writable


def prepared(data: Path, photos: List[Photo], spec: Preprocess) -> np.ndarray:
    """uint8 [photos, 3, height, width] in the order of `photos`, as the worker would feed them."""
    blobs = read_tar(data, {photo.file: i for i, photo in enumerate(photos)})
    out = np.empty((len(photos), 3, spec.height, spec.width), np.uint8)
    for i in range(len(photos)):
        out[i] = np.asarray(prepare(decode(blobs[i]), spec)).transpose(2, 0, 1)
    return out


def _save(path: Path, array: np.ndarray) -> None:
    """Write whole or not at all: an interrupted run must not leave half a cache."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    with open(temporary, "wb") as file:
        np.save(file, array)
    temporary.replace(path)
