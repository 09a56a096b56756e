/**
 * What is run on the other machine, as text for a POSIX shell with GNU coreutils, tar and gzip: all that a bare Debian or
 * Ubuntu has. Once a release lies there, its own `postern` does the rest.
 *
 * Beside what docs/architecture/releases.md lists, the folder holds `layers/<content>/` (unpacked parts that releases share
 * by hard links), `work` (the working folder: `.env`, data) and `postern` (runs the current release there).
 */
import { quoted } from './shell.ts';

/** Ends of scripts that mean something to us; away from those of tar, cat and the shell. */
export const EXIT = { busy: 75, moved: 76, damaged: 77, unwritten: 78 } as const;

/** `~/postern` becomes a path by the shell of whoever runs the script. */
const shellPath = (folder: string): string =>
  folder.startsWith('~/') ? `"$HOME"/${quoted(folder.slice(2))}` : quoted(folder);

const begin = (dir: string): string => `set -eu\numask 022\nD=${shellPath(dir)}\n`;

/** Programs of the other machine that scripts call. */
export const NEEDED_PROGRAMS = ['tar', 'gzip', 'sha256sum', 'flock', 'timeout', 'stat', 'df', 'sync'] as const;

/** `key=value` lines about the machine and the folder. */
export const probeScript = (dir: string): string => `${begin(dir)}
echo "user=$(id -un)"
echo "system=$(uname -s)"
echo "machine=$(uname -m)"
echo "folder=$D"
for program in ${NEEDED_PROGRAMS.join(' ')}; do command -v "$program" >/dev/null 2>&1 || echo "missing=$program"; done
near=$D
while [ ! -d "$near" ]; do near=$(dirname "$near"); done
echo "free_kib=$(df -Pk "$near" | awk 'NR == 2 { print $4 }')"
[ ! -d "$D" ] || echo "owner=$(stat -c %U "$D")"
[ ! -L "$D/current" ] || echo "current=$(basename "$(readlink "$D/current")")"
[ ! -S "$D/run/supervisor.sock" ] || echo "socket=yes"
[ ! -d /run/systemd/system ] || echo "systemd=yes"
[ ! -f /etc/systemd/system/postern.service ] || echo "unit=yes"
`;

export interface LayerNames {
  readonly content: string;
  readonly archive: string;
}

/** Which layers are there, and how much of the others: `layer=<content>`, `part=<archive>:<bytes>`, `release=yes`. */
export const inventoryScript = (dir: string, id: string, layers: readonly LayerNames[]): string => `${begin(dir)}
[ ! -d "$D/releases/${id}" ] || echo "release=yes"
${layers
  .map(
    ({ content, archive }) => `if [ -d "$D/layers/${content}" ]; then echo layer=${content}
elif [ -f "$D/incoming/${archive}.part" ]; then echo "part=${archive}:$(stat -c %s "$D/incoming/${archive}.part")"; fi`,
  )
  .join('\n')}
`;

/** Makes the folders and what lies beside the releases. Nothing that is there is changed; `settings` come by standard input. */
export const prepareScript = (dir: string, owner: string): string => `${begin(dir)}
mkdir -p "$D/releases" "$D/layers" "$D/incoming" "$D/logs" "$D/nginx"
[ -d "$D/run" ] || mkdir -m 700 "$D/run"
[ -e "$D/work" ] || mkdir -m 700 "$D/work"
if [ ! -e "$D/work/.env" ]; then
  (umask 077; { printf '%s\\n' '# Settings of this machine; docs/configuration.md has them all.' "POSTERN_DEPLOY_DIR=$D"; cat; } > "$D/work/.env")
  echo "made=settings"
fi
cat > "$D/postern.draft" <<END
${wrapperText(owner)}END
chmod 755 "$D/postern.draft"
if cmp -s "$D/postern.draft" "$D/postern"; then rm "$D/postern.draft"; else mv "$D/postern.draft" "$D/postern"; fi
`;

/** Whoever calls it, it runs as the owner of the folder, where the settings are. Expanded by the script that writes it. */
const wrapperText = (owner: string): string => `#!/bin/sh
# Runs the current release of Postern where its settings are. Written by postern deploy.
if [ "\\$(id -un)" != ${quoted(owner)} ]; then
  if [ "\\$(id -u)" = 0 ]; then exec runuser -u ${quoted(owner)} -- "\\$0" "\\$@"; else exec sudo -u ${quoted(owner)} -- "\\$0" "\\$@"; fi
fi
cd "$D/work" && exec "$D/current/runtime/bin/node" "$D/current/bin/postern.mjs" "\\$@"
`;

/**
 * Appends standard input to an upload that has `offset` bytes. A line that breaks leaves what came, for the next time; a
 * disk that is full is given its room back at once, because somebody serves from it. One whose sender is gone without a word
 * (a machine that lost its power) shows so by not growing, and is taken over. What runs in the background has no standard
 * input unless it is given another number first.
 */
export const appendScript = (dir: string, archive: string, offset: number): string => `${begin(dir)}
cd "$D/incoming"
size() { stat -c %s ${archive}.part 2>/dev/null || echo 0; }
exec 9>${archive}.lock
if ! flock -n 9; then
  before=$(size); sleep ${STALLED_S}
  [ "$(size)" = "$before" ] || exit ${EXIT.busy}
  kill "$(cat ${archive}.pid)" 2>/dev/null || true
  flock -w 5 9 || exit ${EXIT.busy}
fi
[ "$(size)" = ${offset} ] || exit ${EXIT.moved}
exec 8<&0
cat <&8 >> ${archive}.part 9>&- & echo $! > ${archive}.pid
wait $! || { [ $? -gt 128 ] || rm -f ${archive}.part; exit ${EXIT.unwritten}; }
rm -f ${archive}.pid
`;

