#!/bin/bash
# A changed setting restarts the gateway without a new version: the secrets are read again all the same.
set -euo pipefail
cd /var/app/current
exec .platform/hooks/predeploy/10_settings.sh
