/** It failed: why, and another try where that may help. */
import { useQueryClient } from '@tanstack/react-query';
import { useState, type ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { identificationQuery, retryIdentification, type Failed, type Identification } from '../api/identifications.ts';
import { Button } from '../ui/button.tsx';
import { useProblemText } from '../ui/problem.tsx';

export function FailedView({
  identification,
  outcome,
}: {
  readonly identification: Identification;
  readonly outcome: Failed;
}): ReactElement {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const [problem, setProblem] = useState<unknown>(null);
  const text = useProblemText(problem);
  const onRetry = async (): Promise<void> => {
    try {
      const begun = await retryIdentification(identification.id);
      if (begun) queries.setQueryData(identificationQuery(identification.id).queryKey, begun);
    } catch (error) {
      setProblem(error);
    }
  };
  return (
    <div className="mt-5 rounded-lg border border-line bg-surface p-5" role="alert">
      <p>{t('result.failedText')}</p>
      <p className="mt-2 text-sm break-words text-soft">{outcome.detail || outcome.title}</p>
      <p className="mt-1 text-xs text-soft">{t('problem.code', { code: outcome.code })}</p>
      {outcome.retryable && (
        <Button tone="solid" icon="retry" className="mt-4" onClick={() => void onRetry()}>
          {t('problem.retry')}
        </Button>
      )}
      {problem !== null && <p className="mt-3 text-sm font-semibold text-danger">{text}</p>}
    </div>
  );
}
