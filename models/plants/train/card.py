"""Fill the tables of a model card from metrics.json, between the markers in its README.md.

    python card.py models/plants/1

The text around the tables is written by hand; the figures are not, so that they cannot drift from metrics.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Dict, List

BEGIN, END = "<!-- figures: begin (card.py) -->", "<!-- figures: end -->"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _table(head: List[str], rows: List[List[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _accuracy_rows(groups: Dict[str, Dict[str, float]]) -> List[List[str]]:
    return [[f"`{name}`" if name else "all", str(int(g["photos"])), _percent(g["top1"]), _percent(g["top5"])]
            for name, g in groups.items()]


def _summary(metrics: Dict[str, Any]) -> str:
    rows = []
    for split in ("val", "test"):
        f = metrics[split]
        row = [split, str(f["accuracy"]["photos"]), _percent(f["accuracy"]["top1"]), _percent(f["accuracy"]["top5"]),
               f"{f['calibration_error']:.3f}"]
        if "rejection" in f:
            row += [_percent(f["by_source_family"]["inat"]["top1"]), _percent(f["rejection"]["recall"]),
                    _percent(f["rejection"]["false_rejection"]), _percent(f["danger"]["missed"])]
        rows.append(row)
    head = ["split", "photos", "top-1", "top-5", "calibration error"]
    if "rejection" in metrics["test"]:
        head += ["iNaturalist top-1", "not a plant: recalled", "plants rejected", "dangerous, none shown"]
    return _table(head, rows)


def render(metrics: Dict[str, Any]) -> str:
    """The generated part of the card, in Markdown."""
    test, speed = metrics["test"], metrics["latency"]
    parts = ["### In short", _summary(metrics),
             f"Inference alone, ONNX Runtime, one thread of {metrics['machine']}: {speed['batch1_ms_median']} ms for one photo "
             f"(median; best {speed['batch1_ms_best']} ms), {speed['batch16_images_per_s']} photos/s at batch 16."]
    if "unmerged" in test:
        apart = {split: metrics[split]["unmerged"] for split in ("val", "test")}
        parts += ["Without merging labels: " + "; ".join(
            f"{split} top-1 {_percent(u['accuracy']['top1'])}, top-5 {_percent(u['accuracy']['top5'])}, iNaturalist top-1 "
            f"{_percent(u['by_source_family']['inat']['top1'])}" for split, u in apart.items()) + "."]
    if "by_source" in test:
        parts += ["### By source (test)", _table(["source", "photos", "top-1", "top-5"], _accuracy_rows(test["by_source"]))]
    if "rejection_by_source" in test:
        parts += ["### Rejected, by source of the photo that shows no plant (test)",
                  _table(["source", "rejected"], [[f"`{k}`", _percent(v)] for k, v in test["rejection_by_source"].items()])]
    if "danger_confusions" in test:
        rows = [[f"`{r['label']}`", str(r["photos"]), _percent(r["recall"]),
                 ", ".join(f"`{name}` {count}" for name, count in r["taken_for"].items()) or "none twice"]
                for r in test["danger_confusions"]]
        parts += ["### What the dangerous ones are taken for (test)",
                  _table(["label", "photos", "named first", "taken for (photos, two or more)"], rows)]
    parts += ["### By class (test)", _table(["class", "photos", "top-1", "top-5"], _accuracy_rows(test["by_class"]))]
    return "\n\n".join(parts)


def main() -> None:
    folder = Path(sys.argv[1])
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    card.write_text(f"{before}{BEGIN}\n\n{render(metrics)}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
