"""Figures about a classifier, from its probabilities: accuracy, calibration, rejection and danger.

All functions take probabilities over labels [photos, labels] (rows sum to 1) and true label indices [photos].
"""

from __future__ import annotations

from typing import Dict, List, Sequence, Set

import numpy as np


def softmax(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities of logits [n, k] divided by `temperature`."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(1, keepdims=True)
    weights = np.exp(scaled)
    return weights / weights.sum(1, keepdims=True)


def merge(probabilities: np.ndarray, outputs: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    """Sum the outputs that carry the same label: [n, outputs] → [n, labels]."""
    position = {label: i for i, label in enumerate(labels)}
    merged = np.zeros((probabilities.shape[0], len(labels)))
    for column, label in enumerate(outputs):
        merged[:, position[label]] += probabilities[:, column]
    return merged


def top_k(probabilities: np.ndarray, truth: np.ndarray, k: int) -> float:
    """Share of photos whose true label is among the k most likely."""
    best = np.argsort(-probabilities, axis=1)[:, :k]
    return float((best == truth[:, None]).any(1).mean())


def calibration_error(probabilities: np.ndarray, truth: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error (Guo et al. 2017): |accuracy − confidence| over equal-width bins, by share."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == truth
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    error = 0.0
    for b in range(bins):
        inside = place == b
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return float(error)


def fit_temperature(logits: np.ndarray, truth: np.ndarray, outputs: Sequence[str], labels: Sequence[str]) -> float:
    """The temperature with the least negative log likelihood of the merged labels, to ±0.005."""
    def loss(temperature: float) -> float:
        p = merge(softmax(logits, temperature), outputs, labels)
        return float(-np.log(np.maximum(p[np.arange(len(truth)), truth], 1e-12)).mean())
    return float(min(np.arange(0.3, 2.5, 0.01), key=loss))


def accuracy_by(groups: Sequence[str], probabilities: np.ndarray, truth: np.ndarray) -> Dict[str, Dict[str, float]]:
    """Top-1 and top-5 and the number of photos of each group (a source, a class)."""
    names = np.asarray(groups)
    return {
        name: {
            "photos": int((names == name).sum()),
            "top1": round(top_k(probabilities[names == name], truth[names == name], 1), 4),
            "top5": round(top_k(probabilities[names == name], truth[names == name], 5), 4),
        }
        for name in sorted(set(groups))
    }


def rejection(probabilities: np.ndarray, truth: np.ndarray, reject: int, threshold: float) -> Dict[str, float]:
    """Recall of the reject class and the share of other photos rejected, at p(reject) ≥ threshold."""
    rejected, negative = probabilities[:, reject] >= threshold, truth == reject
    return {
        "recall": round(float(rejected[negative].mean()), 4),
        "false_rejection": round(float(rejected[~negative].mean()), 4),
    }


def choose_threshold(probabilities: np.ndarray, truth: np.ndarray, reject: int, max_false: float) -> float:
    """The threshold (0.02 steps) where both rates keep the most room: recall above 0.97, false rejection
    below `max_false`, each measured in standard errors of its limit."""
    negative = truth == reject
    def room(threshold: float) -> float:
        rejected = probabilities[:, reject] >= threshold
        recall, false = rejected[negative].mean(), rejected[~negative].mean()
        recall_error = np.sqrt(0.97 * 0.03 / negative.sum())
        false_error = np.sqrt(max_false * (1 - max_false) / (~negative).sum())
        return min((recall - 0.97) / recall_error, (max_false - false) / false_error)
    grid = [round(float(t), 2) for t in np.arange(0.1, 0.96, 0.02)]
    scores = [room(t) for t in grid]
    best = [t for t, s in zip(grid, scores) if s >= max(scores) - 1e-9]
    return best[len(best) // 2]


def danger_missed(probabilities: np.ndarray, truth: np.ndarray, labels: Sequence[str], dangerous: Set[str],
                  shown: int = 5) -> Dict[str, float]:
    """Of photos of dangerous plants, the share with no dangerous label among the `shown` most likely."""
    flags = np.array([label in dangerous for label in labels])
    rows = flags[truth]
    best = np.argsort(-probabilities[rows], axis=1)[:, :shown]
    return {"photos": int(rows.sum()), "missed": round(float((~flags[best].any(1)).mean()), 4)}


def confusions(probabilities: np.ndarray, truth: np.ndarray, labels: Sequence[str], of: Set[str]) -> List[Dict[str, object]]:
    """For each label in `of`: its recall and what it is taken for most often (up to three, at least two photos)."""
    guess, rows = probabilities.argmax(1), []
    for i, label in enumerate(labels):
        mine = guess[truth == i]
        if label not in of or len(mine) == 0:
            continue
        others = [(int((mine == j).sum()), labels[j]) for j in set(mine.tolist()) - {i}]
        taken = sorted((pair for pair in others if pair[0] >= 2), key=lambda pair: (-pair[0], pair[1]))[:3]
        rows.append({"label": label, "photos": len(mine), "recall": round(float((mine == i).mean()), 3),
                     "taken_for": {name: count for count, name in taken}})
    return rows
