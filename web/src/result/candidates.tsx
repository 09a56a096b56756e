/** The likely names, the best first, each with how likely it is as a bar and as a number. */
import type { ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import type { Candidate } from '../api/identifications.ts';
import { useGuide } from '../app/guide-context.tsx';
import { paths } from '../app/paths.ts';
import { Drawing } from '../art/drawing.tsx';
import { DangerTag } from '../guide/danger-tag.tsx';
import { nameOf, otherName } from '../guide/names.ts';
import { useLanguage } from '../i18n/use-language.ts';
import { percent } from './headline.ts';

/** Below it a name is there for completeness: folded away, so that it does not look like an answer. */
const LIKELY = 0.01;

export function Candidates({ candidates }: { readonly candidates: readonly Candidate[] }): ReactElement {
  const { t } = useTranslation();
  const likely = candidates.filter(({ score }, index) => index === 0 || score >= LIKELY);
  const others = candidates.slice(likely.length);
  return (
    <>
      <CandidateList id="candidates" candidates={likely} first />
      {others.length > 0 && (
        <details className="mt-3">
          <summary className="min-h-11 py-2.5 text-sm font-semibold text-leaf">
            {t('result.unlikely', { count: others.length })}
          </summary>
          <CandidateList id="unlikely" candidates={others} />
        </details>
      )}
    </>
  );
}

interface CandidateListProps {
  readonly id: string;
  readonly candidates: readonly Candidate[];
  /** Does it begin with the best one, which is shown larger? */
  readonly first?: boolean;
}

function CandidateList({ id, candidates, first = false }: CandidateListProps): ReactElement {
  const { t } = useTranslation();
  const { guide } = useGuide();
  const lang = useLanguage();
  return (
    <ol className="mt-4 space-y-3" id={id}>
      {candidates.map(({ entry, score }, index) => (
        <li key={entry.id}>
          <Link
            to={paths.entry(guide.id, entry.id)}
            className="group flex items-center gap-4 rounded-md border border-line bg-surface p-3 text-ink no-underline hover:shadow-high"
          >
            <Drawing
              entry={entry}
              className={`shrink-0 rounded-sm bg-plate ${first && index === 0 ? 'h-28 w-24' : 'h-18 w-15'}`}
            />
            <span className="min-w-0 grow">
              <span className="flex flex-wrap items-baseline gap-x-3">
                <strong className={first && index === 0 ? 'text-lg' : ''}>{nameOf(entry.names, lang)}</strong>
                <span className="text-sm text-soft">
                  {entry.scientific_name === null ? (
                    otherName(entry.names, lang)
                  ) : (
                    <i className="latin">{entry.scientific_name}</i>
                  )}
                </span>
              </span>
              <span className="mt-1 flex items-center gap-3">
                <span className="h-2.5 grow overflow-hidden rounded-full bg-sunk" aria-hidden="true">
                  <span
                    className="block h-full rounded-full bg-leaf"
                    style={{ width: `${Math.max(1, score * 100)}%` }}
                  />
                </span>
                <span className="w-12 shrink-0 text-right text-sm font-bold tabular-nums">
                  <span className="sr-only">{t('result.likelihood')} </span>
                  {percent(score, lang)}
                </span>
              </span>
              <span className="mt-1.5 block">
                <DangerTag level={entry.danger?.level} />
              </span>
            </span>
          </Link>
        </li>
      ))}
    </ol>
  );
}
