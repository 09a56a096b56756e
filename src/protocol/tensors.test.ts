import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { EXTREMES, tensorOf } from '../../test/support/tensors.ts';
import { PosternError } from '../errors.ts';
import { DATATYPES, joinTexts, splitTexts } from './datatypes.ts';
import { flatJson, nestedJson, readNested, readTensor } from './json-tensors.ts';
import { decodeTensors, encodeTensors, encodeTensorsIn } from './tensors.ts';

const isBad = (part: RegExp) => (error: unknown) =>
  error instanceof PosternError && error.code === 'bad_tensor' && part.test(error.message);

describe('the tensor payload', () => {
  test('brings every datatype back as it went in, each tensor at a multiple of 8', () => {
    const tensors = DATATYPES.map((datatype) => tensorOf(`in "${datatype}"`, datatype, EXTREMES[datatype]));
    const payload = encodeTensors({ tensors, outputs: ['y'] });
    const back = decodeTensors(payload);
    assert.deepEqual(back.outputs, ['y']);
    for (const [index, tensor] of back.tensors.entries()) {
      const { data, ...about } = tensor;
      const { data: went, ...expected } = tensors[index]!;
      assert.deepEqual(about, expected);
      assert.deepEqual(Buffer.from(data), Buffer.from(went));
      assert.equal((data.byteOffset - payload.byteOffset) % 8, 0);
      assert.equal(data.buffer, payload.buffer, 'a view, no copy');
    }
  });

  test('is made in the body that the tensors came in, where they stand in a row with room before them', () => {
    const [x, y] = [tensorOf('x', 'FP32', [[1, 2]]), tensorOf('y', 'INT8', [3, 4, 5])];
    const room = Buffer.alloc(200, 0x7b);
    const bodyOf = (...pieces: readonly Uint8Array[]): Buffer =>
      Buffer.concat([Buffer.alloc(3), ...pieces]).subarray(3);
    const inBody = (body: Buffer, at: number, tensor: typeof x) => ({
      ...tensor,
      data: body.subarray(at, at + tensor.data.byteLength),
    });
    const cases = [
      { body: bodyOf(room, x.data, y.data), at: [200, 208], copied: false },
      { body: bodyOf(room.subarray(0, 40), x.data, y.data), at: [40, 48], copied: true },
      { body: bodyOf(room, x.data, room.subarray(0, 8), y.data), at: [200, 216], copied: true },
      { body: bodyOf(room, y.data, x.data), at: [203, 200], copied: true },
    ];
    for (const { body, at, copied } of cases) {
      const tensors = [inBody(body, at[0]!, x), inBody(body, at[1]!, y)];
      const whole = encodeTensors({ tensors, outputs: ['z'] });
      const made = encodeTensorsIn(body, { tensors, outputs: ['z'] });
      assert.deepEqual(made, whole);
      assert.equal(made.buffer !== body.buffer, copied);
    }
    const alone = { tensors: [x], outputs: null };
    assert.deepEqual(encodeTensorsIn(bodyOf(room), alone), encodeTensors(alone), 'tensors that are elsewhere');
  });

  test('cut anywhere, or with anything behind it, is refused', () => {
    const payload = encodeTensors({ tensors: [tensorOf('x', 'FP32', [[1, 2, 3]])], outputs: null });
    for (let length = 0; length < payload.length; length++) {
      assert.throws(() => decodeTensors(payload.subarray(0, length)), isBad(/./));
    }
    assert.throws(() => decodeTensors(Buffer.concat([payload, Buffer.alloc(1)])), isBad(/1 bytes follow/));
  });

  test('with any bytes changed is read or refused, and never anything else', () => {
    const payload = encodeTensors({
      tensors: [tensorOf('x', 'BYTES', ['a', 'bc']), tensorOf('y', 'INT16', [1])],
      outputs: null,
    });
    const change = fc.array(fc.tuple(fc.nat(payload.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(change, (changes) => {
        const broken = Buffer.from(payload);
        for (const [at, value] of changes) broken[at] = value;
        try {
          decodeTensors(broken);
        } catch (error) {
          assert(isBad(/./)(error), String(error));
        }
      }),
    );
  });

  test('that announces a gigabyte, or more elements than there are numbers, is refused by what came', () => {
    const announce = (about: object): Buffer => {
      const head = JSON.stringify({ tensors: [{ name: 'x', datatype: 'FP32', shape: [1], bytes: 4, ...about }] });
      const payload = Buffer.alloc(Math.ceil((4 + head.length) / 8) * 8 + 4);
      payload.writeUInt32LE(head.length, 0);
      payload.write(head, 4);
      return payload;
    };
    assert.equal(decodeTensors(announce({})).tensors.length, 1);
    assert.throws(() => decodeTensors(announce({ shape: [268_435_456], bytes: 1_073_741_824 })), isBad(/cut off/));
    assert.throws(() => decodeTensors(announce({ shape: [2 ** 40, 2 ** 40] })), isBad(/too many elements/));
    assert.throws(() => decodeTensors(announce({ shape: [2] })), isBad(/has 8 bytes, but 4 came/));
    assert.throws(() => decodeTensors(announce({ datatype: 'BYTES', shape: [2] })), isBad(/2 elements, but 1 came/));
    assert.throws(() => decodeTensors(announce({ datatype: 'FP8' })), isBad(/datatype/));
    assert.throws(() => decodeTensors(announce({ shape: [-1] })), isBad(/shape/));
  });
});

describe('tensors as JSON', () => {
  test('nested and flat lists mean the same, in every datatype', () => {
    for (const datatype of DATATYPES) {
      const nested = readNested('x', datatype, EXTREMES[datatype]);
      assert.deepEqual(nested.shape, [2, 2]);
      const flat = readTensor('x', datatype, [2, 2], (EXTREMES[datatype] as unknown[][]).flat());
      assert.deepEqual(flat, nested);
      assert.equal(nestedJson(nested), `[${(EXTREMES[datatype] as unknown[][]).map(rowText(datatype)).join(',')}]`);
      assert.equal(
        flatJson(nested),
        `[${(EXTREMES[datatype] as unknown[][]).flat().map(valueText(datatype)).join(',')}]`,
      );
    }
  });

  test('a value without lists has the shape []; a list without elements keeps its levels', () => {
    assert.equal(nestedJson(readNested('x', 'FP32', 3)), '3');
    assert.deepEqual(readNested('x', 'FP32', [[], []]).shape, [2, 0]);
    assert.equal(nestedJson(readNested('x', 'FP32', [[], []])), '[[],[]]');
    assert.throws(
      () => nestedJson({ name: 'x', datatype: 'FP32', shape: [2 ** 40, 0], data: new Uint8Array(0) }),
      isBad(/lists of nothing/),
    );
  });

  test('says what does not fit', () => {
    const cases: [datatype: 'UINT8' | 'INT64' | 'FP16' | 'BYTES' | 'BOOL', value: unknown, says: RegExp][] = [
      ['UINT8', [1, 256], /element 1 .* is 256; UINT8 takes whole numbers from 0 to 255/],
      ['UINT8', [1.5], /element 0/],
      ['INT64', [2 ** 53], /beyond 2\^53 as texts/],
      ['INT64', ['9223372036854775808'], /INT64 takes/],
      ['FP16', [70_000], /numbers of its range/],
      ['FP16', ['rose'], /"NaN"/],
      ['FP16', [null], /is null/],
      ['BYTES', [1], /takes texts/],
      ['BOOL', [2], /true and false/],
      ['UINT8', [[1], [2, 3]], /different lengths/],
      ['UINT8', [[1], 2], /different lengths/],
    ];
    for (const [datatype, value, says] of cases) assert.throws(() => readNested('x', datatype, value), isBad(says));
    assert.throws(() => readTensor('x', 'UINT8', [3], [1, 2]), isBad(/has 3 elements, but 2 came/));
    const deep = JSON.parse(`${'['.repeat(40)}1${']'.repeat(40)}`) as unknown;
    assert.throws(() => readNested('x', 'UINT8', deep), isBad(/nested deeper/));
  });

  test('bfloat16 rounds to even and keeps what is not finite', () => {
    const { data } = readNested('x', 'BF16', [1, 1.00390625, 1.01171875, 'NaN', '-Infinity']);
    assert.deepEqual([...new Uint16Array(data.buffer as ArrayBuffer)], [0x3f80, 0x3f80, 0x3f82, 0x7fc0, 0xff80]);
  });
});

test('texts are split as they were joined', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 20 })), (texts) => {
      const back = splitTexts(joinTexts(texts)).map((text) => Buffer.from(text));
      assert.deepEqual(
        back,
        texts.map((text) => Buffer.from(text)),
      );
    }),
  );
});

const valueText =
  (datatype: string) =>
  (value: unknown): string =>
    typeof value === 'string' && datatype.includes('64') && datatype !== 'FP64' ? value : JSON.stringify(value);
const rowText =
  (datatype: string) =>
  (row: unknown[]): string =>
    `[${row.map(valueText(datatype)).join(',')}]`;