/** Somebody who sends, sends something in so long. */
const STALLED_S = 10;

/** Checks the hash of an upload and makes a layer of it: complete under its name, or not there. */
export const unpackScript = (dir: string, { content, archive }: LayerNames): string => `${begin(dir)}
cd "$D/incoming"
exec 9>${archive}.lock
flock -n 9 || exit ${EXIT.busy}
[ ! -d ../layers/${content} ] || exit 0
echo '${archive}  ${archive}.part' | sha256sum --check --status || { rm -f ${archive}.part; exit ${EXIT.damaged}; }
trap 'rm -rf ${content}.tmp' EXIT
rm -rf ${content}.tmp
mkdir ${content}.tmp
tar -xzf ${archive}.part -C ${content}.tmp --no-same-owner || { rm -f ${archive}.part; exit ${EXIT.unwritten}; }
sync -f ${content}.tmp || { rm -f ${archive}.part; exit ${EXIT.unwritten}; }
mv -T ${content}.tmp ../layers/${content}
sync -f ../layers
rm -f ${archive}.part ${archive}.pid ${archive}.lock
`;

/** Makes the release out of its layers, with what comes by standard input as its release.json. */
export const assembleScript = (dir: string, id: string, layers: readonly LayerNames[]): string => `${begin(dir)}
cd "$D/incoming"
[ ! -d ../releases/${id} ] || exit 0
T=${id}.$$.tmp
trap 'rm -rf "$T"' EXIT
mkdir "$T"
for layer in ${layers.map(({ content }) => content).join(' ')}; do cp -al "../layers/$layer/." "$T/" || exit ${EXIT.unwritten}; done
cat > "$T/release.json" || exit ${EXIT.unwritten}
sync -f "$T" || exit ${EXIT.unwritten}
mv -T "$T" ../releases/${id}
sync -f ../releases
`;

/** A release's own command line, in the working folder. */
export const programScript = (dir: string, release: string | null, args: readonly string[]): string => {
  const folder = release === null ? '"$D/current"' : `"$D/releases/${release}"`;
  return `${begin(dir)}cd "$D/work"\nexec ${folder}/runtime/bin/node ${folder}/bin/postern.mjs ${args.map(quoted).join(' ')}\n`;
};

/** As docs/operating.md says it, for a machine without a service manager. */
export const startScript = (dir: string): string => `${begin(dir)}${startCommand('"$D"')}\n`;

/** What a person types there; `dir` as the shell takes it. */
export const startCommand = (dir: string): string =>
  `setsid ${dir}/postern supervise </dev/null >>${dir}/logs/supervisor.log 2>&1 &`;

/** Before there is a supervisor nothing else would say which release is to be started. */
export const firstLinkScript = (dir: string, id: string): string =>
  `${begin(dir)}[ -L "$D/current" ] || { ln -s releases/${id} "$D/current"; sync -f "$D"; echo made=current; }\n`;

/**
 * Holds the lock as long as lines come by standard input, and says `held` when it has it. When whoever deploys is killed, its
 * end of the connection closes, and the lock is free at once; a machine that lost its power sends no more lines, and it is free
 * after a minute; its expiry is for the case in which this machine goes down itself.
 */
export const holdLockScript = (dir: string, release: string | null, owner: string): string => {
  const folder = release === null ? '"$D/current"' : `"$D/releases/${release}"`;
  return `${begin(dir)}cd "$D/work"
postern() { ${folder}/runtime/bin/node ${folder}/bin/postern.mjs "$@"; }
postern lock --owner ${quoted(owner)} --for ${LOCK_MINUTES}m --json > /dev/null || exit $?
echo held
lines=0
while [ -n "$(timeout 60 head -n 1)" ]; do
  lines=$((lines + 1))
  [ $((lines % ${RENEW_LINES})) -ne 0 ] || postern lock --owner ${quoted(owner)} --for ${LOCK_MINUTES}m --json > /dev/null || break
done
postern unlock --owner ${quoted(owner)} --json > /dev/null
`;
};

const LOCK_MINUTES = 10;
/** How often a line comes while the lock is held. */
export const LOCK_LINE_MS = 20_000;
/** Renewed at half of its time. */
const RENEW_LINES = (LOCK_MINUTES * 60_000) / 2 / LOCK_LINE_MS;

/**
 * Removes layers that no release names, and uploads that nobody went on with for a day; says `removed=<n>`. A layer of the
 * last hour may be somebody else's whose release is not made yet.
 */
export const pruneScript = (dir: string): string => `${begin(dir)}
n=0
for layer in $(find "$D/layers" -mindepth 1 -maxdepth 1 -mmin +60); do
  grep -qs "$(basename "$layer")" "$D"/releases/*/release.json || { rm -rf "$layer"; n=$((n + 1)); }
done
find "$D/incoming" -mindepth 1 -maxdepth 1 -mtime +0 -exec rm -rf {} +
echo "removed=$n"
`;

/** Changes what `current` names, at once and for good. */
export const pointScript = (dir: string, id: string): string => `${begin(dir)}
cd "$D"
ln -sfn releases/${id} current.draft
mv -T current.draft current
sync -f .
`;

/** A worker has no supervisor that would do it: the current release and the two before stay. */
export const pruneWorkerScript = (dir: string): string => `${begin(dir)}
cd "$D/releases"
now=$(basename "$(readlink ../current)")
ls -1t | grep -vx "$now" | tail -n +3 | while read -r old; do rm -rf "./$old"; done
`;
