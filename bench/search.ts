/**
 * How long does a search by name take in a guide of 50,000 entries (two Korean names, one English, one scientific each)?
 * Queries are what people type: beginnings, whole names, initials, the wrong keyboard layout, one and two slips.
 *
 *   npm run bench:search -- [entries, default 50000] [queries, default 2000]
 */
import { assemble, convertHangulToQwerty, disassemble, getChoseong } from 'es-hangul';
import { createSearch } from '../src/fieldguide/search/search.ts';
import { createRandom } from '../test/support/random.ts';
import { atMost, record } from './support/record.ts';

const entryCount = Number(process.argv[2] ?? 50_000);
const queryCount = Number(process.argv[3] ?? 2_000);
const random = createRandom(1);
const { pick, int } = random;

const HEADS =
  '노랑 분홍 큰 좀 개 갯 털 흰 자주 섬 산 돌 물 왕 애기 각시 참 나도 너도 미국 서양 두메 한라 금강 뿔 선 눈 긴 둥근 가는잎'.split(
    ' ',
  );
const STEMS =
  '진달래 민들레 제비꽃 엉겅퀴 바람꽃 나리 붓꽃 참나무 단풍 고사리 이끼 국화 장미 백합 난초 여뀌 쑥 마타리 용담 도라지 초롱꽃 버들 쐐기풀 억새 사초 싸리 딸기 으아리'.split(
    ' ',
  );
const TAILS = ['', '', '', '나무', '꽃', '풀', '아재비', '덩굴', '속'];
const SYLLABLES = 'ra be li do ni ca thu mo sa vi pe lo nu ci ta gri fol hor ens is ium ella ata osa'.split(' ');
const latin = (parts: number): string => Array.from({ length: parts }, () => pick(SYLLABLES)).join('');

const entries = Array.from({ length: entryCount }, () => ({
  names: [
    pick(HEADS) + pick(HEADS) + pick(STEMS) + pick(TAILS),
    pick(HEADS) + pick(STEMS) + pick(STEMS) + pick(TAILS),
    `${latin(2)} ${latin(3)} flower`,
    `${latin(3)} ${latin(4)}`,
  ],
}));

const beganAt = performance.now();
const before = process.memoryUsage();
const search = createSearch(entries);
console.log(
  `${entryCount} entries: built in ${((performance.now() - beganAt) / 1_000).toFixed(1)} s, ` +
    `${((process.memoryUsage().rss - before.rss) / 2 ** 20).toFixed(0)} MiB more`,
);

const slip = (text: string): string => {
  const letters = [...disassemble(text)];
  letters.splice(int(0, letters.length - 1), 1, pick([...'ㄱㄴㄷㄹㅁㅏㅓㅗㅜㅣaeiou']));
  try {
    return assemble(letters);
  } catch {
    return letters.join('');
  }
};
const forms: Readonly<Record<string, (name: string) => string>> = {
  'one letter': (name) => name.slice(0, 1),
  'a beginning': (name) => name.slice(0, 3),
  'the whole name': (name) => name,
  'one slip': slip,
  'two slips': (name) => slip(slip(name)),
  initials: (name) => getChoseong(name) || name,
  'the other layout': (name) => convertHangulToQwerty(name),
};

const all: number[] = [];
for (const [label, form] of Object.entries(forms)) {
  const times: number[] = [];
  for (let n = 0; n < queryCount / Object.keys(forms).length; n += 1) {
    const query = form(pick(pick(entries).names));
    const from = performance.now();
    search.find(query, 20);
    times.push(performance.now() - from);
  }
  all.push(...times);
  console.log(
    `${label.padEnd(18)} p50 ${percentile(times, 50).toFixed(2)} ms  p99 ${percentile(times, 99).toFixed(2)} ms`,
  );
}
record('search', [atMost(`search in ${entryCount} entries, p99`, percentile(all, 99), 'ms', 10)], {
  entries: entryCount,
  queries: all.length,
  p50Ms: percentile(all, 50),
});

function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * share) / 100))]!;
}
