"""LitServe: decoded and batched as its documentation shows it (decode_request, batch, predict, unbatch)."""
import os
import sys

import litserve as ls
import numpy as np
from fastapi import UploadFile

from plants_model import Plants


class PlantsAPI(ls.LitAPI):
    def setup(self, device: str) -> None:
        self.plants = Plants(int(os.environ["BENCH_THREADS"]))

    def decode_request(self, request: UploadFile) -> np.ndarray:
        return self.plants.decode(request.file.read())

    def batch(self, inputs: list[np.ndarray]) -> np.ndarray:
        return np.stack(inputs)

    def predict(self, x: np.ndarray):
        return self.plants.classify(x if x.ndim == 4 else x[np.newaxis])

    def unbatch(self, output):
        return output

    def encode_response(self, output) -> dict:
        return output[0] if isinstance(output, list) else output


if __name__ == "__main__":
    rows, workers = int(os.environ["BENCH_ROWS"]), int(os.environ["BENCH_WORKERS"])
    api = PlantsAPI(max_batch_size=rows, batch_timeout=0.005)
    server = ls.LitServer(api, accelerator="cpu", workers_per_device=workers)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), log_level="error", generate_client_file=False)
