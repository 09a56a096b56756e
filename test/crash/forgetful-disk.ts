/**
 * A disk that forgets what was not flushed: files as they may be after a power cut at one moment of a process's life, made from
 * what strace saw it do. Of a file the content at its last flush is kept; of every write after that, any 512 bytes may be there
 * or not, whatever order they came in. A name that was given, or taken away, counts once its folder was flushed; of what
 * came later some first part may count.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Random } from '../support/random.ts';

/** What strace is asked to show. */
export const STRACE_ARGS = [
  ...['-f', '-qq', '-x', '-y', '-s', '1000000'],
  '-e',
  'trace=openat,pwrite64,write,writev,pwritev,fsync,fdatasync,ftruncate,fallocate,rename,renameat,renameat2,unlink,unlinkat',
] as const;

const SECTOR_BYTES = 512;

interface Write {
  readonly at: number;
  readonly bytes: Buffer;
}

/** What a name leads to. */
class Content {
  durable: Buffer = Buffer.alloc(0);
  unflushed: (Write | { readonly truncateTo: number })[] = [];
  /** Where `write` goes on. */
  end = 0;

  /** The first `count` of what was not flushed is now. */
  flush(count: number): void {
    for (const one of this.unflushed.slice(0, count)) this.durable = applied(this.durable, one, () => true);
    this.unflushed = this.unflushed.slice(count);
  }

  after(keeps: () => boolean): Buffer {
    return this.unflushed.reduce((content, one) => applied(content, one, keeps), this.durable);
  }
}

function applied(content: Buffer, one: Content['unflushed'][number], keeps: () => boolean): Buffer {
  if ('truncateTo' in one) {
    if (!keeps()) return content;
    const cut = Buffer.alloc(one.truncateTo);
    content.copy(cut);
    return cut;
  }
  let result = content;
  for (let from = 0; from < one.bytes.byteLength;) {
    // A sector of the disk, not of the write.
    const to = Math.min(one.bytes.byteLength, from + SECTOR_BYTES - ((one.at + from) % SECTOR_BYTES));
    if (keeps()) {
      if (one.at + to > result.byteLength)
        result = Buffer.concat([result, Buffer.alloc(one.at + to - result.byteLength)]);
      one.bytes.copy(result, one.at + from, from, to);
    }
    from = to;
  }
  return result;
}

interface NameChange {
  readonly name: string;
  readonly content: Content | null;
}

export interface ForgetfulDisk {
  /** Takes one line of strace's. Returns what the process said on its standard output, if that is what the line is. */
  see(line: string): string | null;
  /** The folder as it may be found, written into `folder`. */
  cut(folder: string, random: Random): void;
  readonly flushes: number;
}

