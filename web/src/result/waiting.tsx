/** An identification under way: how far it is, that nobody needs to wait here, and the offer to be told. */
import type { ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import type { Identification } from '../api/identifications.ts';
import { paths } from '../app/paths.ts';
import { askPermission, usePermission } from '../jobs/notify.ts';
import { Button, ButtonLink } from '../ui/button.tsx';
import { Progress } from '../ui/progress.tsx';
import { useStage } from './stage.ts';

export function Waiting({ identification }: { readonly identification: Identification }): ReactElement {
  const { t } = useTranslation();
  const stage = useStage(identification);
  const permission = usePermission();
  return (
    <div className="mt-5 rounded-lg border border-line bg-surface p-5">
      <p role="status" className="font-semibold" id="stage">
        {stage.text}
      </p>
      <Progress label={stage.text} fraction={stage.fraction} className="mt-3" />
      <p className="mt-4 text-sm text-soft">{t('result.readOn')}</p>
      <div className="mt-4 flex flex-wrap gap-3">
        <ButtonLink to={paths.entries(identification.guide)} icon="book">
          {t('result.readGuide')}
        </ButtonLink>
        {permission === 'default' && (
          <Button icon="bell" onClick={() => void askPermission()}>
            {t('result.tellMe')}
          </Button>
        )}
      </div>
      {permission === 'granted' && <p className="mt-3 text-sm text-soft">{t('result.willTell')}</p>}
    </div>
  );
}
