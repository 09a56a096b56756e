/** The way in: a key, once. */
import { useEffect, useRef, useState, type FormEvent, type ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { PosternError } from '../../../src/errors.ts';
import { SettingsMenu } from '../app/settings-menu.tsx';
import { setPageTitle } from '../app/title.ts';
import { Button } from '../ui/button.tsx';
import { Mark } from '../ui/mark.tsx';
import { useProblemText } from '../ui/problem.tsx';
import { Code } from './parts/code.tsx';

interface LoginProps {
  readonly signIn: (key: string) => Promise<void>;
  /** They were signed in, and are no more. */
  readonly wasIn: boolean;
}

export function Login({ signIn, wasIn }: LoginProps): ReactElement {
  const { t } = useTranslation('console');
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  const text = useLoginProblem(error);

  useEffect(() => setPageTitle(`${t('login.title')} · Postern`), [t]);
  useEffect(() => field.current?.focus(), []);

  async function submit(event: FormEvent): Promise<void> {
    event.preventDefault();
    const key = field.current?.value.trim() ?? '';
    if (key === '') return;
    setBusy(true);
    setError(null);
    try {
      await signIn(key);
    } catch (thrown) {
      setError(thrown);
      field.current?.select();
    } finally {
      setBusy(false);
    }
  }

  return (
    <div className="flex min-h-dvh flex-col bg-paper">
      <div className="flex justify-end p-3">
        <SettingsMenu />
      </div>
      <main className="mx-auto w-full max-w-md grow px-4 pt-[8vh] pb-16">
        <div className="rounded-lg border border-line bg-surface p-6 shadow-low sm:p-8">
          <div className="flex items-center gap-3">
            <Mark size={38} />
            <h1 className="text-xl">Postern {t('login.title')}</h1>
          </div>
          <p className="mt-4 text-sm text-soft">{wasIn && error === null ? t('login.over') : t('login.lead')}</p>
          <form className="mt-5" onSubmit={(event) => void submit(event)}>
            <label className="block text-sm font-semibold" htmlFor="console-key">
              {t('login.key')}
            </label>
            <input
              ref={field}
              id="console-key"
              type="password"
              autoComplete="off"
              spellCheck={false}
              required
              placeholder="postern_…"
              aria-invalid={error !== null}
              aria-describedby="console-key-problem"
              className="mt-1.5 block h-11 w-full rounded-md border border-edge bg-paper px-3 font-mono text-sm"
            />
            <p id="console-key-problem" role="alert" className="mt-2 min-h-5 text-xs font-semibold text-deadly">
              {text}
            </p>
            <Button type="submit" tone="solid" disabled={busy} className="mt-2 w-full">
              {t('login.submit')}
            </Button>
          </form>
          <p className="mt-6 border-t border-line pt-4 text-xs text-soft">{t('login.hint')}</p>
          <Code text="postern keys create console --scope admin" />
          <p className="mt-4 text-xs text-soft">{t('login.kept')}</p>
        </div>
      </main>
    </div>
  );
}

function useLoginProblem(error: unknown): string {
  const { t } = useTranslation('console');
  const other = useProblemText(error);
  if (error === null) return '';
  if (!(error instanceof PosternError)) return other;
  switch (error.code) {
    case 'unauthorized':
      return t('login.wrong');
    case 'forbidden':
      return t('login.notAdmin');
    case 'rate_limited':
      return t('login.tooMany', { seconds: Math.ceil(error.retryAfterS ?? 10) });
    default:
      return other;
  }
}
