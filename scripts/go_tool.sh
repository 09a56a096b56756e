#!/usr/bin/env bash
# Builds a program of the tests from its source into .cache/bin, in a fixed version: go_tool.sh <package> <version>. Needs Go.
set -euo pipefail
cd "$(dirname "$0")/.."
package=$1
version=$2
program=.cache/bin/${package##*/}
if [ -x "$program" ] && [ "$(cat "$program.version" 2>/dev/null)" = "$version" ]; then exit 0; fi
if ! command -v go >/dev/null 2>&1; then
  echo "Go is not installed, so ${package##*/} is not built, and what needs it is not tested."
  exit 0
fi
mkdir -p .cache/bin
GOBIN="$PWD/.cache/bin" go install "$package@$version"
echo "$version" >"$program.version"
