/** Asks for the API key that this gateway wants before it takes photos. */
import { useId, useState, type FormEvent, type ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { apiKey, setApiKey } from '../api/key.ts';
import { Button } from '../ui/button.tsx';

export function KeyForm({ onKey }: { readonly onKey: () => void }): ReactElement {
  const { t } = useTranslation();
  const [key, setKey] = useState('');
  // This form is made anew when the gateway refuses: what was given before was not taken.
  const [wasRefused] = useState(() => apiKey() !== null);
  const id = useId();
  const onSubmit = (event: FormEvent): void => {
    event.preventDefault();
    if (key.trim() === '') return;
    setApiKey(key.trim());
    onKey();
  };
  return (
    <form onSubmit={onSubmit} className="mt-2">
      {wasRefused && (
        <p role="alert" className="mb-2 text-sm font-semibold text-danger">
          {t('key.refused')}
        </p>
      )}
      <label htmlFor={id} className="block text-sm">
        {t('key.ask')}
      </label>
      <div className="mt-2 flex flex-wrap gap-2">
        <input
          id={id}
          type="password"
          autoComplete="off"
          value={key}
          onChange={(event) => setKey(event.target.value)}
          className="h-11 min-w-40 grow rounded-md border border-edge bg-paper px-3 text-sm"
        />
        <Button tone="solid" type="submit">
          {t('key.use')}
        </Button>
      </div>
    </form>
  );
}
