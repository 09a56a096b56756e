/** A link for others, with the photos only if their owner says so; and the end of that link. */
import { useQueryClient } from '@tanstack/react-query';
import { useRef, useState, type ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { endShare, identificationQuery, share, type Identification } from '../api/identifications.ts';
import { Button } from '../ui/button.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { Problem } from '../ui/problem.tsx';

export interface ShareDialogProps {
  readonly identification: Identification;
  readonly open: boolean;
  readonly onClose: () => void;
}

export function ShareDialog({ identification, open, onClose }: ShareDialogProps): ReactElement {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const field = useRef<HTMLInputElement>(null);
  const [copied, setCopied] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  const { id, share: shared } = identification;
  const [photos, setPhotos] = useState(shared?.photos ?? false);
  const keep = (link: Identification['share']): void => {
    setProblem(null);
    setCopied(false);
    queries.setQueryData(identificationQuery(id).queryKey, { ...identification, share: link });
  };
  const onShare = (withPhotos: boolean): void => {
    setPhotos(withPhotos);
    share(id, withPhotos).then(keep, setProblem);
  };
  const onEnd = (): void => {
    endShare(id).then(() => keep(null), setProblem);
  };
  const url = shared === null ? '' : new URL(shared.url, location.href).href;
  const onCopy = async (): Promise<void> => {
    field.current?.select();
    try {
      await navigator.clipboard.writeText(url);
      setCopied(true);
    } catch {
      // Refused, or not over HTTPS: the link is selected, and a key copies it.
    }
  };
  return (
    <Dialog open={open} onClose={onClose} title={t('share.title')}>
      <p className="mt-3 text-sm text-soft">{t('share.text')}</p>
      <label className="mt-4 flex min-h-11 items-center gap-3 text-sm font-semibold">
        <input
          type="checkbox"
          checked={photos}
          onChange={(event) => (shared === null ? setPhotos(event.target.checked) : onShare(event.target.checked))}
          className="size-5"
        />
        {t('share.photos')}
      </label>
      {shared === null ? (
        <Button tone="solid" icon="link" className="mt-3" onClick={() => onShare(photos)}>
          {t('share.make')}
        </Button>
      ) : (
        <>
          <input
            ref={field}
            readOnly
            value={url}
            aria-label={t('share.link')}
            onFocus={(event) => event.target.select()}
            className="mt-3 h-11 w-full rounded-md border border-edge bg-paper px-3 text-sm"
          />
          <div className="mt-3 flex flex-wrap gap-3">
            <Button tone="solid" icon="link" onClick={() => void onCopy()}>
              {t('share.copy')}
            </Button>
            <Button tone="quiet" onClick={onEnd}>
              {t('share.end')}
            </Button>
          </div>
        </>
      )}
      <p role="status" className="mt-2 min-h-6 text-sm text-soft">
        {copied ? t('share.copied') : ''}
      </p>
      {problem !== null && <Problem error={problem} />}
    </Dialog>
  );
}
