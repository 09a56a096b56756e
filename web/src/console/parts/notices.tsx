/** What was done, said once at the lower edge and to screen readers; it goes by itself. */
import {
  createContext,
  use,
  useCallback,
  useEffect,
  useMemo,
  useState,
  type ReactElement,
  type ReactNode,
} from 'react';
import { useTranslation } from 'react-i18next';
import { IconButton } from '../../ui/button.tsx';

export interface Notice {
  readonly text: string;
  readonly bad?: boolean;
  /** Something to go on with. */
  readonly action?: { readonly label: string; readonly run: () => void };
}

const SHOWN_MS = 9_000;
const NoticeContext = createContext<(notice: Notice) => void>(() => undefined);

export const useNotice = (): ((notice: Notice) => void) => use(NoticeContext);

export function Notices({ children }: { readonly children: ReactNode }): ReactElement {
  const { t } = useTranslation('console');
  const [shown, setShown] = useState<Notice | null>(null);
  const show = useCallback((notice: Notice) => setShown(notice), []);
  const close = (): void => setShown(null);
  useEffect(() => {
    if (shown === null) return undefined;
    const timer = setTimeout(() => setShown(null), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [shown]);
  const content = useMemo(() => children, [children]);
  return (
    <NoticeContext value={show}>
      {content}
      <div role="status" className="pointer-events-none fixed inset-x-4 bottom-20 z-40 flex justify-center lg:bottom-6">
        {shown !== null && (
          <div
            className={`come pointer-events-auto flex max-w-lg items-center gap-3 rounded-md border bg-surface py-1.5 pr-1.5 pl-4 text-sm shadow-high ${shown.bad === true ? 'border-deadly text-deadly' : 'border-edge'}`}
          >
            <span className="min-w-0 [overflow-wrap:anywhere]">{shown.text}</span>
            {shown.action !== undefined && (
              <button
                type="button"
                className="min-h-9 shrink-0 rounded-sm px-2 text-xs font-semibold text-leaf underline hover:bg-leaf-wash"
                onClick={() => {
                  shown.action?.run();
                  close();
                }}
              >
                {shown.action.label}
              </button>
            )}
            <IconButton icon="close" label={t('jobs.close')} onClick={close} className="size-9" />
          </div>
        )}
      </div>
    </NoticeContext>
  );
}
