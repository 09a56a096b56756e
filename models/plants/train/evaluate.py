"""Evaluate a served folder offline: the ONNX file with the preprocessing of its postern.yaml, on one split.

    python evaluate.py --data ../../../../shared/data/plants --model ../1 --split test --guide <entries.json>

The preprocessing is Pillow's; the worker's (libvips) differs in the last bits, so the figures that count come
from `postern eval` through the running service.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any, Dict, List, Set, Tuple

import numpy as np
import onnxruntime
import yaml

import metrics
from config import Preprocess
from photos import Photo, prepared, read_manifest

DANGEROUS_LEVELS = {"deadly", "dangerous", "high", "severe", "toxic"}


def load_spec(model: Path) -> Tuple[Dict[str, Any], Preprocess]:
    """postern.yaml, and its `input` as a Preprocess."""
    spec = yaml.safe_load((model / "postern.yaml").read_text(encoding="utf-8"))
    given = spec["input"]
    return spec, Preprocess(given["width"], given["height"], given["fit"], given["scale"], given["kernel"],
                            tuple(given["mean"]), tuple(given["std"]))


def session_of(model: Path, threads: int) -> onnxruntime.InferenceSession:
    """ONNX Runtime on the CPU with `threads` threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(model / "model.onnx"), options, providers=["CPUExecutionProvider"])


def run_logits(session: onnxruntime.InferenceSession, pictures: np.ndarray, spec: Preprocess, batch: int = 16) -> np.ndarray:
    """Logits of uint8 pictures [n, 3, H, W]."""
    mean, std = (np.array(v, np.float32)[:, None, None] for v in (spec.mean, spec.std))
    parts = [session.run(["logits"], {"image": ((pictures[i:i + batch].astype(np.float32) / 255) - mean) / std})[0]
             for i in range(0, len(pictures), batch)]
    return np.concatenate(parts)


def latency(model: Path, spec: Preprocess, runs: int = 100) -> Dict[str, float]:
    """Inference only, one thread: milliseconds at batch 1 (median and best), pictures per second at batch 16."""
    session = session_of(model, 1)
    def times(batch: int, count: int) -> List[float]:
        x = np.random.default_rng(0).standard_normal((batch, 3, spec.height, spec.width)).astype(np.float32)
        taken = []
        for _ in range(count + 5):
            start = time.perf_counter()
            session.run(["logits"], {"image": x})
            taken.append(time.perf_counter() - start)
        return sorted(taken[5:])
    single, sixteen = times(1, runs), times(16, max(5, runs // 10))
    return {"batch1_ms_median": round(single[len(single) // 2] * 1e3, 2), "batch1_ms_best": round(single[0] * 1e3, 2),
            "batch16_images_per_s": round(16 / sixteen[len(sixteen) // 2], 1)}


def dangerous_labels(guide: Path, aliases: Dict[str, str], levels: Set[str]) -> Set[str]:
    """Labels of the guide's entries whose `danger` is one of `levels`."""
    entries = json.loads(guide.read_text(encoding="utf-8"))
    rows = entries if isinstance(entries, list) else entries["entries"]
    keys = [(row.get("label") or row.get("id") or row["slug"], row["danger"]) for row in rows]
    return {aliases.get(key, key) for key, danger in keys if danger in levels}


def figures(logits: np.ndarray, photos: List[Photo], outputs: List[str], aliases: Dict[str, str], temperature: float,
            reject_label: str, threshold: float, dangerous: Set[str]) -> Dict[str, Any]:
    """Every figure of a split. Accuracy and calibration are over the photos that are not of the reject class;
    the reject class takes part in the ranking, as it does when served."""
    labels = sorted(set(outputs))
    probabilities = metrics.merge(metrics.softmax(logits, temperature), outputs, labels)
    position = {label: i for i, label in enumerate(labels)}
    truth = np.array([position[aliases.get(photo.klass, photo.klass)] for photo in photos])
    reject = position.get(reject_label, -1)
    shown = truth != reject
    p, t = probabilities[shown], truth[shown]
    kept = [photo for photo in photos if aliases.get(photo.klass, photo.klass) != reject_label]
    result: Dict[str, Any] = {
        "photos": len(photos), "labels": len(labels), "outputs": len(outputs),
        "top1": round(metrics.top_k(p, t, 1), 4), "top5": round(metrics.top_k(p, t, 5), 4),
        "calibration_error": round(metrics.calibration_error(p, t), 4),
        "calibration_error_all": round(metrics.calibration_error(probabilities, truth), 4),
        "by_class": metrics.accuracy_by([labels[i] for i in t], p, t),
    }
    if any(photo.source for photo in photos):
        result["by_source"] = metrics.accuracy_by([photo.source for photo in kept], p, t)
        inat = np.array([photo.source.startswith("inat") for photo in kept])
        if inat.any():
            result["inat_top1"] = round(metrics.top_k(p[inat], t[inat], 1), 4)
    if reject >= 0:
        result["rejection"] = metrics.rejection(probabilities, truth, reject, threshold)
        result["reject_by_source"] = {
            source: round(float((probabilities[rows, reject] >= threshold).mean()), 4)
            for source in sorted({photo.source for photo in photos})
            for rows in [np.array([photo.source == source for photo in photos])]
        }
    if dangerous:
        result["danger"] = metrics.danger_missed(p, t, labels, dangerous)
        result["danger_confusions"] = metrics.confusions(p, t, labels, dangerous)
    return result


def evaluate(data: Path, model: Path, split: str, dangerous: Set[str]) -> Dict[str, Any]:
    """The figures of `model` on one split of `data`."""
    spec, preprocess = load_spec(model)
    names = json.loads((model / "labels.json").read_text(encoding="utf-8"))
    photos = [photo for photo in read_manifest(data) if photo.split == split]
    logits = run_logits(session_of(model, 2), prepared(data, photos, preprocess), preprocess)
    output = spec["output"]
    reject = output.get("reject") or {}
    return figures(logits, photos, names["labels"], names["aliases"], output["temperature"], reject.get("label", ""),
                   reject.get("threshold", 1.0), dangerous)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of photos.tar and manifest.csv")
    parser.add_argument("--model", type=Path, required=True, help="folder of model.onnx, labels.json and postern.yaml")
    parser.add_argument("--split", default="test", choices=["train", "val", "test"])
    parser.add_argument("--guide", type=Path, help="entries.json of the field guide, for the danger figures")
    parser.add_argument("--latency", action="store_true", help="also measure inference on one thread")
    parser.add_argument("--write", type=Path, help="write the figures to this JSON file too")
    args = parser.parse_args()
    names = json.loads((args.model / "labels.json").read_text(encoding="utf-8"))
    dangerous = dangerous_labels(args.guide, names["aliases"], DANGEROUS_LEVELS) if args.guide else set()
    result = {"split": args.split, **evaluate(args.data, args.model, args.split, dangerous)}
    if args.latency:
        result["latency"] = latency(args.model, load_spec(args.model)[1])
    text = json.dumps(result, indent=1)
    if args.write:
        args.write.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
