/** A job under way, in a line: its photo, what happens with it now, and what can be done. */
import type { ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { paths } from '../app/paths.ts';
import { useOnline } from '../app/connectivity.tsx';
import { useLanguage } from '../i18n/use-language.ts';
import type { Job } from '../jobs/jobs.ts';
import { useJobs } from '../jobs/jobs-provider.tsx';
import { headline } from '../result/headline.ts';
import { useStage } from '../result/stage.ts';
import { BlobImage } from '../ui/blob-image.tsx';
import { Button } from '../ui/button.tsx';
import { KeyForm } from './key-form.tsx';
import { Progress } from '../ui/progress.tsx';

export function JobCard({ job }: { readonly job: Job }): ReactElement {
  const { t } = useTranslation();
  const lang = useLanguage();
  const jobs = useJobs();
  const online = useOnline();
  const stage = useStage(job.identification);
  const photo = job.photos[0];
  const thumb = job.identification?.photos[0]?.thumb ?? null;
  const done = job.phase === 'decided' ? headline(job.identification?.outcome ?? null, lang, t).title : null;
  const text = {
    queued: online ? t('job.queued') : t('job.offline'),
    sending: t('job.sending'),
    watched: stage.text,
    decided: done === null ? '' : t('job.done', { name: done }),
    refused: job.refusal?.code === 'unauthorized' ? t('key.title') : t('job.refused'),
  }[job.phase];
  // `forbidden`: a key without the right to predict; another one may have it.
  const wantsKey = job.refusal?.code === 'unauthorized' || job.refusal?.code === 'forbidden';
  const fraction = job.phase === 'sending' ? job.sent : job.phase === 'watched' ? stage.fraction : null;
  return (
    <li className="come flex items-center gap-4 rounded-md border border-line bg-surface p-3" data-phase={job.phase}>
      {photo ? (
        <BlobImage blob={photo} alt="" className="block size-16 shrink-0 rounded-sm bg-sunk object-cover" />
      ) : thumb !== null ? (
        <img src={thumb} alt="" className="size-16 shrink-0 rounded-sm bg-sunk object-cover" />
      ) : (
        <span className="size-16 shrink-0 rounded-sm bg-sunk" />
      )}
      <div className="min-w-0 grow">
        <p role="status" className="text-sm font-semibold">
          {text}
        </p>
        {job.refusal && wantsKey && <KeyForm onKey={() => void jobs.tryAgain(job.key)} />}
        {job.refusal && !wantsKey && <p className="mt-0.5 text-sm break-words text-soft">{job.refusal.detail}</p>}
        {job.phase !== 'decided' && job.phase !== 'refused' && (
          <Progress label={text} fraction={fraction} className="mt-2" />
        )}
        <div className="mt-1 -ml-4 flex flex-wrap">
          {job.id !== null && (
            <Link
              to={paths.identification(job.guide, job.id)}
              className="inline-flex min-h-11 items-center px-4 text-sm font-semibold text-leaf underline underline-offset-4"
            >
              {job.phase === 'decided' ? t('job.show') : t('job.open')}
            </Link>
          )}
          {job.phase === 'refused' && !wantsKey && (
            <Button tone="quiet" onClick={() => void jobs.tryAgain(job.key)}>
              {t('problem.retry')}
            </Button>
          )}
          {job.id === null && (
            <Button tone="quiet" onClick={() => void jobs.discard(job.key)}>
              {t('job.discard')}
            </Button>
          )}
        </div>
      </div>
    </li>
  );
}
