#!/bin/bash
# Once a minute, by a timer: tells CloudWatch what this gateway has to do and how long work waits, from its own /metrics. The machine may
# write to one namespace and nothing else. A figure that the gateway does not tell is not told: no data is better than old data.
# NAMESPACE, GROUP, AWS_DEFAULT_REGION and HTTP_PORT come from the unit; the key, which may only read, from a file of root's.
set -euo pipefail
KEY_FILE=${KEY_FILE:-/etc/postern-metrics.key}
page=$(curl -sf --max-time 10 --config - "http://127.0.0.1:$HTTP_PORT/metrics" <<<"header = \"Authorization: Bearer $(cat "$KEY_FILE")\"")
data=$(GROUP=$GROUP python3 -c '
import json, os, re, sys

# Name there, name and unit at CloudWatch. Of figures with a model the largest is told: one metric, however many models there are.
FIGURES = {
    "postern_event_loop_ratio": ("EventLoop", "Percent"),
    "postern_in_flight_requests": ("RequestsInFlight", "Count"),
    "postern_http_connections": ("Connections", "Count"),
    "postern_worker_sessions": ("WorkerSessions", "Count"),
    "postern_queue_seconds": ("QueueSeconds", "Seconds"),
    "postern_queue_jobs": ("QueueJobs", "Count"),
}
found = {}
for line in sys.stdin:
    match = re.match(r"(postern_\w+)(?:\{.*\})? ([0-9.e+-]+)$", line)
    if match and match[1] in FIGURES:
        found[match[1]] = max(found.get(match[1], 0.0), float(match[2]))
print(json.dumps([
    {
        "MetricName": FIGURES[name][0],
        "Unit": FIGURES[name][1],
        "Value": value * 100 if FIGURES[name][1] == "Percent" else value,
        "Dimensions": [{"Name": "AutoScalingGroupName", "Value": os.environ["GROUP"]}],
    }
    for name, value in found.items()
]))' <<<"$page")
[ "$data" != '[]' ] || { echo 'postern: /metrics has no figures'; exit 1; }
aws cloudwatch put-metric-data --namespace "$NAMESPACE" --metric-data "$data"
