#!/usr/bin/env bash
# Builds .cache/bin/actionlint, which checks the workflows of GitHub Actions, from its source. Some 10 s the first time; needs Go.
set -euo pipefail
cd "$(dirname "$0")/.."
version=v1.7.12
program=.cache/bin/actionlint
if [ -x "$program" ] && [ "$(cat "$program.version" 2>/dev/null)" = "$version" ]; then exit 0; fi
if ! command -v go >/dev/null 2>&1; then
  echo 'Go is not installed, so actionlint is not built, and the workflows are not checked.'
  exit 0
fi
mkdir -p .cache/bin
GOBIN="$PWD/.cache/bin" go install "github.com/rhysd/actionlint/cmd/actionlint@$version"
echo "$version" >"$program.version"
