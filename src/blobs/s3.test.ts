import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { createManualClock } from '../../test/support/manual-clock.ts';
import { needsS3, startS3Server } from '../../test/support/s3-server.ts';
import type { BlobStore } from './blobs.ts';
import { blobsSuite } from './blobs.suite.ts';
import { parseS3Url, type S3Place } from './s3-client.ts';
import { createS3Blobs } from './s3.ts';

void test('an address of S3 is a bucket and perhaps a prefix', () => {
  assert.deepEqual(parseS3Url('s3://photos'), { bucket: 'photos', prefix: '' });
  assert.deepEqual(parseS3Url('s3://photos/'), { bucket: 'photos', prefix: '' });
  assert.deepEqual(parseS3Url('s3://my.photos/a/b-c/'), { bucket: 'my.photos', prefix: 'a/b-c' });
  for (const wrong of ['', 's3://', 's3:///x', 's3://UPPER/x', 's3://photos//x', 's3://photos/a/../b', 's3://ph?x=1']) {
    assert.equal(parseS3Url(wrong), null, wrong);
  }
});

const skip = needsS3();

void describe('s3', { skip }, async () => {
  if (skip !== false) return;
  const server = await startS3Server();
  after(() => server.stop());

  blobsSuite('s3', async (clock) => {
    const blobs = createS3Blobs({ place: await server.newBucket(), clock });
    await blobs.start();
    return blobs;
  });

  const clock = createManualClock();
  const using = async (body: (blobs: BlobStore, place: S3Place) => Promise<void>, prefix?: string): Promise<void> => {
    const place = await server.newBucket(prefix);
    const blobs = createS3Blobs({ place, clock });
    await blobs.start();
    try {
      await body(blobs, place);
    } finally {
      await blobs.stop();
    }
  };
  const objects = async (place: S3Place): Promise<string[]> => {
    const found = await readdir(server.folderOf(place.bucket), { recursive: true, withFileTypes: true });
    const root = join(server.folderOf(place.bucket), place.prefix);
    return found
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
      .filter((name) => !name.includes('.sgwtmp'))
      .sort();
  };
  async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += size) {
      await Promise.resolve();
      yield bytes.subarray(at, at + size);
    }
  }

  void test('a stream larger than memory should hold goes up in parts, and leaves no draft', () =>
    using(async (blobs, place) => {
      const bytes = randomBytes(20 * 1024 * 1024 + 17);
      const key = await blobs.put(pieces(bytes, 300_001));
      assert.ok(bytes.equals((await blobs.get(key)) ?? Buffer.alloc(0)));
      assert.deepEqual(
        (await blobs.list(null, 10)).map(({ bytes: size }) => size),
        [bytes.length],
      );
      await blobs.stop();
      assert.equal((await objects(place)).length, 1);
    }));

  void test('a large stream that fails leaves no draft and no part', () =>
    using(async (blobs, place) => {
      async function* broken(): AsyncGenerator<Uint8Array> {
        yield* pieces(randomBytes(20 * 1024 * 1024), 1024 * 1024);
        throw new Error('the caller went away');
      }
      await assert.rejects(blobs.put(broken()), { code: 'storage_failed' });
      assert.deepEqual(await objects(place), []);
      const sdk = await import('@aws-sdk/client-s3');
      const client = new sdk.S3Client({ endpoint: server.endpoint, region: 'us-east-1', forcePathStyle: true });
      const { Uploads = [] } = await client.send(new sdk.ListMultipartUploadsCommand({ Bucket: place.bucket }));
      client.destroy();
      assert.deepEqual(Uploads, []);
    }));

  void test('the same bytes put again and again are kept once', () =>
    using(async (blobs, place) => {
      for (let i = 0; i < 5; i += 1) {
        clock.advance(1_000);
        await blobs.put(Buffer.from('the same photo'));
      }
      await blobs.stop();
      assert.equal((await objects(place)).length, 1);
    }));

  void test('several gateways share a bucket: one reads what the other put, removed and put again', () =>
    using(async (one, place) => {
      const other = createS3Blobs({ place, clock });
      await other.start();
      const bytes = Buffer.from('from one to the other');
      const key = await one.put(bytes);
      assert.ok(bytes.equals((await other.get(key)) ?? Buffer.alloc(0)));
      assert.equal(await other.delete(key), true);
      assert.equal(await one.get(key), null, 'although it remembers a name');
      clock.advance(1_000);
      await other.put(bytes);
      assert.ok(bytes.equals((await one.get(key)) ?? Buffer.alloc(0)));
      await other.stop();
    }));

  void test('content that the bucket changed is an error, never an answer', () =>
    using(async (blobs, place) => {
      const key = await blobs.put(Buffer.from('photo'));
      const [name = ''] = await objects(place);
      await writeFile(join(server.folderOf(place.bucket), place.prefix, name), 'phxto');
      await assert.rejects(blobs.get(key), { code: 'storage_failed' });
    }));

  void test('what else lies in the bucket is left alone, and no blob', () =>
    using(async (blobs, place) => {
      const sdk = await import('@aws-sdk/client-s3');
      const client = new sdk.S3Client({ endpoint: server.endpoint, region: 'us-east-1', forcePathStyle: true });
      for (const Key of ['README', 'blobs/README', 'blobs/zz/x']) {
        await client.send(new sdk.PutObjectCommand({ Bucket: place.bucket, Key, Body: 'x' }));
      }
      client.destroy();
      const key = await blobs.put(Buffer.from('photo'));
      assert.deepEqual(
        (await blobs.list(null, 10)).map((blob) => blob.key),
        [key],
      );
    }, ''));

  void test('a bucket that is not there, and credentials that are wrong, are said at the start', async () => {
    const place = await server.newBucket();
    const missing = createS3Blobs({ place: { ...place, bucket: 'nobody-made-it' }, clock });
    await assert.rejects(missing.start(), { code: 'storage_failed', message: /there is no bucket nobody-made-it/ });
    await missing.stop();
    const secret = process.env.AWS_SECRET_ACCESS_KEY;
    process.env.AWS_SECRET_ACCESS_KEY = 'another';
    const refused = createS3Blobs({ place, clock });
    await assert.rejects(refused.start(), { code: 'storage_failed', message: /these credentials may not/ });
    await refused.stop();
    process.env.AWS_SECRET_ACCESS_KEY = secret;
  });

  void describe('without the gateway between', () => {
    const offer = { contentType: 'image/jpeg', minBytes: 1, maxBytes: 1_000, expiresS: 60 };
    const send = async (
      { url, fields }: { url: string; fields: Readonly<Record<string, string>> },
      content: Uint8Array<ArrayBuffer>,
      changes: Record<string, string> = {},
    ): Promise<number> => {
      const form = new FormData();
      for (const [name, value] of Object.entries({ ...fields, ...changes })) form.append(name, value);
      form.append('file', new Blob([content]), 'photo.jpg');
      const response = await fetch(url, { method: 'POST', body: form });
      await response.arrayBuffer();
      return response.status;
    };
    const read = async (parts: AsyncIterable<Uint8Array> | null): Promise<Buffer> => {
      const found: Uint8Array[] = [];
      for await (const part of parts ?? []) found.push(part);
      return Buffer.concat(found);
    };

    void test('a form takes one file of the offered size and type, and the gateway reads it', () =>
      using(async ({ direct }) => {
        assert.ok(direct);
        const form = await direct.offerUpload(offer);
        assert.equal(await direct.readUpload(form.upload), null);
        assert.equal(await direct.removeUpload(form.upload), false);
        assert.equal(await send(form, Buffer.from('a photo')), 204);
        assert.equal((await read(await direct.readUpload(form.upload))).toString(), 'a photo');
        assert.equal(await direct.removeUpload(form.upload), true);
        assert.equal(await direct.readUpload(form.upload), null);
        await assert.rejects(async () => direct.readUpload('../../secrets'), { code: 'bad_parameter' });
      }));

    void test('S3 itself refuses another size, type, name or signature', () =>
      using(async ({ direct }, place) => {
        assert.ok(direct);
        const form = await direct.offerUpload(offer);
        const policy = Buffer.from(JSON.stringify({ expiration: '2099-01-01T00:00:00Z', conditions: [] }));
        const wrong: [string, Promise<number>][] = [
          ['too large', send(form, Buffer.alloc(1_001))],
          ['empty', send(form, Buffer.alloc(0))],
          ['another type', send(form, Buffer.from('x'), { 'Content-Type': 'text/html' })],
          ['another name', send(form, Buffer.from('x'), { key: `${place.prefix}/blobs/x` })],
          ['another policy', send(form, Buffer.from('x'), { Policy: policy.toString('base64') })],
        ];
        for (const [what, answer] of wrong) {
          const status = await answer;
          assert.ok(status >= 400 && status < 500, `${what}: ${status}`);
        }
        assert.equal(await direct.readUpload(form.upload), null);
        assert.deepEqual(await objects(place), []);
      }));

    void test('a signed address gives the blob with the type that was asked for, and nothing when it was changed', () =>
      using(async (blobs, place) => {
        const { direct } = blobs;
        assert.ok(direct);
        const key = await blobs.put(Buffer.from('a photo'));
        assert.equal(await direct.linkTo('0'.repeat(64), { expiresS: 60 }), null);
        const link = (await direct.linkTo(key, { expiresS: 60, contentType: 'image/jpeg' })) ?? '';
        const response = await fetch(link);
        assert.equal(response.headers.get('content-type'), 'image/jpeg');
        assert.equal(await response.text(), 'a photo');
        const [name = ''] = await objects(place);
        assert.equal(await readFile(join(server.folderOf(place.bucket), place.prefix, name), 'utf8'), 'a photo');
        for (const changed of [link.replace(/(X-Amz-Signature=)[0-9a-f]{8}/, '$100000000'), link.split('?')[0] ?? '']) {
          const refused = await fetch(changed);
          assert.equal(refused.status, 403);
          await refused.arrayBuffer();
        }
      }));
  });
});
