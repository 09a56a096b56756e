import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRandom } from '../../test/support/random.ts';
import { createExpiryHeap, type Expiring } from './expiry-heap.ts';
import { createOrderedList } from './ordered-list.ts';

const byNumber = (a: number, b: number): number => a - b;

test('a list does what a sorted array does, through splits and to the last entry', () => {
  const random = createRandom(3);
  const list = createOrderedList<number>(byNumber);
  let array: number[] = [];
  for (let step = 0; step < 20_000; step += 1) {
    // Grows to some thousands, then shrinks to nothing, again and again.
    const grows = Math.floor(step / 4_000) % 2 === 0;
    const value = random.int(0, 1_000_000);
    if (grows || array.length === 0) {
      if (array.includes(value)) continue;
      list.insert(value);
      array.push(value);
      array.sort(byNumber);
    } else {
      const gone = random.pick(array);
      assert.equal(list.remove(gone), true);
      array = array.filter((one) => one !== gone);
    }
    assert.equal(list.size, array.length);
    assert.equal(list.at(0), array[0]);
    if (step % 97 === 0) {
      const rank = random.int(0, array.length);
      assert.equal(list.at(rank), array[rank]);
      assert.equal(list.rank(value), array.filter((one) => one < value).length);
      assert.deepEqual([...list.backwards(value)], array.filter((one) => one < value).reverse());
      assert.deepEqual([...list.backwards(null)], [...array].reverse());
    }
  }
});

test('removing what is not in the list changes nothing', () => {
  const list = createOrderedList<number>(byNumber);
  assert.equal(list.remove(1), false);
  list.insert(2);
  assert.equal(list.remove(1), false);
  assert.equal(list.remove(3), false);
  assert.equal(list.size, 1);
});

test('the heap gives the earliest first, whatever was taken out or moved in between', () => {
  const random = createRandom(4);
  const heap = createExpiryHeap<Expiring>();
  const inside = new Set<Expiring>();
  for (let step = 0; step < 20_000; step += 1) {
    const choice = random.int(0, 3);
    if (choice <= 1 || inside.size === 0) {
      const entry = { expiresAt: random.int(0, 1_000), heapIndex: -1 };
      heap.put(entry);
      inside.add(entry);
    } else {
      const entry = random.pick([...inside].slice(0, 20));
      if (choice === 2) {
        heap.remove(entry);
        heap.remove(entry);
        inside.delete(entry);
      } else {
        entry.expiresAt = random.int(0, 1_000);
        heap.put(entry);
      }
    }
    if (inside.size > 200) {
      for (const entry of [...inside].slice(0, 150)) {
        heap.remove(entry);
        inside.delete(entry);
      }
    }
    assert.equal(heap.size, inside.size);
    const earliest = Math.min(...[...inside].map(({ expiresAt }) => expiresAt));
    assert.equal(heap.first()?.expiresAt ?? Infinity, earliest);
  }
});
