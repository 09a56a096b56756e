#!/bin/bash
# First boot of a gateway: from a bare Amazon Linux 2023 to serving, unattended. The values come before this text, as variables:
# REGION RELEASES RELEASE_PARAMETER AUTHORITY_SECRET DATABASE_SECRET (empty: SQLite) BLOB_URL (empty: a directory) SETTINGS
# HTTP_PORT TUNNEL_PORT LAUNCH_HOOK TERMINATE_HOOK GROUP (empty: not in a group) NAMESPACE (empty: nothing is told to CloudWatch)
# METRICS_SCRIPT (metrics.sh, base64)
set -euo pipefail
export AWS_DEFAULT_REGION="$REGION"
DIR=/opt/postern
WORK=/var/lib/postern

metadata() {
  local token
  token=$(curl -sf --retry 5 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' http://169.254.169.254/latest/api/token)
  curl -sf --retry 5 -H "X-aws-ec2-metadata-token: $token" "http://169.254.169.254/latest/meta-data/$1"
}
INSTANCE=$(metadata instance-id)

id postern >/dev/null 2>&1 || useradd --system --home-dir "$WORK" --shell /sbin/nologin postern
install -d -o postern -g postern -m 0750 "$DIR" "$DIR/releases" "$WORK"
install -d -o postern -g postern -m 0700 "$WORK/data"

# ---- the release that is current, checked against its own list -----------------------------------------------------
ID=$(aws ssm get-parameter --name "$RELEASE_PARAMETER" --query Parameter.Value --output text)
[[ "$ID" =~ ^[0-9a-f]{16,64}$ ]] || { echo "postern: $RELEASE_PARAMETER names no release: $ID"; exit 1; }
STAGE=$(mktemp -d "$DIR/.incoming.XXXXXX")
aws s3 cp --only-show-errors "s3://$RELEASES/releases/$ID/release.json" "$STAGE/release.json"
python3 - "$STAGE/release.json" >"$STAGE.layers" <<'PY'
import json, re, sys
for layer in json.load(open(sys.argv[1]))["layers"]:
    name, digest = layer["name"], layer["archive"]
    assert re.fullmatch(r"[a-z]+", name) and re.fullmatch(r"[0-9a-f]{64}", digest), layer
    print(name, digest)
PY
while read -r name digest; do
  aws s3 cp --only-show-errors "s3://$RELEASES/layers/$digest" "$STAGE.$name"
  echo "$digest  $STAGE.$name" | sha256sum --check --quiet
  tar --extract --gzip --no-same-owner --file "$STAGE.$name" --directory "$STAGE"
  rm "$STAGE.$name"
done <"$STAGE.layers"
rm "$STAGE.layers"
chown -R postern:postern "$STAGE"
chmod 0755 "$STAGE"
rm -rf "${DIR:?}/releases/$ID"
mv "$STAGE" "$DIR/releases/$ID"
ln -sfn "releases/$ID" "$DIR/current"

# ---- who workers trust, and where jobs live: from secrets into files that only the service reads ------------------
umask 077
if [ -n "$AUTHORITY_SECRET" ]; then
  aws secretsmanager get-secret-value --secret-id "$AUTHORITY_SECRET" --query SecretString --output text |
    base64 --decode | tar --extract --gzip --no-same-owner --directory "$WORK/data"
fi
{
  echo "POSTERN_DEPLOY_DIR=$DIR"
  echo "POSTERN_DATA_DIR=$WORK/data"
  echo "POSTERN_HTTP_HOST=0.0.0.0"
  echo "POSTERN_HTTP_PORT=$HTTP_PORT"
  echo "POSTERN_TUNNEL_PORT=$TUNNEL_PORT"
  [ -z "$BLOB_URL" ] || echo "BLOB_URL=$BLOB_URL"
  [ -z "$SETTINGS" ] || echo "$SETTINGS"
  if [ -n "$DATABASE_SECRET" ]; then
    aws secretsmanager get-secret-value --secret-id "$DATABASE_SECRET" --query SecretString --output text |
      python3 -c 'import json, sys, urllib.parse as u
s = json.load(sys.stdin)
print("DATABASE_URL=postgres://%s:%s@%s:%s/%s?sslmode=verify-full&sslrootcert=/etc/pki/postern-rds.pem" % (
    u.quote(s["username"], safe=""), u.quote(s["password"], safe=""), s["host"], s["port"], s["dbname"]))'
  fi
} >"$WORK/.env"
umask 022
if [ -n "$DATABASE_SECRET" ]; then
  curl -sf --retry 5 -o /etc/pki/postern-rds.pem "https://truststore.pki.rds.amazonaws.com/$REGION/$REGION-bundle.pem"
fi
chown -R postern:postern "$WORK"

# ---- the service -------------------------------------------------------------------------------------------------------
NODE="$DIR/current/runtime/bin/node $DIR/current/bin/postern.mjs"
(cd "$WORK" && $NODE supervise --print-unit postern) >/etc/systemd/system/postern.service
if [ -n "$DATABASE_SECRET" ]; then
  (cd "$WORK" && runuser -u postern -- $NODE migrate)
fi

if [ -n "$GROUP" ]; then
  # Scale-in and refreshes wait for this: it drains the gateway, then lets the group take the machine.
  cat >/usr/local/sbin/postern-drain <<DRAIN
#!/bin/bash
set -u
export AWS_DEFAULT_REGION=$REGION
while sleep 5; do
  token=\$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token) || continue
  state=\$(curl -sf -H "X-aws-ec2-metadata-token: \$token" http://169.254.169.254/latest/meta-data/autoscaling/target-lifecycle-state) || continue
  [ "\$state" = Terminated ] || continue
  systemctl stop postern
  aws autoscaling complete-lifecycle-action --auto-scaling-group-name $GROUP --lifecycle-hook-name $TERMINATE_HOOK \\
    --instance-id $INSTANCE --lifecycle-action-result CONTINUE && exit 0
done
DRAIN
  chmod 0755 /usr/local/sbin/postern-drain
  cat >/etc/systemd/system/postern-drain.service <<UNIT
[Unit]
Description=Drains Postern before its machine goes
[Service]
ExecStart=/usr/local/sbin/postern-drain
Restart=on-failure
[Install]
WantedBy=multi-user.target
UNIT
fi

if [ -n "$NAMESPACE" ]; then
  # What machines are scaled by. The key may only read, and ends a day after the longest life of a machine.
  (umask 077 && cd "$WORK" && runuser -u postern -- $NODE keys create "metrics of $INSTANCE" --scope read --expires 31d --json |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["key"])' >/etc/postern-metrics.key)
  base64 --decode <<<"$METRICS_SCRIPT" >/usr/local/sbin/postern-metrics
  chmod 0755 /usr/local/sbin/postern-metrics
  cat >/etc/systemd/system/postern-metrics.service <<UNIT
[Unit]
Description=Tells CloudWatch what this gateway has to do
[Service]
Type=oneshot
TimeoutStartSec=50
Environment=AWS_DEFAULT_REGION=$REGION NAMESPACE=$NAMESPACE GROUP=$GROUP HTTP_PORT=$HTTP_PORT
ExecStart=/usr/local/sbin/postern-metrics
UNIT
  cat >/etc/systemd/system/postern-metrics.timer <<UNIT
[Timer]
OnActiveSec=60
OnUnitActiveSec=60
AccuracySec=1
[Install]
WantedBy=timers.target
UNIT
fi
systemctl daemon-reload
systemctl enable --now postern
[ -z "$GROUP" ] || systemctl enable --now postern-drain
[ -z "$NAMESPACE" ] || systemctl enable --now postern-metrics.timer

# ---- in service only when it answers: the group gives up on a machine that never does ------------------------------
for _ in $(seq 120); do
  if curl -sf -o /dev/null "http://127.0.0.1:$HTTP_PORT/readyz"; then
    if [ -n "$GROUP" ]; then
      aws autoscaling complete-lifecycle-action --auto-scaling-group-name "$GROUP" --lifecycle-hook-name "$LAUNCH_HOOK" \
        --instance-id "$INSTANCE" --lifecycle-action-result CONTINUE
    fi
    echo 'postern: ready'
    exit 0
  fi
  sleep 1
done
echo 'postern: not ready after 2 minutes'
journalctl -u postern --no-pager | tail -n 50
exit 1
