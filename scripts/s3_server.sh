#!/usr/bin/env bash
# Builds .cache/bin/versitygw, the S3 server of the tests, from its source. About 90 s the first time; needs Go.
set -euo pipefail
cd "$(dirname "$0")/.."
version=v1.8.0
program=.cache/bin/versitygw
if [ -x "$program" ] && [ "$(cat "$program.version" 2>/dev/null)" = "$version" ]; then exit 0; fi
if ! command -v go >/dev/null 2>&1; then
  echo 'Go is not installed, so the S3 server of the tests is not built.'
  exit 0
fi
mkdir -p .cache/bin
GOBIN="$PWD/.cache/bin" go install "github.com/versity/versitygw/cmd/versitygw@$version"
echo "$version" >"$program.version"
