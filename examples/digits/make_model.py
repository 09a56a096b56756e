"""Made 1/digits.h5: KERAS_BACKEND=torch python make_model.py (needs keras, h5py, torch and scikit-learn)."""

import os

import keras
import numpy
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

keras.utils.set_random_seed(0)
data = load_digits()
train_x, test_x, train_y, test_y = train_test_split(
    data.data.astype(numpy.float32) / 16, data.target, test_size=0.2, random_state=0
)
network = keras.Sequential(
    [
        keras.Input((64,), name="pixels"),
        keras.layers.Dense(32, activation="relu"),
        keras.layers.Dense(10, activation="softmax", name="scores"),
    ]
)
network.compile(optimizer=keras.optimizers.Adam(0.005), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
network.fit(train_x, train_y, epochs=40, batch_size=64, verbose=0)
print("test accuracy", network.evaluate(test_x, test_y, verbose=0)[1])
network.save(os.path.join(os.path.dirname(os.path.abspath(__file__)), "1", "digits.h5"), include_optimizer=False)
