/** What the app is called where no guide is chosen yet: by the guide that was read last, else by its own name. */
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { useParams } from 'react-router';
import { guidesQuery } from '../api/guides.ts';
import { useLanguage } from '../i18n/use-language.ts';

export function useGuideTitle(): string {
  const { t } = useTranslation();
  const named = useParams().guide;
  const lang = useLanguage();
  const { data } = useQuery(guidesQuery);
  const found = data?.find((one) => one.id === named);
  return found?.title[lang] ?? t('app.name');
}
