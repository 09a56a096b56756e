/** Which version of a model is deployed, what each worker has of it, and how that is changed. */
import { useQueryClient } from '@tanstack/react-query';
import { useState, type ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import type { DeployedModel } from '../../../../src/client/rollouts.ts';
import { useLanguage } from '../../i18n/use-language.ts';
import { rolloutsQuery } from '../api.ts';
import { ago, number } from '../format.ts';
import { useLive } from '../live.tsx';
import { SmallButton } from '../parts/controls.tsx';
import { Confirm } from '../parts/dialogs.tsx';
import { useNotice } from '../parts/notices.tsx';
import { StatePill } from '../parts/pill.tsx';
import { useSession } from '../session.tsx';
import { Deploy } from './deploy.tsx';

export function Rollout({ model }: { readonly model: DeployedModel }): ReactElement {
  const { t } = useTranslation('console');
  const [asking, setAsking] = useState<'deploy' | 'rollback' | null>(null);
  const { send } = useSession();
  const queries = useQueryClient();
  const notice = useNotice();
  const { name, rollout, workers } = model;
  const previous = rollout?.previous ?? null;
  const canDeploy = workers.some((worker) => worker.takes_deploy && worker.versions.length > 0);

  async function rollBack(): Promise<void> {
    await send(`/v1/admin/models/${encodeURIComponent(name)}/rollback`);
    await queries.invalidateQueries({ queryKey: rolloutsQuery.queryKey });
    notice({ text: t('rollout.rolledBack', { model: name }) });
  }

  return (
    <section aria-label={t('rollout.title', { model: name })} className="mt-3 border-t border-line pt-3 text-xs">
      <Deployed model={model} />
      <OnWorkers workers={workers} />
      <div className="mt-3 flex flex-wrap gap-2">
        <SmallButton disabled={!canDeploy} onClick={() => setAsking('deploy')}>
          {t('rollout.deploy')}
          <span className="sr-only"> {name}</span>
        </SmallButton>
        {previous !== null && (
          <SmallButton tone="quiet" onClick={() => setAsking('rollback')}>
            {t('rollout.rollBack', { version: previous })}
            <span className="sr-only"> {name}</span>
          </SmallButton>
        )}
      </div>
      {asking === 'deploy' && <Deploy model={model} onClose={() => setAsking(null)} />}
      {asking === 'rollback' && previous !== null && (
        <Confirm
          title={t('rollout.rollBackTitle', { model: name, version: previous })}
          text={t('rollout.rollBackText')}
          act={t('rollout.rollBack', { version: previous })}
          onConfirm={rollBack}
          onClose={() => setAsking(null)}
        />
      )}
    </section>
  );
}

/** What was decided, and what has come of it. */
function Deployed({ model: { serving, rollout } }: { readonly model: DeployedModel }): ReactElement {
  const { t } = useTranslation('console');
  const lang = useLanguage();
  const { now } = useLive();
  return (
    <>
      <p className="flex flex-wrap items-center gap-x-3 gap-y-1">
        <span className="font-semibold">
          {serving === null ? t('rollout.nothing') : t('rollout.serving', { version: serving })}
        </span>
        {rollout === null ? (
          <span className="text-soft">{t('rollout.newest')}</span>
        ) : (
          <span className="text-soft">
            {t('rollout.changed', { who: rollout.changed_by, when: ago(lang, Date.parse(rollout.changed_at), now) })}
          </span>
        )}
      </p>
      {rollout !== null && (
        <p className="mt-1.5 flex flex-wrap items-center gap-x-3 gap-y-1" data-rollout={rollout.state}>
          {t('rollout.deployed', { version: rollout.version, percent: `${number(lang, rollout.weight)} %` })}
          {rollout.failure === null && <StatePill state={rollout.state} />}
          {rollout.previous !== null && (
            <span className="text-soft">{t('rollout.previous', { version: rollout.previous })}</span>
          )}
        </p>
      )}
      {rollout?.failure && (
        <p className="mt-1.5 text-deadly [overflow-wrap:anywhere]">
          {t('rollout.failed', { version: rollout.failure.version, reason: rollout.failure.reason })}
        </p>
      )}
    </>
  );
}

function OnWorkers({ workers }: { readonly workers: DeployedModel['workers'] }): ReactElement {
  const { t } = useTranslation('console');
  return (
    <ul aria-label={t('rollout.onWorkers')} className="mt-2 divide-y divide-line">
      {workers.map(({ name, versions }) => (
        <li key={name} data-on={name} className="py-1.5">
          <p className="font-semibold [overflow-wrap:anywhere]">{name}</p>
          <ul className="mt-1 flex flex-wrap gap-x-4 gap-y-1.5">
            {versions.map(({ version, state, serves, message }) => (
              <li key={version} data-version={version} className="flex flex-wrap items-center gap-1.5">
                <span>@{version}</span>
                <StatePill state={state} />
                {serves && <span className="text-soft">{t('rollout.serves')}</span>}
                {message !== null && <span className="text-deadly [overflow-wrap:anywhere]">{message}</span>}
              </li>
            ))}
          </ul>
        </li>
      ))}
    </ul>
  );
}
