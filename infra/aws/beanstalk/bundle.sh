#!/bin/bash
# Makes the source bundle of Elastic Beanstalk: bundle.sh <folder of "postern releases pack"> <bundle.zip>
set -euo pipefail
release=${1:?usage: bundle.sh <folder of "postern releases pack"> <bundle.zip>}
bundle=$(realpath -m "${2:?usage: bundle.sh <folder of postern releases pack> <bundle.zip>}")
here=$(cd "$(dirname "$0")" && pwd)
[ -e "$release/release.json" ] || { echo "bundle.sh: there is no release.json in $release" >&2; exit 2; }
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
python3 -c 'import json, sys
for layer in json.load(open(sys.argv[1]))["layers"]: print(layer["archive"])' "$release/release.json" |
  while read -r archive; do
    echo "$archive  $release/layers/$archive" | sha256sum --check --quiet
    tar --extract --gzip --no-same-owner --file "$release/layers/$archive" --directory "$stage"
  done
cp "$release/release.json" "$stage/"
cp -a "$here/Procfile" "$here/.platform" "$stage/"
rm -f "$bundle"
# The same bytes for the same content: names in order, one date.
(cd "$stage" && find . -exec touch -h -d '2020-01-01T00:00:00Z' {} + && find . -type f | LC_ALL=C sort | zip -q -X "$bundle" -@)
echo "$bundle"
