/** Was it right? And if not, what was it: what people say here is the only way to learn how good the answers are. */
import { useQueryClient } from '@tanstack/react-query';
import { useState, type ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import {
  giveFeedback,
  identificationQuery,
  takeFeedbackBack,
  type Found,
  type Identification,
} from '../api/identifications.ts';
import { nameOf } from '../guide/names.ts';
import { useLanguage } from '../i18n/use-language.ts';
import { Button } from '../ui/button.tsx';
import { Problem } from '../ui/problem.tsx';

export interface FeedbackProps {
  readonly identification: Identification;
  readonly outcome: Found;
}

export function Feedback({ identification, outcome }: FeedbackProps): ReactElement {
  const { t } = useTranslation();
  const lang = useLanguage();
  const queries = useQueryClient();
  const [asking, setAsking] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  const { id, feedback } = identification;
  const keep = (given: Identification['feedback']): void => {
    setAsking(false);
    setProblem(null);
    queries.setQueryData(identificationQuery(id).queryKey, { ...identification, feedback: given });
  };
  const give = (verdict: 'right' | 'wrong', entry: string | null): void => {
    giveFeedback(id, verdict, entry).then(() => keep({ verdict, entry }), setProblem);
  };
  const takeBack = (): void => {
    takeFeedbackBack(id).then(() => keep(null), setProblem);
  };
  const others = outcome.candidates.slice(1);

  return (
    <section className="mt-8 rounded-md bg-sunk p-5" aria-labelledby="feedback-title">
      <h2 id="feedback-title" className="text-base">
        {feedback !== null ? t('feedback.thanks') : asking ? t('feedback.which') : t('feedback.ask')}
      </h2>
      <div className="mt-3 flex flex-wrap gap-2" role="group" aria-labelledby="feedback-title">
        {feedback !== null ? (
          <Button tone="plain" onClick={takeBack}>
            {t('feedback.takeBack')}
          </Button>
        ) : asking ? (
          <>
            {others.map(({ entry }) => (
              <Button key={entry.id} onClick={() => give('wrong', entry.id)}>
                {nameOf(entry.names, lang)}
              </Button>
            ))}
            <Button onClick={() => give('wrong', null)}>{t('feedback.other')}</Button>
          </>
        ) : (
          <>
            <Button icon="check" onClick={() => give('right', outcome.candidates[0]?.entry.id ?? null)}>
              {t('feedback.right')}
            </Button>
            <Button icon="close" onClick={() => setAsking(true)}>
              {t('feedback.wrong')}
            </Button>
          </>
        )}
      </div>
      {problem !== null && <Problem error={problem} />}
    </section>
  );
}
