/** Where a job's time went, as a bar of its parts and as a list. */
import type { ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { useLanguage } from '../../i18n/use-language.ts';
import { duration, number } from '../format.ts';
import { PARTS, type Part, type Timings } from '../shapes.ts';

const COLOURS: Readonly<Record<Part, string>> = {
  queue: 'var(--data-queue)',
  link: 'var(--data-link)',
  batch: 'var(--data-batch)',
  decode: 'var(--data-decode)',
  compute: 'var(--data-compute)',
  return: 'var(--data-return)',
};

function partsOf(timings: Timings): { readonly part: Part; readonly ms: number; readonly share: number }[] {
  const all: Readonly<Record<Part, number>> = {
    queue: timings.queue_ms,
    link: timings.link_ms,
    batch: timings.batch_wait_ms,
    decode: timings.decode_ms,
    compute: timings.compute_ms,
    return: timings.return_ms,
  };
  const total = Math.max(timings.total_ms, 0.001);
  return PARTS.map((part) => ({ part, ms: all[part], share: all[part] / total }));
}

export function SplitBar({
  timings,
  tall = false,
}: {
  readonly timings: Timings;
  readonly tall?: boolean;
}): ReactElement {
  const { t } = useTranslation('console');
  const lang = useLanguage();
  const parts = partsOf(timings);
  const label = parts.map(({ part, ms }) => `${t(`part.${part}`)} ${duration(lang, ms)}`).join(', ');
  return (
    <span
      role="img"
      aria-label={label}
      title={label}
      className={`flex w-full overflow-hidden rounded-full bg-sunk ${tall ? 'h-3' : 'h-1.5'}`}
    >
      {parts.map(({ part, share }) => (
        <span key={part} style={{ width: `${share * 100}%`, background: COLOURS[part] }} />
      ))}
    </span>
  );
}

export function SplitList({ timings }: { readonly timings: Timings }): ReactElement {
  const { t } = useTranslation('console');
  const lang = useLanguage();
  return (
    <>
      <SplitBar timings={timings} tall />
      <table className="mt-3 w-full text-xs">
        <tbody>
          {partsOf(timings).map(({ part, ms, share }) => (
            <tr key={part} className="border-b border-line last:border-0">
              <th scope="row" className="py-1.5 text-left font-semibold">
                <span className="mr-2 inline-block size-2.5 rounded-[2px]" style={{ background: COLOURS[part] }} />
                {t(`part.${part}`)} <span className="font-normal text-soft">{t(`part.${part}About`)}</span>
              </th>
              <td className="py-1.5 pl-2 text-right whitespace-nowrap">{duration(lang, ms)}</td>
              <td className="w-12 py-1.5 text-right text-soft">{number(lang, share * 100)} %</td>
            </tr>
          ))}
        </tbody>
        <tfoot>
          <tr className="font-semibold">
            <th scope="row" className="py-1.5 text-left">
              {t('part.total')}
            </th>
            <td className="py-1.5 text-right whitespace-nowrap">{duration(lang, timings.total_ms)}</td>
            <td />
          </tr>
        </tfoot>
      </table>
    </>
  );
}
