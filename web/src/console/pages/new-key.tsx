/** A new key: what it may do; then the key itself, this once. */
import { useQueryClient } from '@tanstack/react-query';
import { useId, useState, type FormEvent, type InputHTMLAttributes, type ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { useProblemText } from '../../ui/problem.tsx';
import { ADMIN } from '../api.ts';
import { Code } from '../parts/code.tsx';
import { SmallButton } from '../parts/controls.tsx';
import { Modal } from '../parts/dialogs.tsx';
import { useSession } from '../session.tsx';

const SCOPES = ['predict', 'read', 'admin'] as const;

interface Made {
  readonly name: string;
  readonly key: string;
}

interface NewKeyProps {
  /** There is none yet: from now on the gateway asks for one. */
  readonly isFirst: boolean;
  readonly onClose: () => void;
}

export function NewKey({ isFirst, onClose }: NewKeyProps): ReactElement {
  const { t } = useTranslation('console');
  const [made, setMade] = useState<Made | null>(null);
  const queries = useQueryClient();

  async function done(): Promise<void> {
    await queries.invalidateQueries({ queryKey: [ADMIN] });
    onClose();
  }

  if (made !== null) {
    return (
      <Modal title={t('newKey.madeTitle', { name: made.name })} onClose={() => void done()} light={false}>
        <p className="mt-3 text-sm font-semibold">{t('newKey.once')}</p>
        <Code text={made.key} />
        <div className="mt-6 flex justify-end">
          <SmallButton tone="solid" onClick={() => void done()}>
            {t('newKey.done')}
          </SmallButton>
        </div>
      </Modal>
    );
  }
  return (
    <Modal title={t('newKey.title')} onClose={onClose}>
      {isFirst && <p className="mt-3 rounded-md bg-harm-wash p-3 text-xs text-harm">{t('newKey.first')}</p>}
      <Form isFirst={isFirst} onMade={setMade} onClose={onClose} />
    </Modal>
  );
}

interface FormProps extends NewKeyProps {
  readonly onMade: (made: Made) => void;
}

function Form({ isFirst, onMade, onClose }: FormProps): ReactElement {
  const { t } = useTranslation('console');
  const { send, makeFirstKey } = useSession();
  const [scopes, setScopes] = useState<ReadonlySet<string>>(new Set([isFirst ? 'admin' : 'predict']));
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const problem = useProblemText(error);
  const isAdmin = scopes.has('admin');

  async function submit(event: FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setBusy(true);
    setError(null);
    try {
      const wish = wishOf(form, [...scopes]);
      const made = await (isFirst ? makeFirstKey<Made>(wish) : send<Made>('/v1/admin/keys', wish));
      if (made !== null) onMade(made);
    } catch (thrown) {
      setError(thrown);
    } finally {
      setBusy(false);
    }
  }
  const toggle = (scope: string): void => {
    const after = new Set(scopes);
    if (!after.delete(scope)) after.add(scope);
    setScopes(after);
  };

  return (
    <form onSubmit={(event) => void submit(event)} className="mt-4 space-y-4">
      <Field label={t('newKey.name')} hint={t('newKey.nameHint')} name="name" required maxLength={64} data-first />
      <fieldset>
        <legend className="text-xs font-semibold">{t('newKey.scopes')}</legend>
        {SCOPES.map((scope) => (
          <label
            key={scope}
            className="flex min-h-9 cursor-pointer items-center gap-2.5 text-xs pointer-coarse:min-h-11"
          >
            <input
              type="checkbox"
              checked={scopes.has(scope)}
              // Without it the maker of the first key would be locked out by it.
              disabled={isFirst && scope === 'admin'}
              onChange={() => toggle(scope)}
              className="size-4 shrink-0"
            />
            <code className="w-14 shrink-0 font-mono">{scope}</code>
            <span className="text-soft">{t(`newKey.${scope}`)}</span>
          </label>
        ))}
      </fieldset>
      {!isAdmin && <Field label={t('newKey.models')} hint={t('newKey.modelsHint')} name="models" />}
      <div className="grid gap-4 sm:grid-cols-2">
        <Field label={t('newKey.rate')} hint={t('newKey.noLimit')} name="rate" type="number" min="0.01" step="any" />
        <Field
          label={t('newKey.undecided')}
          hint={t('newKey.noLimit')}
          name="undecided"
          type="number"
          min="1"
          step="1"
        />
      </div>
      <Field label={t('newKey.expires')} hint={t('newKey.expiresHint')} name="expires" type="date" />
      <p role="alert" className="text-sm font-semibold text-deadly empty:hidden">
        {error === null ? '' : problem}
      </p>
      <div className="flex flex-wrap justify-end gap-2">
        <SmallButton onClick={onClose}>{t('newKey.cancel')}</SmallButton>
        <SmallButton type="submit" tone="solid" disabled={busy || scopes.size === 0}>
          {t('newKey.submit')}
        </SmallButton>
      </div>
    </form>
  );
}

/** Only what was said: the gateway has its own defaults. */
function wishOf(form: FormData, scopes: readonly string[]): Record<string, unknown> {
  const text = (name: string): string => {
    const value = form.get(name);
    return typeof value === 'string' ? value.trim() : '';
  };
  const models = text('models')
    .split(',')
    .map((name) => name.trim())
    .filter(Boolean);
  const wish: Record<string, unknown> = { name: text('name'), scopes };
  if (models.length > 0) wish.models = models;
  if (text('rate') !== '') wish.rate_per_s = Number(text('rate'));
  if (text('undecided') !== '') wish.max_undecided_jobs = Number(text('undecided'));
  // The whole day counts, where the administrator is.
  if (text('expires') !== '') wish.expires_at = new Date(`${text('expires')}T23:59:59`).toISOString();
  return wish;
}

interface FieldProps extends InputHTMLAttributes<HTMLInputElement> {
  /** It has the focus when the dialog opens. */
  readonly 'data-first'?: boolean;
  readonly label: string;
  readonly hint: string;
}

function Field({ label, hint, ...rest }: FieldProps): ReactElement {
  const id = useId();
  return (
    <div className="min-w-0">
      <label htmlFor={id} className="block text-xs font-semibold">
        {label}
      </label>
      <input
        id={id}
        aria-describedby={`${id}-hint`}
        autoComplete="off"
        className="mt-1 block h-10 w-full min-w-0 rounded-md border border-edge bg-paper px-3 text-sm pointer-coarse:h-11"
        {...rest}
      />
      <p id={`${id}-hint`} className="mt-1 text-xs text-soft">
        {hint}
      </p>
    </div>
  );
}
