/** The ways to bring photos: the camera, a file, a drop, a paste. What was brought lies in a tray until it is sent. */
import { useQuery } from '@tanstack/react-query';
import { useRef, useState, type ChangeEvent, type ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { PosternError } from '../../../src/errors.ts';
import { statusQuery } from '../api/identifications.ts';
import { useGuide } from '../app/guide-context.tsx';
import { useJobs } from '../jobs/jobs-provider.tsx';
import { buttonClass } from '../ui/button.tsx';
import { Icon } from '../ui/icons.tsx';
import { Tray } from './tray.tsx';
import { useIncoming } from './use-incoming.ts';
import { usePhotos } from './use-photos.ts';

/** Until the gateway has said what it takes; it refuses what is more. */
const LIMITS = {
  max_photos: 5,
  max_bytes: 20 * 1024 * 1024,
  types: ['image/jpeg', 'image/png', 'image/webp', 'image/gif', 'image/tiff', 'image/avif'],
};

/** A phone has a camera that an input can open; a desk opens the same file dialog twice. */
const hasCamera = (): boolean => matchMedia('(pointer: coarse)').matches;

export function Capture({ onSent }: { readonly onSent: (key: string) => void }): ReactElement {
  const { t } = useTranslation();
  const { guide } = useGuide();
  const jobs = useJobs();
  const status = useQuery(statusQuery(guide.id));
  const limits = status.data?.upload ?? LIMITS;
  const photos = usePhotos(limits);
  const over = useIncoming((files) => void photos.add(files));
  const more = useRef<HTMLInputElement>(null);
  const [refusal, setRefusal] = useState<string | null>(null);

  const onChange = (event: ChangeEvent<HTMLInputElement>): void => {
    const files = [...(event.target.files ?? [])];
    // The same file may be chosen again after it was removed.
    event.target.value = '';
    if (files.length > 0) void photos.add(files);
  };
  const onSend = async (): Promise<void> => {
    try {
      const key = await jobs.add(guide.id, photos.blobs);
      photos.clear();
      setRefusal(null);
      onSent(key);
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      setRefusal(t('identify.tooManyJobs'));
    }
  };

  const choose = (
    <input
      ref={more}
      id="choose"
      type="file"
      accept="image/*"
      multiple
      className="sr-only"
      onChange={onChange}
      aria-label={t('identify.choose')}
    />
  );

  return (
    <section
      aria-label={t('nav.identify')}
      className={`rounded-lg border-2 bg-surface p-4 transition-colors sm:p-6 ${over ? 'border-leaf bg-leaf-wash' : 'border-line'}`}
    >
      {photos.blobs.length === 0 ? (
        <>
          <div className="flex flex-col gap-3 sm:flex-row">
            {hasCamera() && (
              <label
                className={`${buttonClass('call', 'grow min-h-14 text-base cursor-pointer')} relative focus-within:outline-3 focus-within:outline-offset-2 focus-within:outline-leaf`}
              >
                <Icon name="camera" size={24} />
                {t('identify.camera')}
                <input
                  id="camera"
                  type="file"
                  accept="image/*"
                  capture="environment"
                  className="sr-only"
                  onChange={onChange}
                />
              </label>
            )}
            <label
              className={`${buttonClass(hasCamera() ? 'plain' : 'call', 'grow min-h-14 text-base cursor-pointer')} relative focus-within:outline-3 focus-within:outline-offset-2 focus-within:outline-leaf`}
            >
              <Icon name="photo" size={24} />
              {t('identify.choose')}
              {choose}
            </label>
          </div>
          <p className="mt-3 text-sm text-soft">
            {hasCamera()
              ? t('identify.several', { count: limits.max_photos })
              : t('identify.drop', { count: limits.max_photos })}
          </p>
        </>
      ) : (
        <>
          {choose}
          <Tray
            photos={photos}
            maxPhotos={limits.max_photos}
            onMore={() => more.current?.click()}
            onSend={() => void onSend()}
          />
        </>
      )}
      <div role="status">
        {photos.busy && <p className="mt-3 text-sm text-soft">{t('identify.preparing')}</p>}
        {photos.problems.length > 0 && (
          <ul className="mt-3 space-y-1 text-sm font-semibold text-danger" id="photo-problems">
            {photos.problems.map(({ name, problem }) => (
              <li key={name + problem} className="flex items-start gap-2">
                <Icon name="warning" size={18} className="mt-0.5 shrink-0" />
                <span className="min-w-0 break-words">{t(`identify.problem.${problem}`, { name })}</span>
              </li>
            ))}
          </ul>
        )}
        {refusal !== null && <p className="mt-3 text-sm font-semibold text-danger">{refusal}</p>}
      </div>
    </section>
  );
}
