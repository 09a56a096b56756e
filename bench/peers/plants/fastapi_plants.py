"""FastAPI + ONNX Runtime: the endpoint is a plain function, so that FastAPI runs it on its threads. No batches."""
from __future__ import annotations

import os

import numpy as np
from fastapi import FastAPI, UploadFile

from plants_model import Plants

app = FastAPI()
plants = Plants(int(os.environ["BENCH_THREADS"]))


@app.post("/predict")
def predict(image: UploadFile) -> dict:
    return plants.classify(plants.decode(image.file.read())[np.newaxis])[0]
