"""The plants model as a Python server would use it: Pillow, numpy and ONNX Runtime, by `models/plants/1/postern.yaml`."""
from __future__ import annotations

import io
import json
import pathlib
from typing import Any

import numpy as np
import onnxruntime as ort
import yaml
from PIL import Image, ImageOps

FOLDER = pathlib.Path(__file__).resolve().parents[3] / "models" / "plants" / "1"


class Plants:
    """Rows of 3 × height × width float32 in, the best label of each out."""

    def __init__(self, threads: int) -> None:
        manifest = yaml.safe_load((FOLDER / "postern.yaml").read_text())
        self.input: dict[str, Any] = manifest["input"]
        self.labels: list[str] = json.loads((FOLDER / manifest["output"]["labels"]).read_text())["labels"]
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(
            str(FOLDER / manifest["file"]), options, providers=["CPUExecutionProvider"]
        )
        self.mean = np.asarray(self.input["mean"], dtype=np.float32)
        self.std = np.asarray(self.input["std"], dtype=np.float32)

    def decode(self, photo: bytes) -> np.ndarray:
        width, height, scale = self.input["width"], self.input["height"], self.input["scale"]
        size = (round(width * scale), round(height * scale))
        image = Image.open(io.BytesIO(photo))
        # A JPEG can be decoded at a half, a quarter, an eighth: as libvips does for Postern.
        image.draft("RGB", (size[0] * 2, size[1] * 2))
        image = ImageOps.exif_transpose(image).convert("RGB")
        image = ImageOps.fit(image, size, method=Image.Resampling.BICUBIC)
        left, top = (size[0] - width) // 2, (size[1] - height) // 2
        pixels = np.asarray(image.crop((left, top, left + width, top + height)), dtype=np.float32)
        return ((pixels / 255 - self.mean) / self.std).transpose(2, 0, 1)

    def classify(self, rows: np.ndarray) -> list[dict[str, Any]]:
        (logits,) = self.session.run(None, {self.input["name"]: rows})
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        scores = shifted / shifted.sum(axis=1, keepdims=True)
        best = scores.argmax(axis=1)
        return [{"label": self.labels[at], "score": float(scores[row, at])} for row, at in enumerate(best)]
