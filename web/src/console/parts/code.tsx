/** A line for a terminal or another place, with a button that copies it. */
import { useEffect, useState, type ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { Icon } from '../../ui/icons.tsx';

const SHOWN_MS = 2_000;

export function CopyButton({ text, label }: { readonly text: string; readonly label?: string }): ReactElement {
  const { t } = useTranslation('console');
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return undefined;
    const timer = setTimeout(() => setCopied(false), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [copied]);
  // Over plain http to another name than localhost there is no clipboard; the text can still be selected.
  const write = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
    } catch {
      setCopied(false);
    }
  };
  return (
    <button
      type="button"
      onClick={() => void write()}
      aria-label={label}
      className="inline-flex min-h-8 shrink-0 items-center gap-1.5 rounded-sm px-2 text-xs font-semibold text-leaf hover:bg-leaf-wash pointer-coarse:min-h-11"
    >
      {copied && <Icon name="check" size={14} />}
      <span aria-live="polite">{copied ? t('jobs.copied') : t('jobs.copy')}</span>
    </button>
  );
}

export function Code({ text }: { readonly text: string }): ReactElement {
  return (
    <div className="mt-2 flex items-center gap-2 rounded-md border border-line bg-sunk py-1 pr-1 pl-3">
      <code className="min-w-0 grow font-mono text-xs [overflow-wrap:anywhere]">{text}</code>
      <CopyButton text={text} />
    </div>
  );
}
