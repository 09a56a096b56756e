/** Identifications and their outcomes as callers see them: with the guide's names of today. */
import { ERROR_CODES } from '../../errors.ts';
import type { Entry } from '../guide/format.ts';
import type { Guide } from '../guide/guide.ts';
import type { Cause, Danger, Outcome, PhotoResult } from '../identify/outcome.ts';
import type { JobProgress } from '../identify/progress.ts';
import { POLL_AFTER_MS } from '../identify/limits.ts';
import type { WorkerState } from '../identify/worker-state.ts';
import type { Identification, Photo } from '../records/records.ts';

/** What lists show of an entry. */
export const summaryOf = ({ id, names, scientific_name, family, danger }: Entry, { drawings }: Guide): object => ({
  id,
  names,
  scientific_name: scientific_name ?? null,
  family,
  danger: danger === null ? null : { level: danger.level, dangerous: danger.dangerous },
  drawing: drawings[id] ?? null,
});

export const moment = (epochMs: number | null): string | null =>
  epochMs === null ? null : new Date(epochMs).toISOString();

/** Scores come with six digits from the model; more would be noise of the arithmetic. */
const rounded = (score: number): number => Math.round(score * 1e6) / 1e6;

export function renderOutcome(outcome: Outcome, guide: Guide): object {
  if (outcome.type === 'failed') {
    const { code, message, retryable } = outcome;
    return { type: 'failed', code, title: ERROR_CODES[code].title, detail: message, retryable };
  }
  const label = outcome.type === 'not_a_plant' ? (guide.outcomes[0] ?? null) : null;
  return {
    type: outcome.type,
    // An entry that the guide has no more is not shown.
    candidates: outcome.candidates.flatMap(({ entry, score }) => {
      const found = guide.get(entry);
      return found === null ? [] : [{ entry: summaryOf(found, guide), score: rounded(score) }];
    }),
    danger: outcome.danger === null ? null : renderDanger(outcome.danger, guide),
    label,
    photos_used: outcome.photosUsed,
    photos_left_out: outcome.photosLeftOut,
    model: { name: guide.model, version: outcome.version },
  };
}

const renderDanger = ({ verdict, probability, level, causes }: Danger, guide: Guide): object => ({
  verdict,
  probability: rounded(probability),
  level,
  causes: causes.flatMap((cause) => renderCause(cause, guide) ?? []),
});

function renderCause({ group, entry, level, probability }: Cause, guide: Guide): object | null {
  const found = guide.get(entry);
  if (found === null) return null;
  const ofGroup = group === null ? undefined : guide.verdictGroups[group];
  const names = ofGroup ?? { en: found.names.en[0], ko: found.names.ko[0] };
  const parts = found.danger?.parts as { en?: string; ko?: string } | null | undefined;
  return {
    group,
    entry: found.id,
    names,
    level,
    probability: rounded(probability),
    parts: parts?.en === undefined || parts.ko === undefined ? null : { en: parts.en, ko: parts.ko },
  };
}

export interface RenderContext {
  readonly guide: Guide;
  /** Of each photo that is not decided, by its number. */
  readonly progress: ReadonlyMap<number, JobProgress>;
  /** null for what is decided. */
  readonly worker: WorkerState | null;
}

export function renderIdentification(one: Identification, { guide, progress, worker }: RenderContext): object {
  const photos = one.photos.map((photo) => ({
    n: photo.n,
    width: photo.width,
    height: photo.height,
    ...photoState(photo, one, progress),
    ...photoLinks(photo, `/api/identifications/${one.id}/photos/${photo.n}`),
  }));
  const isDecided = one.state === 'decided';
  const begun = photos.some(({ state }) => state !== 'waiting');
  return {
    id: one.id,
    guide: one.guide,
    status: isDecided ? 'decided' : begun ? 'processing' : 'waiting',
    created_at: moment(one.createdAt),
    decided_at: moment(one.decidedAt),
    expires_at: moment(one.expiresAt),
    photos_expire_at: moment(one.photosExpireAt),
    photos,
    progress: isDecided ? null : progressOf(one, progress),
    worker: worker === null ? null : { state: worker.state, last_seen_at: moment(worker.lastSeenAt) },
    outcome: one.outcome === null ? null : renderOutcome(one.outcome, guide),
    feedback: one.feedback === null ? null : { ...one.feedback, at: moment(one.feedback.at) },
    share: one.share === null ? null : shareOf(one.share),
    poll_after_ms: isDecided ? null : POLL_AFTER_MS,
  };
}

export const shareOf = ({ token, photos }: NonNullable<Identification['share']>): object => ({
  token,
  url: `/s/${token}`,
  photos,
});

export const photoLinks = ({ blob }: Photo, url: string): object => ({
  url: blob === null ? null : url,
  thumb: blob === null ? null : `${url}?size=thumb`,
});

function photoState(
  { n, result }: Photo,
  { outcome, photos }: Identification,
  progress: RenderContext['progress'],
): { readonly state: string; readonly note: string | null } {
  if (result === null) return { state: progress.get(n)?.running === true ? 'processing' : 'waiting', note: null };
  if (result.type === 'failed') return { state: 'failed', note: result.code };
  // A rejected photo is left out where another one was not: that is certain only at the end.
  const leftOut = result.rejected && outcome !== null && photos.some(({ result: other }) => isAccepted(other));
  return leftOut ? { state: 'left_out', note: 'rejected' } : { state: 'used', note: null };
}

const isAccepted = (result: PhotoResult | null): boolean => result?.type === 'scores' && !result.rejected;

function progressOf({ photos }: Identification, progress: RenderContext['progress']): object {
  const done = photos.filter(({ result }) => result !== null).length;
  const partly = photos.reduce(
    (sum, { n, result }) => sum + (result !== null ? 1 : (progress.get(n)?.fraction ?? 0)),
    0,
  );
  const positions = [...progress.values()].flatMap(({ queuePosition }) => queuePosition ?? []);
  return {
    done,
    of: photos.length,
    queue_position: positions.length === 0 ? null : Math.min(...positions),
    fraction: rounded(partly / photos.length),
  };
}
