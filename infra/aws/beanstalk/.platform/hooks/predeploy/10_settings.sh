#!/bin/bash
# Before the gateway starts: secrets become files that only it reads. Runs as root in the folder of the new version.
set -euo pipefail
get() { /opt/elasticbeanstalk/bin/get-config environment -k "$1" 2>/dev/null || true; }
secret() { aws secretsmanager get-secret-value --secret-id "$1" --query SecretString --output text; }
token=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token)
AWS_DEFAULT_REGION=$(curl -sf -H "X-aws-ec2-metadata-token: $token" http://169.254.169.254/latest/meta-data/placement/region)
export AWS_DEFAULT_REGION

data=$(get POSTERN_DATA_DIR)
install -d -o webapp -g webapp -m 0700 /var/lib/postern "$data"
umask 077
authority=$(get STACK_AUTHORITY_SECRET)
if [ -n "$authority" ]; then
  secret "$authority" | base64 --decode | tar --extract --gzip --no-same-owner --directory "$data"
fi
database=$(get STACK_DATABASE_SECRET)
if [ -n "$database" ]; then
  curl -sf --retry 5 -o /etc/pki/postern-rds.pem "https://truststore.pki.rds.amazonaws.com/$AWS_DEFAULT_REGION/$AWS_DEFAULT_REGION-bundle.pem"
  chmod 0644 /etc/pki/postern-rds.pem
  secret "$database" | python3 -c 'import json, sys, urllib.parse as u
s = json.load(sys.stdin)
print("DATABASE_URL=postgres://%s:%s@%s:%s/%s?sslmode=verify-full&sslrootcert=/etc/pki/postern-rds.pem" % (
    u.quote(s["username"], safe=""), u.quote(s["password"], safe=""), s["host"], s["port"], s["dbname"]))' >.env
  chown webapp:webapp .env
fi
chown -R webapp:webapp "$data"
if [ -n "$database" ]; then
  runuser -u webapp -- runtime/bin/node bin/postern.mjs migrate
fi
