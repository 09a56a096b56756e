"""Evaluate a served folder offline: the ONNX file with the preprocessing of its postern.yaml, on one split.

    python evaluate.py --data ../shared/data/plants --model models/plants/1 --split val test --guide guides/plants/entries.json

The preprocessing is Pillow's; the worker's (libvips) differs in the last bits, so the figures that count come
from `postern eval` through the running service. The rules are the same.
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
from photos import Photo, classes_of, prepared, read_manifest


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


def dangerous_labels(guide: Path) -> Set[str]:
    """Ids of the guide's entries that are dangerous, merged entries included."""
    entries = json.loads(guide.read_text(encoding="utf-8"))["entries"]
    return {entry["id"] for entry in entries if entry["danger"]["dangerous"]}


def figures(logits: np.ndarray, photos: List[Photo], outputs: List[str], aliases: Dict[str, str], temperature: float,
            reject_label: str, threshold: float, dangerous: Set[str]) -> Dict[str, Any]:
    """Every figure of a split. Accuracy, calibration and danger are over the photos that are not of the reject class."""
    labels = sorted(set(outputs))
    probabilities = metrics.merge(metrics.softmax(logits, temperature), outputs, labels)
    names = [aliases.get(photo.klass, photo.klass) for photo in photos]
    truth = np.array([labels.index(name) for name in names])
    everything = metrics.answer(probabilities, truth, labels, reject_label, threshold)
    known = everything.pick(truth != everything.reject)
    kept = [photo for photo, name in zip(photos, names) if name != reject_label]
    result: Dict[str, Any] = {
        "photos": len(photos), "labels": len(labels), "outputs": len(outputs),
        "accuracy": metrics.accuracy(known),
        "calibration_error": round(metrics.calibration_error(known), 4),
    }
    if any(photo.source for photo in photos):
        result["by_source"] = metrics.accuracy_by([photo.source for photo in kept], known)
        result["by_source_family"] = metrics.accuracy_by([photo.source.split("_")[0] for photo in kept], known)
    if everything.reject >= 0:
        result["rejection"] = metrics.rejection(everything)
        others = everything.pick(truth == everything.reject)
        sources = np.array([photo.source for photo, name in zip(photos, names) if name == reject_label])
        result["rejection_by_source"] = {name: round(float(others.rejected[sources == name].mean()), 4)
                                         for name in sorted(set(sources))}
    if dangerous:
        result["danger"] = metrics.danger_missed(known, dangerous)
        result["danger_confusions"] = metrics.confusions(known, dangerous)
    result["by_class"] = metrics.accuracy_by([photo.klass for photo in kept], known)
    return result


def evaluate(data: Path, model: Path, split: str, dangerous: Set[str]) -> Dict[str, Any]:
    """The figures of `model` on one split of `data`."""
    spec, preprocess = load_spec(model)
    names = json.loads((model / "labels.json").read_text(encoding="utf-8"))
    photos = [photo for photo in read_manifest(data) if photo.split == split]
    logits = run_logits(session_of(model, 2), prepared(data, photos, preprocess), preprocess)
    output = spec["output"]
    reject = output.get("reject") or {}
    rest = (output["temperature"], reject.get("label", ""), reject.get("threshold", 1.0))
    result = figures(logits, photos, names["labels"], names["aliases"], *rest, dangerous)
    if names["aliases"]:  # the outputs are the classes in order: what the network could tell apart without merging
        apart = figures(logits, photos, classes_of(read_manifest(data)), {}, *rest, set())
        result["unmerged"] = {"accuracy": apart["accuracy"], "by_source_family": apart["by_source_family"]}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of photos.tar and manifest.csv")
    parser.add_argument("--model", type=Path, required=True, help="folder of model.onnx, labels.json and postern.yaml")
    parser.add_argument("--split", nargs="+", default=["test"], choices=["train", "val", "test"])
    parser.add_argument("--guide", type=Path, help="entries.json of the field guide, for the danger figures")
    parser.add_argument("--latency", action="store_true", help="also measure inference on one thread")
    parser.add_argument("--machine", default="this machine", help="what to call the machine in the model card")
    parser.add_argument("--write", action="store_true", help="write metrics.json into the model folder too")
    args = parser.parse_args()
    dangerous = dangerous_labels(args.guide) if args.guide else set()
    result: Dict[str, Any] = {split: evaluate(args.data, args.model, split, dangerous) for split in args.split}
    if args.latency:
        result["machine"], result["latency"] = args.machine, latency(args.model, load_spec(args.model)[1])
    text = json.dumps(result, indent=1)
    if args.write:
        (args.model / "metrics.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
