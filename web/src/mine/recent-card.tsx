/** One of one's own identifications as a card. */
import type { ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import type { Identification } from '../api/identifications.ts';
import { paths } from '../app/paths.ts';
import { Drawing } from '../art/drawing.tsx';
import { useLanguage } from '../i18n/use-language.ts';
import { headline } from '../result/headline.ts';

export function RecentCard({ identification }: { readonly identification: Identification }): ReactElement {
  const { t } = useTranslation();
  const lang = useLanguage();
  const { outcome, photos, guide, id } = identification;
  const { title, detail } = headline(outcome, lang, t);
  const thumb = photos[0]?.thumb ?? null;
  const first = outcome !== null && outcome.type !== 'failed' ? outcome.candidates[0]?.entry : undefined;
  return (
    <li>
      <Link
        to={paths.identification(guide, id)}
        className="block h-full overflow-hidden rounded-md border border-line bg-surface text-ink no-underline transition-shadow hover:shadow-high"
      >
        <span className="block h-36 bg-plate">
          {thumb !== null ? (
            <img src={thumb} alt="" loading="lazy" className="size-full object-cover" />
          ) : (
            first && <Drawing entry={first} className="size-full p-2" />
          )}
        </span>
        <span className="block p-3">
          <strong className="line-clamp-2 leading-snug">{title}</strong>
          {detail !== '' && <span className="mt-0.5 block text-xs font-semibold text-danger">{detail}</span>}
        </span>
      </Link>
    </li>
  );
}
