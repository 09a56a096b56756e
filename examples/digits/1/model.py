"""Serves a network that Keras has saved. `pixels` comes as a numpy array that is a view of what arrived."""

import os

import keras

import postern


class Model(postern.Model):
    def setup(self):
        # A .keras file is loaded in the same way.
        self.network = keras.models.load_model(os.path.join(os.path.dirname(__file__), "digits.h5"), compile=False)

    def predict(self, batch):
        return {"scores": self.network(batch["pixels"] / 16.0, training=False)}
