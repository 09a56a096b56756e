"""From the trained network to the folder that the worker serves: model.onnx, labels.json, postern.yaml."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Dict, List, Optional

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from config import Preprocess

OPSET = 17
HALF_FROM_VALUES = 1024  # smaller tensors stay float32: they weigh nothing


class Mirrored(nn.Module):
    """The mean of the logits of a photo and of its mirror image, inside the graph."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        both = self.network(torch.cat([image, image.flip(3)]))
        return both.reshape(2, -1, both.shape[1]).mean(0)


def write_onnx(network: nn.Module, spec: Preprocess, path: Path, mirrored: bool) -> None:
    """Export with a dynamic batch: `image` float32 [batch, 3, H, W] → `logits` float32 [batch, classes].

    Weights are stored as float16 and cast to float32 when the session loads (ONNX Runtime folds the casts), which
    halves the file and leaves the arithmetic in float32.
    """
    network = network.eval().float().to(memory_format=torch.contiguous_format)
    module = Mirrored(network).eval() if mirrored else network
    sample = torch.zeros(2, 3, spec.height, spec.width)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (sample,), str(path), input_names=["image"], output_names=["logits"],
                          dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}}, opset_version=OPSET,
                          dynamo=False)
    model = onnx.load(str(path))
    # The mean over the two views hides the number of classes from the exporter's shape inference.
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = module(sample).shape[1]
    _store_half(model)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _store_half(model: onnx.ModelProto) -> None:
    kept, casts = [], []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < HALF_FROM_VALUES:
            kept.append(tensor)
            continue
        half = numpy_helper.from_array(values.astype(np.float16), tensor.name + "_half")
        kept.append(half)
        casts.append(helper.make_node("Cast", [half.name], [tensor.name], to=TensorProto.FLOAT))
    nodes = casts + list(model.graph.node)
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def write_labels(path: Path, outputs: List[str], aliases: Dict[str, str]) -> None:
    """labels.json: one label per output, and the label of every class that goes by another name."""
    path.write_text(json.dumps({"labels": outputs, "aliases": aliases}, indent=1) + "\n", encoding="utf-8")


def write_yaml(path: Path, name: str, description: str, licence: str, spec: Preprocess, temperature: float,
               top_k: int, reject_label: str, threshold: Optional[float], unsure_below: float) -> None:
    """postern.yaml in the worker's schema."""
    reject = f", reject: {{ label: {reject_label}, threshold: {threshold} }}" if threshold is not None else ""
    mean, std = list(spec.mean), list(spec.std)
    path.write_text(f"""postern: 1
name: {name}
version: "1"
runner: onnx
kind: image-classification
file: model.onnx
description: {json.dumps(description)}
license: {json.dumps(licence)}
input: {{ name: image, width: {spec.width}, height: {spec.height}, fit: {spec.fit}, scale: {spec.scale}, kernel: {spec.kernel}, mean: {mean}, std: {std} }}
output: {{ name: logits, labels: labels.json, temperature: {round(temperature, 2)}, top_k: {top_k}{reject}, unsure_below: {unsure_below} }}
batch: {{ max_rows: 16, max_delay_ms: 0 }}
warm_up: {{ runs: 2 }}
concurrency: 1
memory_mb: 200
""", encoding="utf-8")
