/** Pulls, pushes and signs models. */
import { resolve } from 'node:path';
import { systemClock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import { createStateFile, KEY_MODE, PUBLIC_MODE } from '../../state-file.ts';
import type { ModelRef } from '../../modelstore/manifest.ts';
import { openPlace } from '../../modelstore/open-place.ts';
import type { ModelPlace } from '../../modelstore/place.ts';
import { pullModel, type PullSummary } from '../../modelstore/pull.ts';
import { pushModel } from '../../modelstore/push.ts';
import { makeKeyPair, readPrivateKey, readPublicKey } from '../../modelstore/signature.ts';
import { namesAt, newestVersion, versionsAt } from '../../modelstore/versions.ts';
import { readRepository } from '../../worker/repository.ts';
import type { Config } from '../config.ts';
import { loadConfig } from '../env.ts';
import { bytesText, createProgress, IN_BYTES, type Progress } from '../terminal.ts';

export interface PullFlags {
  readonly verifyKey?: string;
  readonly maxGib: number;
  readonly json?: boolean;
}

export interface PushFlags {
  readonly signKey?: string;
  readonly json?: boolean;
}

const GIB = 1024 ** 3;

/** `model` null: the newest version of each. */
export async function pull(address: string, model: ModelRef | null, flags: PullFlags): Promise<void> {
  const config = loadConfig();
  const publicKey = flags.verifyKey === undefined ? null : await readPublicKey(flags.verifyKey);
  await withPlace(address, config, async (place) => {
    const wanted = model === null ? await everything(place) : [model];
    const pulled: PullSummary[] = [];
    for (const one of wanted) {
      const bar = createBar();
      try {
        const summary = await pullModel({
          place,
          model: one,
          modelsDir: config.modelsDir,
          publicKey,
          maxBytes: flags.maxGib * GIB,
          clock: systemClock,
          onBegin: (bytes) => bar.begin(bytes, one.name),
          onBytes: (bytes) => bar.step(bytes),
        });
        pulled.push(summary);
        bar.end();
        if (flags.json !== true) process.stdout.write(describePull(summary));
      } finally {
        bar.end();
      }
    }
    if (flags.json === true) process.stdout.write(`${JSON.stringify({ models: pulled }, null, 2)}\n`);
  });
}

async function everything(place: ModelPlace): Promise<ModelRef[]> {
  const found: ModelRef[] = [];
  for (const name of await namesAt(place)) {
    if ((await versionsAt(place, name)).length > 0) found.push({ name, version: await newestVersion(place, name) });
  }
  if (found.length === 0) throw new PosternError('model_not_found', `there is no model at ${place.address}`);
  return found;
}

function describePull({ name, version, folder, files, bytes, fetched_bytes, already, signed }: PullSummary): string {
  const size = `${files} ${files === 1 ? 'file' : 'files'}, ${bytesText(bytes)}`;
  const checked = signed ? ', and the signature is right' : '';
  if (already) return `${name}@${version} is in ${folder} already, whole and equal (${size}${checked}).\n`;
  const before = fetched_bytes < bytes ? `, ${bytesText(bytes - fetched_bytes)} of it from an earlier try` : '';
  return `Pulled ${name}@${version} to ${folder} (${size}${before}). Every file has its SHA-256${checked}.\n`;
}

export async function push(address: string, model: ModelRef, flags: PushFlags): Promise<void> {
  const config = loadConfig();
  const privateKey = flags.signKey === undefined ? null : await readPrivateKey(flags.signKey);
  const version = model.version ?? (await newestHere(config.modelsDir, model.name));
  await withPlace(address, config, async (place) => {
    const bar = createBar();
    try {
      const summary = await pushModel({
        place,
        modelsDir: config.modelsDir,
        name: model.name,
        version,
        privateKey,
        onBegin: (doing, bytes) => bar.begin(bytes, doing),
        onBytes: (bytes) => bar.step(bytes),
      });
      bar.end();
      const { files, bytes, sent_bytes, already, signed } = summary;
      const size = `${files} ${files === 1 ? 'file' : 'files'}, ${bytesText(bytes)}, ${bytesText(sent_bytes)} sent now`;
      const what = `${model.name}@${version}`;
      if (flags.json === true) process.stdout.write(`${JSON.stringify(summary, null, 2)}\n`);
      else if (already) process.stdout.write(`${what} is at ${address} already, with the same files.\n`);
      else process.stdout.write(`Pushed ${what} to ${address} (${size}${signed ? ', signed' : ''}).\n`);
    } finally {
      bar.end();
    }
  });
}

async function newestHere(modelsDir: string, name: string): Promise<string> {
  const newest = (await readRepository(modelsDir)).find((entry) => entry.name === name);
  if (newest !== undefined) return newest.version;
  throw new PosternError('model_not_found', `there is no model ${name} in the repository ${modelsDir}`);
}

export async function keygen(file: string): Promise<void> {
  const { privatePem, publicPem } = makeKeyPair();
  const [secret, open] = [resolve(file), `${resolve(file)}.pub`];
  if (!(await createStateFile(secret, privatePem, KEY_MODE))) {
    throw new PosternError('config_invalid', `${secret} exists already: choose another file`);
  }
  if (!(await createStateFile(open, publicPem, PUBLIC_MODE))) {
    throw new PosternError('config_invalid', `${open} exists already, and is not of the new key: move it away`);
  }
  process.stdout.write(
    `${secret}: signs what you push (--sign-key). Keep it to yourself.\n${open}: checks what is pulled (--verify-key). Give it to every worker's machine.\n`,
  );
}

async function withPlace(address: string, { s3 }: Config, work: (place: ModelPlace) => Promise<void>): Promise<void> {
  const place = await openPlace(address, { s3, clock: systemClock });
  try {
    await work(place);
  } finally {
    place.close();
  }
}

/** One bar after another: each begins when it is known how much there is. */
function createBar(): Progress & { begin(bytes: number, what: string): void } {
  let current: Progress | undefined;
  return {
    begin(bytes, what) {
      current?.end();
      current = createProgress(bytes, what, process.stderr, IN_BYTES);
    },
    step: (bytes) => current?.step(bytes),
    end: () => current?.end(),
  };
}
