/** The chosen photos of one plant, before they are sent. */
import { useEffect, useRef, type ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { BlobImage } from '../ui/blob-image.tsx';
import { Button } from '../ui/button.tsx';
import { Icon } from '../ui/icons.tsx';
import type { Photos } from './use-photos.ts';

export interface TrayProps {
  readonly photos: Photos;
  readonly maxPhotos: number;
  readonly onMore: () => void;
  readonly onSend: () => void;
}

export function Tray({ photos, maxPhotos, onMore, onSend }: TrayProps): ReactElement {
  const { t } = useTranslation();
  const send = useRef<HTMLButtonElement>(null);
  // What was clicked is gone; the next step is this.
  useEffect(() => send.current?.focus({ preventScroll: true }), []);
  return (
    <div>
      <ul className="flex flex-wrap gap-3">
        {photos.blobs.map((blob, index) => (
          <li key={index} className="come relative">
            <BlobImage
              blob={blob}
              alt={t('identify.photo', { n: index + 1 })}
              className="block size-28 rounded-md border border-line bg-sunk object-cover sm:size-32"
            />
            <button
              type="button"
              onClick={() => photos.remove(index)}
              aria-label={t('identify.remove', { n: index + 1 })}
              className="absolute -top-2 -right-2 flex size-11 items-center justify-center"
            >
              <span className="flex size-8 items-center justify-center rounded-full border border-line bg-surface text-ink shadow-low">
                <Icon name="close" size={16} />
              </span>
            </button>
          </li>
        ))}
        {photos.blobs.length < maxPhotos && (
          <li>
            <button
              type="button"
              onClick={onMore}
              className="flex size-28 flex-col items-center justify-center gap-1 rounded-md border-2 border-dashed border-edge p-2 text-center text-xs font-semibold text-soft hover:bg-sunk sm:size-32"
            >
              <Icon name="plus" size={24} />
              {t('identify.more')}
            </button>
          </li>
        )}
      </ul>
      <div className="mt-5 flex flex-wrap gap-3">
        <Button
          ref={send}
          tone="call"
          icon="search"
          className="min-h-14 grow text-base sm:grow-0 sm:px-8"
          disabled={photos.busy}
          onClick={onSend}
        >
          {t('identify.send')}
        </Button>
        <Button tone="quiet" className="min-h-14" onClick={() => photos.clear()}>
          {t('identify.cancel')}
        </Button>
      </div>
    </div>
  );
}
