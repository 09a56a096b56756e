#!/bin/bash
# Makes the source bundle of Elastic Beanstalk out of an unpacked release: bundle.sh <release folder> <bundle.zip>
set -euo pipefail
release=${1:?usage: bundle.sh <release folder> <bundle.zip>}
bundle=$(realpath -m "${2:?usage: bundle.sh <release folder> <bundle.zip>}")
here=$(cd "$(dirname "$0")" && pwd)
for needed in bin/postern.mjs runtime/bin/node src; do
  [ -e "$release/$needed" ] || { echo "bundle.sh: $release is no release: it has no $needed" >&2; exit 2; }
done
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
cp -a "$release/." "$stage/"
cp -a "$here/Procfile" "$here/.platform" "$stage/"
rm -f "$bundle"
# The same bytes for the same content: names in order, one date.
(cd "$stage" && find . -exec touch -h -d '2020-01-01T00:00:00Z' {} + && find . -type f | LC_ALL=C sort | zip -q -X "$bundle" -@)
echo "$bundle"
