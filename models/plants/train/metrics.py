"""Figures about a classifier from its logits, by the rules of `postern eval` (src/cli/eval/figures.ts).

The reject label is never shown; a photo is rejected when the probability of that label reaches the threshold. A
rejected photo has no right answer and shows nothing, so every doubt counts against the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Sequence, Set

import numpy as np

SHOWN = 5
BINS = 15
MIN_RECALL = 0.97


@dataclass(frozen=True)
class Answers:
    """What the service would answer for n photos. Labels are indices; `truth` too."""

    labels: List[str]
    truth: np.ndarray           # int [n]
    shown: np.ndarray           # int [n, 5], best first, never the reject label
    score: np.ndarray           # float [n], of the answer given: the first label, or the rejection
    rejected: np.ndarray        # bool [n]
    reject: int                 # index of the reject label, -1 without one

    def pick(self, rows: np.ndarray) -> "Answers":
        """The answers of some photos (a boolean mask)."""
        return Answers(self.labels, self.truth[rows], self.shown[rows], self.score[rows], self.rejected[rows], self.reject)


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


def answer(probabilities: np.ndarray, truth: np.ndarray, labels: List[str], reject_label: str, threshold: float) -> Answers:
    """The service's answers for probabilities over labels [n, labels]."""
    reject = labels.index(reject_label) if reject_label else -1
    ranked = probabilities.copy()
    rejected = np.zeros(len(truth), bool)
    if reject >= 0:
        rejected = probabilities[:, reject] >= threshold
        ranked[:, reject] = -1.0
    shown = np.argsort(-ranked, axis=1, kind="stable")[:, :SHOWN]
    score = np.where(rejected, probabilities[:, reject], ranked[np.arange(len(truth)), shown[:, 0]])
    return Answers(labels, truth, shown, score, rejected, reject)


def top_k(answers: Answers, k: int) -> float:
    """Share of photos that are not rejected and have their label among the first k."""
    hits = (answers.shown[:, :k] == answers.truth[:, None]).any(1) & ~answers.rejected
    return float(hits.mean()) if len(hits) else 0.0


def calibration_error(answers: Answers) -> float:
    """Expected calibration error (Guo et al. 2017) of the answer given, over equal-width bins."""
    right = (answers.shown[:, 0] == answers.truth) & ~answers.rejected
    place = np.minimum((answers.score * BINS).astype(int), BINS - 1)
    error = 0.0
    for b in range(BINS):
        inside = place == b
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - answers.score[inside].mean())
    return float(error)


def fit_temperature(logits: np.ndarray, truth: np.ndarray, outputs: Sequence[str], labels: List[str]) -> float:
    """The temperature (0.01 steps) with the least negative log likelihood of the merged labels."""
    def loss(temperature: float) -> float:
        p = merge(softmax(logits, temperature), outputs, labels)
        return float(-np.log(np.maximum(p[np.arange(len(truth)), truth], 1e-12)).mean())
    return round(float(min(np.arange(0.3, 2.5, 0.01), key=loss)), 2)


def accuracy(answers: Answers) -> Dict[str, float]:
    """Photos, top-1, top-5, and the share rejected."""
    return {"photos": len(answers.truth), "top1": round(top_k(answers, 1), 4), "top5": round(top_k(answers, SHOWN), 4),
            "rejected": round(float(answers.rejected.mean()), 4)}


def accuracy_by(groups: Sequence[str], answers: Answers) -> Dict[str, Dict[str, float]]:
    """`accuracy` of each group (a source, a class); `groups` names the group of each photo."""
    names = np.asarray(groups)
    return {name: accuracy(answers.pick(names == name)) for name in sorted(set(groups))}


def rejection(answers: Answers) -> Dict[str, float]:
    """Recall of the reject class, and the share of all other photos that is rejected."""
    negative = answers.truth == answers.reject
    return {"photos": int(negative.sum()), "recall": round(float(answers.rejected[negative].mean()), 4),
            "false_rejection": round(float(answers.rejected[~negative].mean()), 4)}


def choose_threshold(probabilities: np.ndarray, truth: np.ndarray, reject: int, max_false: float) -> float:
    """The threshold (0.01 steps) where both rates keep the most room: recall above 0.97 and false rejection below
    `max_false`, each counted in standard errors of its limit. The middle one of equally good thresholds."""
    negative = truth == reject
    recall_error = np.sqrt(MIN_RECALL * (1 - MIN_RECALL) / negative.sum())
    false_error = np.sqrt(max_false * (1 - max_false) / (~negative).sum())

    def room(threshold: float) -> float:
        rejected = probabilities[:, reject] >= threshold
        return min((rejected[negative].mean() - MIN_RECALL) / recall_error,
                   (max_false - rejected[~negative].mean()) / false_error)
    grid = [round(float(t), 2) for t in np.arange(0.05, 0.96, 0.01)]
    scores = [room(t) for t in grid]
    best = [t for t, s in zip(grid, scores) if s >= max(scores) - 1e-9]
    return best[len(best) // 2]


def danger_missed(answers: Answers, dangerous: Set[str]) -> Dict[str, float]:
    """Of photos of dangerous plants, the share with no dangerous label among the five shown."""
    flags = np.array([label in dangerous for label in answers.labels])
    mine = answers.pick(flags[answers.truth])
    missed = mine.rejected | ~flags[mine.shown].any(1)
    return {"photos": len(mine.truth), "missed": round(float(missed.mean()), 4),
            "missed_when_shown": round(float(missed[~mine.rejected].mean()), 4)}


def confusions(answers: Answers, of: Set[str]) -> List[Dict[str, object]]:
    """For each label in `of`: its recall and what it is taken for most often (up to three, two photos or more)."""
    rows: List[Dict[str, object]] = []
    for i, label in enumerate(answers.labels):
        mine = answers.pick(answers.truth == i)
        if label not in of or len(mine.truth) == 0:
            continue
        guesses = ["rejected" if rejected else answers.labels[j] for j, rejected in zip(mine.shown[:, 0], mine.rejected)]
        counts = {name: guesses.count(name) for name in set(guesses) - {label}}
        taken = sorted(((n, name) for name, n in counts.items() if n >= 2), key=lambda pair: (-pair[0], pair[1]))[:3]
        rows.append({"label": label, "photos": len(guesses), "recall": round(guesses.count(label) / len(guesses), 3),
                     "taken_for": {name: count for count, name in taken}})
    return rows
