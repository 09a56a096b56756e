/** What a gateway asks of its store beside jobs: is it well, what was decided elsewhere, which models were ever announced. */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { START, succeeded, type Check } from './bench.suite.ts';

export function knownSuite(name: string, check: Check): void {
  describe(`${name}: beside jobs`, () => {
    check('a store that is well can be tried', async ({ store }) => {
      await store.probe();
      await store.probe();
    });

    check('of some jobs it says which are decided', async ({ store, accept, run, end }) => {
      const [decided, running] = [await run(), await run({}, 's2')];
      await end(decided, succeeded('red'));
      const waiting = await accept();
      assert.deepEqual(await store.decidedAmong([waiting.id, decided.id, 'nobody', running.id]), [decided.id]);
      assert.deepEqual(await store.decidedAmong([]), []);
    });

    const known = (model: string, lastSeenAt = START, versions = ['1']) => {
      return { name: model, report: `{"of":"${model}"}`, versions, lastSeenAt };
    };

    check(
      'models are known until nobody was heard of them for so long',
      async ({ store, clock }) => {
        assert.deepEqual(await store.knownModels(), []);
        await store.rememberModels([known('plants', START, ['1', '2']), known('clothes', START - 5)]);
        assert.deepEqual(await store.knownModels(), [known('clothes', START - 5), known('plants', START, ['1', '2'])]);
        clock.advance(9_998);
        await store.rememberModels([known('plants', START + 9_998, ['3'])]);
        assert.deepEqual(
          (await store.knownModels()).map((one) => one.name),
          ['plants'],
        );
        await store.rememberModels([known('plants', START)]);
        assert.deepEqual(await store.knownModels(), [known('plants', START + 9_998, ['1'])], 'never seen less late');
      },
      { modelTtlMs: 10_000 },
    );

    check('no more than so many are known; the one longest unheard goes first', async ({ store }) => {
      const many = Array.from({ length: 1_030 }, (_, n) => known(`model-${String(n).padStart(4, '0')}`, START + n));
      await store.rememberModels(many);
      const names = (await store.knownModels()).map((one) => one.name);
      assert.deepEqual([names.length, names[0], names.at(-1)], [1_024, 'model-0006', 'model-1029']);
    });
  });
}
