"""Tests of the parts that decide figures: `python -m unittest discover -s models/plants/train`.

They need numpy and Pillow only; no photos and no PyTorch.
"""

from __future__ import annotations

import unittest

import numpy as np
from PIL import Image

import metrics
from config import Preprocess
from photos import prepare

LABELS = ["daisy", "ivy", "nothing"]


def answers(rows: list, truth: list, threshold: float = 0.5) -> metrics.Answers:
    return metrics.answer(np.array(rows), np.array(truth), LABELS, "nothing", threshold)


class Metrics(unittest.TestCase):
    def test_probabilities_of_outputs_with_one_label_are_summed(self) -> None:
        merged = metrics.merge(np.array([[0.4, 0.35, 0.25]]), ["daisy", "ivy", "ivy"], ["daisy", "ivy"])
        np.testing.assert_allclose(merged, [[0.4, 0.6]])

    def test_the_reject_label_is_never_shown(self) -> None:
        given = answers([[0.2, 0.4, 0.4]], [1])
        self.assertEqual(given.shown[0].tolist()[:2], [1, 0])
        self.assertEqual(metrics.top_k(given, 1), 1.0)

    def test_a_rejected_plant_is_wrong_and_shows_no_danger(self) -> None:
        given = answers([[0.1, 0.3, 0.6], [0.1, 0.8, 0.1]], [1, 1])
        self.assertEqual(metrics.top_k(given, 1), 0.5)
        self.assertEqual(metrics.danger_missed(given, {"ivy"}), {"photos": 2, "missed": 0.5, "missed_when_shown": 0.0})

    def test_rejection_counts_each_kind_of_photo_apart(self) -> None:
        given = answers([[0.1, 0.3, 0.6], [0.1, 0.1, 0.8], [0.6, 0.2, 0.2]], [1, 2, 2])
        self.assertEqual(metrics.rejection(given), {"photos": 2, "recall": 0.5, "false_rejection": 1.0})

    def test_calibration_error_is_the_distance_of_score_and_accuracy(self) -> None:
        given = answers([[0.8, 0.1, 0.1]] * 4, [0, 0, 0, 1])
        self.assertAlmostEqual(metrics.calibration_error(given), 0.05)

    def test_temperature_softens_logits_that_are_too_sure(self) -> None:
        logits = np.tile([4.0, 0.0, 0.0], (10, 1))
        truth = np.array([0] * 6 + [1] * 2 + [2] * 2)
        temperature = metrics.fit_temperature(logits, truth, LABELS, LABELS)
        self.assertGreater(temperature, 2.0)

    def test_threshold_keeps_both_limits_where_that_is_possible(self) -> None:
        p = np.array([[0.9, 0.0, 0.1]] * 98 + [[0.5, 0.0, 0.5]] * 2 + [[0.1, 0.0, 0.9]] * 100)
        truth = np.array([0] * 100 + [2] * 100)
        threshold = metrics.choose_threshold(p, truth, 2, 0.02)
        self.assertTrue(0.5 < threshold <= 0.9, threshold)


class Prepare(unittest.TestCase):
    def test_cover_keeps_the_middle_of_a_wide_photo(self) -> None:
        wide = Image.new("RGB", (300, 100), (255, 0, 0))
        wide.paste((0, 255, 0), (100, 0, 200, 100))
        picture = np.asarray(prepare(wide, Preprocess(50, 50, "cover")))
        self.assertEqual(picture.shape, (50, 50, 3))
        self.assertTrue((picture[:, 2:-2, 1] == 255).all() and (picture[:, 2:-2, 0] == 0).all())

    def test_fill_shows_the_whole_photo(self) -> None:
        wide = Image.new("RGB", (300, 100), (255, 0, 0))
        wide.paste((0, 255, 0), (100, 0, 200, 100))
        picture = np.asarray(prepare(wide, Preprocess(60, 60, "fill")))
        self.assertEqual(picture[30, 5].tolist(), [255, 0, 0])
        self.assertEqual(picture[30, 30].tolist(), [0, 255, 0])

    def test_scale_cuts_the_border_away(self) -> None:
        framed = Image.new("RGB", (100, 100), (255, 0, 0))
        framed.paste((0, 255, 0), (10, 10, 90, 90))
        picture = np.asarray(prepare(framed, Preprocess(40, 40, "cover", scale=1.5)))
        self.assertTrue((picture[..., 0] == 0).all())


if __name__ == "__main__":
    unittest.main()
