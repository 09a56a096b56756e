"""Counts words. A plain function is a model: a list of inputs in, a list of outputs out, one for each."""

import collections
import re

import postern


def predict(batch):
    return [count(item) for item in batch]


def count(item):
    if not isinstance(item, dict) or not isinstance(item.get("text"), str):
        # The caller's fault: returned in the place of the output, it fails this item alone.
        return postern.InputError('expected {"text": "..."}')
    words = re.findall(r"\w+", item["text"].lower())
    return {"words": len(words), "counts": dict(collections.Counter(words).most_common(item.get("top", 10)))}
