/** Deploys a version of a model: which one, and with what share of the traffic. */
import { useQueryClient } from '@tanstack/react-query';
import { useId, useState, type FormEvent, type ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import type { DeployedModel } from '../../../../src/client/rollouts.ts';
import { useProblemText } from '../../ui/problem.tsx';
import { rolloutsQuery } from '../api.ts';
import { Choice, SmallButton } from '../parts/controls.tsx';
import { Modal } from '../parts/dialogs.tsx';
import { useNotice } from '../parts/notices.tsx';
import { useSession } from '../session.tsx';

interface DeployProps {
  readonly model: DeployedModel;
  readonly onClose: () => void;
}

export function Deploy({ model: { name, serving, workers }, onClose }: DeployProps): ReactElement {
  const { t } = useTranslation('console');
  const { send } = useSession();
  const queries = useQueryClient();
  const notice = useNotice();
  const hintId = useId();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const problem = useProblemText(error);
  const all = new Set(workers.flatMap((worker) => worker.versions.map(({ version }) => version)));
  /** The newest first. */
  const versions = [...all].sort((a, b) => b.localeCompare(a, 'en', { numeric: true }));

  async function submit(event: FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const version = form.get('version') as string;
    setBusy(true);
    setError(null);
    try {
      await send(`/v1/admin/models/${encodeURIComponent(name)}/deploy`, {
        version,
        weight: Number(form.get('weight')),
      });
      await queries.invalidateQueries({ queryKey: rolloutsQuery.queryKey });
      notice({ text: t('rollout.ordered', { model: name, version }) });
      onClose();
    } catch (thrown) {
      setError(thrown);
      setBusy(false);
    }
  }

  return (
    <Modal title={t('rollout.deployTitle', { model: name })} onClose={onClose}>
      <p className="mt-3 text-sm text-soft">{t('rollout.deployText')}</p>
      <form onSubmit={(event) => void submit(event)} className="mt-4 space-y-4">
        <Choice
          label={t('rollout.version')}
          name="version"
          data-first
          defaultValue={versions.find((version) => version !== serving) ?? versions[0]}
          choices={versions.map((version) => ({
            value: version,
            label: version === serving ? t('rollout.servesNow', { version }) : `@${version}`,
          }))}
        />
        <div>
          <label className="flex items-center gap-2 text-xs font-semibold text-soft">
            {t('rollout.weight')}
            <input
              name="weight"
              type="number"
              inputMode="numeric"
              required
              min={0}
              max={100}
              step={1}
              defaultValue={100}
              aria-describedby={hintId}
              className="h-9 w-20 rounded-md border border-edge bg-surface px-2 text-xs text-ink pointer-coarse:h-11"
            />
            %
          </label>
          <p id={hintId} className="mt-1 text-xs text-soft">
            {t('rollout.weightHint')}
          </p>
        </div>
        {error !== null && (
          <p role="alert" className="text-sm font-semibold text-deadly">
            {problem}
          </p>
        )}
        <div className="flex flex-wrap justify-end gap-2">
          <SmallButton onClick={onClose}>{t('confirm.cancel')}</SmallButton>
          <SmallButton tone="solid" type="submit" disabled={busy}>
            {t('rollout.deployNow')}
          </SmallButton>
        </div>
      </form>
    </Modal>
  );
}
