#!/usr/bin/env bash
# What checks the workflows of GitHub Actions. Some 10 s the first time.
exec bash "$(dirname "$0")/go_tool.sh" github.com/rhysd/actionlint/cmd/actionlint v1.7.12
