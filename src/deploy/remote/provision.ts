/**
 * Makes a bare Debian or Ubuntu ready, as root, and says what it did and what was there. Running it again changes nothing that
 * is as it should be, and never what a person wrote: settings and keys are only made where there are none.
 */
import { PosternError } from '../../errors.ts';
import { GATEWAY_UNIT, unitText } from '../systemd/unit.ts';
import { quoted } from './shell.ts';
import { pairs, type Site } from './site.ts';
import type { Step } from './steps.ts';

export interface ProvisionOptions {
  /** The user that the gateway runs as. */
  readonly user: string;
  /** Where settings and data are. */
  readonly work: string;
  /** A line of an `authorized_keys` file: whoever has its key may deploy as that user, without being root. */
  readonly deployKey: string | null;
}

export async function provision(site: Site, options: ProvisionOptions, step: Step): Promise<void> {
  const { code, out, err } = await site.runAsRoot(provisionScript(site.dir, options));
  for (const [key, text] of pairs(out)) {
    if (key === 'did') step.note(text);
    if (key === 'had') step.note(`${text} (as before)`);
    if (key === 'hint') step.note(`To do by you: ${text}`);
  }
  if (code === 0) return;
  throw new PosternError(
    'deploy_failed',
    `${site.target} could not be prepared: ${err || `exit code ${code}`}. It needs root: log in as root, or as a user who may sudo without a password`,
  );
}

/** Reports by lines `did=`, `had=` and `hint=`. */
export function provisionScript(dir: string, { user, work, deployKey }: ProvisionOptions): string {
  const unit = unitText({ type: 'gateway', dir, work, user });
  return `set -eu
umask 022
[ "$(id -u)" = 0 ] || { echo 'this is not root' >&2; exit 1; }
. /etc/os-release
case " $ID \${ID_LIKE:-} " in *' debian '*|*' ubuntu '*) ;; *) echo "hint=this is $PRETTY_NAME, and not Debian or Ubuntu: what follows is untried here" ;; esac

if id ${user} >/dev/null 2>&1; then echo 'had=user ${user}'
else
  useradd --system --user-group --home-dir ${work} --no-create-home --shell /bin/sh ${user}
  echo 'did=user ${user}, without a password'
fi

folder() { # mode path
  if [ -d "$2" ]; then echo "had=folder $2"
  else mkdir -p "$2"; chmod "$1" "$2"; chown ${user}:${user} "$2"; echo "did=folder $2"; fi
}
folder 755 ${dir}
folder 750 ${work}
[ -e ${dir}/work ] || ln -s ${work} ${dir}/work

mkdir -p /etc/postern
if [ -e /etc/postern/postern.env ]; then echo 'had=settings /etc/postern/postern.env'
else
  printf '%s\\n' '# Settings of the gateway on this machine; docs/configuration.md has them all.' ${quoted(`POSTERN_DEPLOY_DIR=${dir}`)} > /etc/postern/postern.env
  echo 'did=settings /etc/postern/postern.env'
fi
chown root:${user} /etc/postern/postern.env
chmod 640 /etc/postern/postern.env
[ -e ${work}/.env ] || ln -s /etc/postern/postern.env ${work}/.env
${deployKey === null ? '' : keyPart(work, user, deployKey)}
cat > /etc/systemd/system/${GATEWAY_UNIT}.draft <<'END_OF_UNIT'
${unit}END_OF_UNIT
if cmp -s /etc/systemd/system/${GATEWAY_UNIT}.draft /etc/systemd/system/${GATEWAY_UNIT}; then
  rm /etc/systemd/system/${GATEWAY_UNIT}.draft
  echo 'had=unit ${GATEWAY_UNIT}'
else
  mv /etc/systemd/system/${GATEWAY_UNIT}.draft /etc/systemd/system/${GATEWAY_UNIT}
  echo 'did=unit ${GATEWAY_UNIT}'
fi
if [ -d /run/systemd/system ]; then systemctl daemon-reload; systemctl --quiet enable ${GATEWAY_UNIT}
else echo 'hint=systemd does not run here: start the supervisor as docs/operating.md says'; fi

if [ "$(readlink /usr/local/bin/postern 2>/dev/null)" = ${dir}/postern ]; then echo 'had=command /usr/local/bin/postern'
elif [ -e /usr/local/bin/postern ]; then echo 'hint=/usr/local/bin/postern is something else: the command of this machine is ${dir}/postern'
else ln -s ${dir}/postern /usr/local/bin/postern; echo 'did=command /usr/local/bin/postern'; fi

${FIREWALL}`;
}

/** `restrict` leaves the key commands and files, and takes terminals, forwarding and agents. */
const keyPart = (work: string, user: string, key: string): string => `
mkdir -p -m 700 ${work}/.ssh
touch ${work}/.ssh/authorized_keys
if grep -qF ${quoted(key)} ${work}/.ssh/authorized_keys; then echo 'had=key of whoever deploys'
else printf 'restrict %s\\n' ${quoted(key)} >> ${work}/.ssh/authorized_keys; echo 'did=key of whoever deploys, for ${user}'; fi
chmod 600 ${work}/.ssh/authorized_keys
chown -R ${user}:${user} ${work}/.ssh
`;

/** What a firewall lets in is for its owner to decide: said, and not done. */
const FIREWALL = `if command -v ufw >/dev/null 2>&1 && ufw status 2>/dev/null | grep -q '^Status: active'; then
  ufw status | grep -q 37373 || echo 'hint=let workers in: ufw allow 37373/tcp'
elif command -v firewall-cmd >/dev/null 2>&1 && firewall-cmd --state >/dev/null 2>&1; then
  firewall-cmd --list-ports | grep -q 37373 || echo 'hint=let workers in: firewall-cmd --permanent --add-port=37373/tcp && firewall-cmd --reload'
else echo 'hint=workers dial port 37373 (TCP): if your provider has a firewall before this machine, let it pass there'; fi
`;

/** A public key, and nothing that could be more than one line or an option. */
export function checkPublicKey(text: string): string {
  const line = text.trim();
  if (
    /^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-ssh-ed25519@openssh\.com) [A-Za-z0-9+/]+={0,2}( [\w.@+:-]+)?$/.test(
      line,
    )
  )
    return line;
  throw new PosternError('config_invalid', '--deploy-key: expected the file of one public key, like ~/.ssh/deploy.pub');
}
