/** The first page: what this is for, and the way to begin. */
import type { ReactElement } from 'react';
import { useGuide, useGuideText } from '../app/guide-context.tsx';
import { PageHeading } from '../app/page-heading.tsx';
import { useLanguage } from '../i18n/use-language.ts';

export function IdentifyPage(): ReactElement {
  const { guide } = useGuide();
  const lang = useLanguage();
  const text = useGuideText();
  return (
    <div className="pt-8 sm:pt-14">
      <PageHeading title={guide.title[lang]} className="max-w-3xl text-3xl">
        {text('tagline')}
      </PageHeading>
    </div>
  );
}