/** `root`: the folder whose files count. `lies`: a flush of such a file does nothing, to see that somebody notices. */
export function createForgetfulDisk(root: string, lies: (name: string) => boolean = () => false): ForgetfulDisk {
  const live = new Map<string, Content>();
  const durable = new Map<string, Content>();
  let changes: NameChange[] = [];
  /** By thread: what a flush that has begun will cover. */
  const flushing = new Map<string, () => void>();
  /** By thread: the first part of a line whose rest comes later. */
  const unfinished = new Map<string, string>();
  let flushes = 0;

  const isOurs = (path: string): boolean => path.startsWith(`${root}/`) && !path.endsWith('-shm');

  function change(name: string, content: Content | null): void {
    if (content) live.set(name, content);
    else live.delete(name);
    changes.push({ name, content });
  }

  function contentOf(path: string): Content | null {
    return live.get(path) ?? null;
  }

  /** What a flush covers is what was done before it began. */
  function beginFlush(path: string): () => void {
    const content = contentOf(path);
    if (content) {
      const count = content.unflushed.length;
      return () => content.flush(count);
    }
    const covered = changes.filter(({ name }) => dirname(name) === path);
    return () => {
      for (const { name, content: to } of covered) {
        if (to) durable.set(name, to);
        else durable.delete(name);
      }
      changes = changes.filter((one) => !covered.includes(one));
    };
  }

  function flush(thread: string, path: string, isOver: boolean): void {
    if ((!isOurs(path) && path !== root) || lies(path)) return;
    const end = beginFlush(path);
    if (!isOver) {
      flushing.set(thread, end);
      return;
    }
    flushes += 1;
    end();
  }

  function done(call: string, rest: string): string | null {
    switch (call) {
      case 'openat': {
        const [, path = '', flags = ''] = /"([^"]*)", ([A-Z_|]+)/.exec(rest) ?? [];
        if (!isOurs(path) || rest.includes(' = -1 ')) return null;
        if (flags.includes('O_CREAT') && !live.has(path)) change(path, new Content());
        if (flags.includes('O_TRUNC')) contentOf(path)?.unflushed.push({ truncateTo: 0 });
        return null;
      }
      case 'pwrite64': {
        const [, path = '', text = '', at = ''] = /^\d+<([^>]*)>, "(.*)", \d+, (\d+)/.exec(rest) ?? [];
        if (isOurs(path)) contentOf(path)?.unflushed.push({ at: Number(at), bytes: bytesOf(text) });
        return null;
      }
      case 'write': {
        const [, fd = '', path = '', text = ''] = /^(\d+)<([^>]*)>, "(.*)", \d+\)/.exec(rest) ?? [];
        if (fd === '1') return bytesOf(text).toString('latin1');
        if (!isOurs(path)) return null;
        const content = contentOf(path);
        const bytes = bytesOf(text);
        content?.unflushed.push({ at: content.end, bytes });
        if (content) content.end += bytes.byteLength;
        return null;
      }
      case 'ftruncate': {
        const [, path = '', size = ''] = /^\d+<([^>]*)>, (\d+)/.exec(rest) ?? [];
        if (isOurs(path)) contentOf(path)?.unflushed.push({ truncateTo: Number(size) });
        return null;
      }
      case 'rename': {
        const [, from = '', to = ''] = /^"([^"]*)", "([^"]*)"\)/.exec(rest) ?? [];
        const content = contentOf(from);
        if (!content || rest.includes(' = -1 ')) return null;
        change(to, content);
        change(from, null);
        return null;
      }
      case 'unlink': {
        const [, path = ''] = /^"([^"]*)"\)/.exec(rest) ?? [];
        if (live.has(path) && !rest.includes(' = -1 ')) change(path, null);
        return null;
      }
      default:
        if (isForeign(rest)) return null;
        throw new Error(`the store made a call that is not understood here: ${call}(${rest.slice(0, 200)}`);
    }
  }

  const isForeign = (rest: string): boolean =>
    !rest.includes(root) || rest.includes('-shm>') || rest.includes(' = -1 ');

  return {
    see(line) {
      const [, thread = '', call = '', rest = ''] =
        /^(\d+)\s+(?:<\.\.\. )?(\w+)(?: resumed>|\()(.*)$/s.exec(line) ?? [];
      if (call === '') return null;
      const isResumed = line.includes(' resumed>');
      const isUnfinished = rest.endsWith('<unfinished ...>');
      if (call === 'fsync' || call === 'fdatasync') {
        if (isResumed) {
          // A flush that failed covers nothing.
          if (rest.endsWith('= 0')) {
            flushes += 1;
            flushing.get(thread)?.();
          }
          flushing.delete(thread);
          return null;
        }
        const [, path = ''] = /^\d+<([^>]*)>/.exec(rest) ?? [];
        if (isUnfinished || rest.endsWith('= 0')) flush(thread, path, !isUnfinished);
        return null;
      }
      if (isUnfinished) {
        unfinished.set(thread, rest.slice(0, -'<unfinished ...>'.length).trimEnd());
        // A call that is under way when the power goes is as good as not begun.
        return null;
      }
      const whole = isResumed ? `${unfinished.get(thread) ?? ''}${rest.trimStart()}` : rest;
      return done(call, whole);
    },
    cut(folder, random) {
      const share = random.pick([0, 0.5, 1]);
      const keeps = (): boolean => random.chance(share);
      const names = new Map(durable);
      for (const { name, content } of changes.slice(0, random.int(0, changes.length))) {
        if (content) names.set(name, content);
        else names.delete(name);
      }
      for (const [name, content] of names) {
        const path = join(folder, name.slice(root.length));
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, content.after(keeps));
      }
    },
    get flushes() {
      return flushes;
    },
  };
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', v: '\v', f: '\f' };

/** As strace writes a string: `\xHH`, or letters with the escapes of C. */
function bytesOf(text: string): Buffer {
  if (text.startsWith('\\x')) return Buffer.from(text.replaceAll('\\x', ''), 'hex');
  return Buffer.from(
    text.replaceAll(/\\(.)/g, (_, letter: string) => ESCAPES[letter] ?? letter),
    'latin1',
  );
}
