/** Search on a phone: a button in the head, and the field with its results over the page. */
import { useRef, useState, type ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { IconButton } from '../ui/button.tsx';
import { SearchBox } from './search-box.tsx';

export function SearchDialog(): ReactElement {
  const { t } = useTranslation();
  const dialog = useRef<HTMLDialogElement>(null);
  const [open, setOpen] = useState(false);
  const close = (): void => dialog.current?.close();
  return (
    <>
      <IconButton
        icon="search"
        label={t('search.label')}
        aria-haspopup="dialog"
        onClick={() => {
          setOpen(true);
          dialog.current?.showModal();
        }}
      />
      <dialog
        ref={dialog}
        aria-label={t('search.label')}
        onClose={() => setOpen(false)}
        onClick={(event) => {
          if (event.target === dialog.current) close();
        }}
        className="fixed inset-0 m-0 h-dvh max-h-none w-full max-w-none bg-paper p-3 text-ink"
      >
        {open && (
          <div className="flex gap-1">
            <div className="grow">
              <SearchBox autoFocus onLeave={close} />
            </div>
            <IconButton icon="close" label={t('app.close')} onClick={close} />
          </div>
        )}
      </dialog>
    </>
  );
}
