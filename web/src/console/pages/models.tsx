/** The models and their versions, with what waits and how fast it goes. */
import { useQuery } from '@tanstack/react-query';
import type { ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { useLanguage } from '../../i18n/use-language.ts';
import { Skeleton } from '../../ui/skeleton.tsx';
import type { DeployedModel } from '../../../../src/client/rollouts.ts';
import { rolloutsQuery } from '../api.ts';
import { ago, number, short } from '../format.ts';
import { useLive } from '../live.tsx';
import { Rollout } from './rollout.tsx';
import { ConsolePage, Empty, Panel } from '../parts/panel.tsx';
import { StatePill } from '../parts/pill.tsx';
import type { Model, ModelVersion } from '../shapes.ts';

export function Models(): ReactElement {
  const { t } = useTranslation('console');
  const { snapshot } = useLive();
  const { data: deployed } = useQuery(rolloutsQuery);
  return (
    <ConsolePage title={t('models.title')}>
      {snapshot === null && <Skeleton className="h-40" />}
      {snapshot?.models.length === 0 && (
        <Panel>
          <Empty icon="layers">{t('models.none')}</Empty>
        </Panel>
      )}
      <ul className="grid gap-3 xl:grid-cols-2">
        {snapshot?.models.map((model) => (
          <li key={model.name} className="min-w-0">
            <ModelCard model={model} deployed={deployed?.find(({ name }) => name === model.name) ?? null} />
          </li>
        ))}
      </ul>
    </ConsolePage>
  );
}

interface ModelCardProps {
  readonly model: Model;
  /** null: not known yet, or no worker that is here has it. */
  readonly deployed: DeployedModel | null;
}

function ModelCard({ model, deployed }: ModelCardProps): ReactElement {
  const { t } = useTranslation('console');
  const lang = useLanguage();
  const { now } = useLive();
  const per = (value: number): string => `${short(lang, value)}${t('stat.perS')}`;
  const facts: readonly (readonly [label: string, value: string, bad?: boolean])[] = [
    [t('models.waiting'), number(lang, model.waiting_jobs)],
    [t('models.running'), number(lang, model.processing_jobs)],
    [t('models.rate'), per(model.succeeded_per_s)],
    [t('models.failures'), per(model.failed_per_s), model.failed_per_s > 0],
  ];
  return (
    <Panel className="h-full">
      <article aria-label={model.name} className="p-3 sm:p-4">
        <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
          <h2 className="min-w-0 truncate text-base">{model.name}</h2>
          <StatePill state={model.state} />
          <span className="text-xs text-soft">{model.kind}</span>
          <Link
            to={`/console/jobs?model=${encodeURIComponent(model.name)}`}
            className="ml-auto inline-flex min-h-9 items-center px-1 text-xs font-semibold text-leaf underline pointer-coarse:min-h-11"
          >
            {t('models.jobs')}
            <span className="sr-only"> {model.name}</span>
          </Link>
        </div>
        {model.description !== null && <p className="mt-0.5 text-xs text-soft">{model.description}</p>}
        <dl className="mt-3 grid grid-cols-4 gap-2 text-xs">
          {facts.map(([label, value, bad]) => (
            <div key={label} className="min-w-0">
              <dt className="truncate text-soft">{label}</dt>
              <dd className={`font-semibold ${bad === true ? 'text-deadly' : ''}`}>{value}</dd>
            </div>
          ))}
        </dl>
        <Versions versions={model.versions} />
        {deployed !== null && <Rollout model={deployed} />}
        {model.state === 'away' && model.last_seen_at !== null && (
          <p className="mt-2 text-xs text-soft">
            {t('models.seen')}: {ago(lang, Date.parse(model.last_seen_at), now)}
          </p>
        )}
      </article>
    </Panel>
  );
}

function Versions({ versions }: { readonly versions: readonly ModelVersion[] }): ReactElement {
  const { t } = useTranslation('console');
  const lang = useLanguage();
  return (
    <ul aria-label={t('models.versions')} className="mt-3 divide-y divide-line border-t border-line">
      {versions.map(({ version, state, workers, weight }) => (
        <li key={version} className="flex min-h-9 flex-wrap items-center gap-x-3 py-1.5 text-xs">
          <span className="font-semibold">@{version}</span>
          <StatePill state={state} />
          <span className="text-soft">{t('models.workersOf', { count: workers })}</span>
          {typeof weight === 'number' && (
            <span className="ml-auto flex items-center gap-2">
              <span className="h-1.5 w-20 overflow-hidden rounded-full bg-sunk" aria-hidden="true">
                <span className="block h-full bg-leaf" style={{ width: `${weight}%` }} />
              </span>
              {t('models.weight', { percent: `${number(lang, weight)} %` })}
            </span>
          )}
        </li>
      ))}
    </ul>
  );
}
