#!/usr/bin/env bash
# The S3 server of the tests. About 90 s the first time.
exec bash "$(dirname "$0")/go_tool.sh" github.com/versity/versitygw/cmd/versitygw v1.8.0
