#!/usr/bin/env bash
# Makes .cache/peers, the Python of `npm run bench:peers`: LitServe, FastAPI, ONNX Runtime, pinned.
set -euo pipefail
cd "$(dirname "$0")/../../.."
python3 -m venv .cache/peers
.cache/peers/bin/python -m pip install --quiet --disable-pip-version-check -r bench/peers/plants/requirements.txt
