/** Dialogs by the browser's own element: it keeps the focus inside, closes by Escape, and gives the focus back. */
import { useEffect, useId, useRef, useState, type ReactElement, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { IconButton } from '../../ui/button.tsx';
import { useProblemText } from '../../ui/problem.tsx';
import { SmallButton } from './controls.tsx';

interface ModalProps {
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ReactNode;
  /** At the right edge, over the whole height. */
  readonly drawer?: boolean;
  /** A click beside it closes it. Not where something would be lost. */
  readonly light?: boolean;
}

export function Modal({ title, onClose, children, drawer = false, light = true }: ModalProps): ReactElement {
  const { t } = useTranslation('console');
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const dialog = ref.current;
    dialog?.showModal();
    // Without a hint the browser takes the first control, which is the one that closes it.
    dialog?.querySelector<HTMLElement>('[data-first]')?.focus();
    return () => dialog?.close();
  }, []);
  return (
    <dialog
      ref={ref}
      aria-labelledby={id}
      onClose={onClose}
      onCancel={(event) => {
        if (!light) event.preventDefault();
      }}
      onClick={(event) => {
        if (light && event.target === ref.current) onClose();
      }}
      className={`console border border-line bg-surface text-ink shadow-high ${drawer ? 'console-drawer' : 'm-auto w-[min(32rem,calc(100vw-2rem))] rounded-lg'}`}
    >
      <div className={drawer ? 'min-h-full p-5' : 'p-5 sm:p-6'}>
        <div className="flex items-start gap-3">
          <h2 id={id} className="min-w-0 grow pt-1.5 text-lg [overflow-wrap:anywhere]">
            {title}
          </h2>
          {light && <IconButton icon="close" label={t('jobs.close')} onClick={onClose} className="-mt-1 -mr-2" />}
        </div>
        {children}
      </div>
    </dialog>
  );
}

interface ConfirmProps {
  readonly title: string;
  readonly text: string;
  readonly act: string;
  /** What is done when they say yes; what it rejects with is shown, and they may try again. */
  readonly onConfirm: () => Promise<unknown>;
  readonly onClose: () => void;
}

export function Confirm({ title, text, act, onConfirm, onClose }: ConfirmProps): ReactElement {
  const { t } = useTranslation('console');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const problem = useProblemText(error);
  async function confirm(): Promise<void> {
    setBusy(true);
    try {
      await onConfirm();
      onClose();
    } catch (thrown) {
      setError(thrown);
      setBusy(false);
    }
  }
  return (
    <Modal title={title} onClose={onClose}>
      <p className="mt-3 text-sm text-soft">{text}</p>
      {error !== null && (
        <p role="alert" className="mt-3 text-sm font-semibold text-deadly">
          {problem}
        </p>
      )}
      <div className="mt-6 flex flex-wrap justify-end gap-2">
        <SmallButton onClick={onClose}>{t('confirm.cancel')}</SmallButton>
        <SmallButton tone="grave" disabled={busy} onClick={() => void confirm()}>
          {act}
        </SmallButton>
      </div>
    </Modal>
  );
}
