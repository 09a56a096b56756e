#!/bin/bash
# When the gateway serves: workers may come. A machine that goes is taken out by the load balancer itself.
set -euo pipefail
get() { /opt/elasticbeanstalk/bin/get-config environment -k "$1" 2>/dev/null || true; }
port=$(get POSTERN_HTTP_PORT)
for _ in $(seq 60); do
  curl -sf -o /dev/null "http://127.0.0.1:$port/readyz" && break
  sleep 1
done
curl -sf -o /dev/null "http://127.0.0.1:$port/readyz"
token=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token)
of_machine() { curl -sf -H "X-aws-ec2-metadata-token: $token" "http://169.254.169.254/latest/meta-data/$1"; }
aws --region "$(of_machine placement/region)" elbv2 register-targets \
  --target-group-arn "$(get STACK_TUNNEL_TARGETS)" --targets "Id=$(of_machine instance-id)"
