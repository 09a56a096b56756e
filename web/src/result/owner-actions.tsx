/** What its owner can do with an identification: share it by a link, or delete it. */
import { useQueryClient } from '@tanstack/react-query';
import { useState, type ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { useNavigate } from 'react-router';
import { forget, identificationQuery, type Identification } from '../api/identifications.ts';
import { paths } from '../app/paths.ts';
import { Button } from '../ui/button.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { Problem } from '../ui/problem.tsx';
import { ShareDialog } from './share-dialog.tsx';

export function OwnerActions({ identification }: { readonly identification: Identification }): ReactElement {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [open, setOpen] = useState<'share' | 'delete' | null>(null);
  const [problem, setProblem] = useState<unknown>(null);
  const { id, guide, outcome } = identification;
  const close = (): void => setOpen(null);
  const onDelete = async (): Promise<void> => {
    try {
      await forget(id);
    } catch (error) {
      setProblem(error);
      return;
    }
    void navigate(paths.mine(guide), { replace: true });
    queries.removeQueries({ queryKey: identificationQuery(id).queryKey });
    await queries.invalidateQueries({ queryKey: ['identifications'] });
  };
  return (
    <>
      {outcome !== null && outcome.type !== 'failed' && (
        <>
          <Button icon="share" onClick={() => setOpen('share')}>
            {t('share.button')}
          </Button>
          <ShareDialog identification={identification} open={open === 'share'} onClose={close} />
        </>
      )}
      <Button icon="trash" onClick={() => setOpen('delete')}>
        {t('delete.button')}
      </Button>
      <Dialog open={open === 'delete'} onClose={close} title={t('delete.title')}>
        <p className="mt-3 text-sm text-soft">{t('delete.text')}</p>
        <div className="mt-5 flex flex-wrap gap-3">
          <Button tone="grave" icon="trash" onClick={() => void onDelete()}>
            {t('delete.confirm')}
          </Button>
          <Button tone="quiet" onClick={close}>
            {t('delete.keep')}
          </Button>
        </div>
        {problem !== null && <Problem error={problem} />}
      </Dialog>
    </>
  );
}
