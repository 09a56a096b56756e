"""Fisher's irises with scikit-learn. Lengths in centimetres."""

from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import postern

LENGTHS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]


class Model(postern.Model):
    def setup(self):
        data = load_iris()
        self.names = [str(name) for name in data.target_names]
        self.classifier = make_pipeline(StandardScaler(), LogisticRegression()).fit(data.data, data.target)

    def predict(self, batch):
        outputs = [check(item) for item in batch]
        good = [place for place, problem in enumerate(outputs) if problem is None]
        if good:
            rows = self.classifier.predict_proba([[batch[place][name] for name in LENGTHS] for place in good])
            for place, row in zip(good, rows):
                outputs[place] = {"species": self.names[row.argmax()], "probability": round(float(row.max()), 4)}
        return outputs


def check(item):
    """None, or the error of this item alone."""
    for name in LENGTHS:
        if not isinstance(item, dict) or not isinstance(item.get(name), (int, float)):
            return postern.InputError(f"{name}: expected a number of centimetres")
    return None
