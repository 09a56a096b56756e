#!/usr/bin/env bash
# Makes .cache/python, the Python of the tests. What the machine's own Python already has in the pinned version is taken from there, so
# this is quick where PyTorch is installed. Arguments go to pip.
set -euo pipefail
cd "$(dirname "$0")/.."
python3 -m venv --system-site-packages .cache/python
.cache/python/bin/python -m pip install --quiet --disable-pip-version-check -r test/python/requirements.txt "$@"
