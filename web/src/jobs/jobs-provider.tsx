/** The jobs of this browser for all pages: they begin with the app, and tell when something was decided unseen. */
import { useQueryClient } from '@tanstack/react-query';
import {
  createContext,
  useContext,
  useEffect,
  useRef,
  useState,
  useSyncExternalStore,
  type ReactElement,
  type ReactNode,
} from 'react';
import { useTranslation } from 'react-i18next';
import { useNavigate } from 'react-router';
import { identificationQuery, type Identification } from '../api/identifications.ts';
import { paths } from '../app/paths.ts';
import { setBadge } from '../app/title.ts';
import { useLanguage } from '../i18n/use-language.ts';
import { headline } from '../result/headline.ts';
import { createJobs, type Job, type Jobs } from './jobs.ts';
import { notify } from './notify.ts';

const Context = createContext<Jobs | null>(null);

export function JobsProvider({ children }: { readonly children: ReactNode }): ReactElement {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const { t } = useTranslation();
  const lang = useLanguage();
  const onDecided = useRef<(identification: Identification) => void>(() => undefined);
  const [jobs] = useState(() =>
    createJobs({
      onNews: (identification) => queries.setQueryData(identificationQuery(identification.id).queryKey, identification),
      onDecided: (identification) => onDecided.current(identification),
    }),
  );
  useEffect(() => {
    onDecided.current = (identification) => {
      void queries.invalidateQueries({ queryKey: ['identifications'] });
      if (document.visibilityState === 'visible') return;
      const path = paths.identification(identification.guide, identification.id);
      const { title, detail } = headline(identification.outcome, lang, t);
      void notify({ title, body: detail, path, tag: identification.id }, (to) => void navigate(to));
    };
  }, [queries, navigate, lang, t]);
  useEffect(() => void jobs.start(), [jobs]);
  useEffect(() => {
    // From the service worker, when a notification was clicked.
    const onMessage = ({ data }: MessageEvent<{ type?: string; path?: string }>): void => {
      if (data.type === 'open' && data.path?.startsWith('/')) void navigate(data.path);
    };
    const { serviceWorker } = navigator as Partial<Navigator>;
    serviceWorker?.addEventListener('message', onMessage);
    return () => serviceWorker?.removeEventListener('message', onMessage);
  }, [navigate]);
  return (
    <Context value={jobs}>
      <Badge />
      {children}
    </Context>
  );
}

function Badge(): null {
  const unseen = useJobList().filter(({ phase }) => phase === 'decided').length;
  useEffect(() => setBadge(unseen), [unseen]);
  return null;
}

export function useJobs(): Jobs {
  const jobs = useContext(Context);
  if (jobs === null) throw new Error('useJobs outside of a JobsProvider');
  return jobs;
}

export function useJobList(): readonly Job[] {
  const jobs = useJobs();
  return useSyncExternalStore(jobs.subscribe, jobs.list);
}
