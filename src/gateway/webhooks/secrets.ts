/**
 * The keys that webhooks are signed with. Every caller's own key is derived from one master key, so that nobody who can verify their
 * own webhooks can forge somebody else's. After a rotation the master before it stays valid for a day, and both sign. Here the
 * masters lie in a file of the data folder, whose owner this is; with several gateways in their records (`shared-secrets.ts`).
 */
import { createHmac, randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import type { Act } from '../../identity/audit.ts';
import { createStateFile, KEY_MODE, readStateFile, writeStateFile } from '../../state-file.ts';
import { secretText } from './signature.ts';

export interface WebhookSecrets {
  /** Reads them, or makes what is missing. Twice is fine. */
  open(): Promise<void>;
  /** The caller's keys that are valid now, the newest first. */
  keysOf(caller: string): Promise<readonly Uint8Array[]>;
  /** The newest, as receivers are given it: `whsec_…`. */
  secretOf(caller: string): Promise<string>;
  /** A new master; the one before it is valid for another day, and older ones are not any more. */
  rotate(act: Act): Promise<void>;
}

export const OVERLAP_MS = 24 * 60 * 60 * 1000;
/** Another process may rotate: the file is read again when it was last read so long ago. */
const REREAD_MS = 1_000;
const KEY_BYTES = 32;

const schema = z.strictObject({
  keys: z
    .array(z.strictObject({ key: z.base64().length(44), endsAt: z.number().nullable() }))
    .min(1)
    .max(2),
});
type Keys = z.infer<typeof schema>['keys'];

export interface MasterKey {
  readonly key: Uint8Array;
  /** Epoch ms; null: the newest. */
  readonly endsAt: number | null;
}

export const newMaster = (): MasterKey => ({ key: randomBytes(KEY_BYTES), endsAt: null });

export const callerKey = (master: Uint8Array, caller: string): Uint8Array =>
  createHmac('sha256', master).update(`webhooks of ${caller}`).digest();

/** What such a file holds, the newest first; null: there is none. Rejects with config_invalid. */
export async function readMasters(path: string): Promise<MasterKey[] | null> {
  const found = await readStateFile(path);
  if (found === null) return null;
  return parseKeys(path, found).map(({ key, endsAt }) => ({ key: Buffer.from(key, 'base64'), endsAt }));
}

function parseKeys(path: string, found: string): Keys {
  try {
    return schema.parse(JSON.parse(found)).keys;
  } catch {
    const message = `${path} holds no keys for webhooks: restore it from a backup, or remove it for new ones`;
    throw new PosternError('config_invalid', message);
  }
}

/** `onRotate`: notes in the audit log who did it. */
export function createWebhookSecrets(
  path: string,
  clock: Clock,
  onRotate: (act: Act) => void = () => undefined,
): WebhookSecrets {
  let keys: Keys | null = null;
  let readAt = -Infinity;

  const text = (value: Keys): string => `${JSON.stringify({ keys: value })}\n`;
  const newKey = (): Keys[number] => ({ key: Buffer.from(newMaster().key).toString('base64'), endsAt: null });

  async function read(): Promise<Keys> {
    if (keys !== null && clock.monotonic() < readAt + REREAD_MS) return keys;
    const found = await readStateFile(path);
    if (found === null) {
      // Another process may be first: then its file counts.
      await createStateFile(path, text([newKey()]), KEY_MODE);
      return read();
    }
    keys = parseKeys(path, found);
    readAt = clock.monotonic();
    return keys;
  }

  async function keysOf(caller: string): Promise<readonly Uint8Array[]> {
    const now = clock.now();
    return (await read())
      .filter(({ endsAt }) => endsAt === null || endsAt > now)
      .map(({ key }) => callerKey(Buffer.from(key, 'base64'), caller));
  }

  return {
    async open() {
      await read();
    },
    keysOf,
    secretOf: async (caller) => secretText((await keysOf(caller))[0]!),
    async rotate(act) {
      readAt = -Infinity;
      const [newest] = await read();
      const rotated = [newKey(), { ...newest!, endsAt: clock.now() + OVERLAP_MS }];
      await writeStateFile(path, text(rotated), KEY_MODE);
      readAt = -Infinity;
      onRotate(act);
    },
  };
}
