"""One command from photos to a served model.

    python run.py --data ../shared/data/plants --out models/plants/1

Interrupt it and run it again: it goes on from the last checkpoint in --work.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import torch

import metrics
from config import CONFIGS, TrainConfig
from evaluate import figures, run_logits, session_of
from export import write_labels, write_onnx, write_yaml
from photos import prepared, read_manifest
from training import Trainer

TEXTS: Dict[str, Dict[str, str]] = {
    "plants": {
        "description": "Which of 118 flowering, house and poisonous plants (all Toxicodendron as one) a photo shows, or none of them",
        "license": "Weights: the project's licence. Training photos: mixed and partly unknown rights, see README.md",
    },
    "clothes": {
        "description": "Which of ten kinds of garment a photo shows",
        "license": "Weights: the project's licence. Training photos: CC0, see README.md",
    },
}
MAX_FALSE_REJECTION = 0.02
UNSURE_BELOW = 0.25


def publish(config: TrainConfig, network: torch.nn.Module, classes: List[str], data: Path, out: Path) -> Dict[str, Any]:
    """Write the served folder; temperature and reject threshold are fitted on val. Returns the val figures."""
    out.mkdir(parents=True, exist_ok=True)
    outputs = [config.aliases.get(name, name) for name in classes]
    labels = sorted(set(outputs))
    write_onnx(network, config.preprocess, out / "model.onnx", config.mirrored)
    val = [photo for photo in read_manifest(data) if photo.split == "val"]
    logits = run_logits(session_of(out, 2), prepared(data, val, config.preprocess), config.preprocess)
    truth = np.array([labels.index(config.aliases.get(photo.klass, photo.klass)) for photo in val])
    known = truth != (labels.index(config.reject_label) if config.reject_label else -1)
    temperature = metrics.fit_temperature(logits[known], truth[known], outputs, labels)
    threshold = None
    if config.reject_label:
        p = metrics.merge(metrics.softmax(logits, temperature), outputs, labels)
        threshold = metrics.choose_threshold(p, truth, labels.index(config.reject_label), MAX_FALSE_REJECTION)
    write_labels(out / "labels.json", outputs, config.aliases)
    write_yaml(out / "postern.yaml", config.task, TEXTS[config.task]["description"], TEXTS[config.task]["license"],
               config.preprocess, temperature, 5, config.reject_label, threshold, UNSURE_BELOW)
    return figures(logits, val, outputs, config.aliases, temperature, config.reject_label, threshold or 1.0, set())


def main(task: str = "plants") -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--task", default=task, choices=sorted(CONFIGS))
    parser.add_argument("--data", type=Path, required=True, help="folder of photos.tar and manifest.csv")
    parser.add_argument("--out", type=Path, required=True, help="served folder to write")
    parser.add_argument("--work", type=Path, help="checkpoints and the cache of photos (about 2 GB for plants)")
    parser.add_argument("--start-from", type=Path, help="checkpoint.pt of another task's run with the same network")
    parser.add_argument("--replicas", type=int, default=os.cpu_count() or 1,
                        help="processes that train the same weights, one thread each; 1 = reproducible, with --threads")
    parser.add_argument("--threads", type=int, default=1, help="threads of each process")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda for a GPU (then --replicas counts as 1)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_default_device(args.device)
    config = CONFIGS[args.task]
    work = args.work or Path(tempfile.gettempdir()) / "postern-training" / config.task
    trainer = Trainer(config, args.data, read_manifest(args.data), work / "cache", work)
    if args.start_from:
        trainer.start_from(args.start_from)
    network = trainer.run(args.replicas if args.device == "cpu" else 1)
    torch.set_default_device("cpu")  # exported and evaluated where it will be served
    network = network.cpu()
    val = publish(config, network, trainer.classes, args.data, args.out)
    print(f"val: {val['accuracy']}, calibration error {val['calibration_error']}"
          + (f", rejection {val['rejection']}" if "rejection" in val else "") + f"; written to {args.out}")


if __name__ == "__main__":
    main()
