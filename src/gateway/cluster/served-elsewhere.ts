/**
 * The models as callers see them: with what the workers of other gateways serve. A worker that dialled several gateways is counted by each of
 * them, so that numbers of workers are not added up: the largest one is shown.
 */
import { compareVersions } from '../../protocol/version-order.ts';
import type { ModelView, Predictions, ServedVersion } from '../ports.ts';
import type { Member, ServedModel } from './member.ts';
import type { MemberList } from './members.ts';

export function withOthers<T extends Predictions>(predictions: T, members: Pick<MemberList, 'others'>): T {
  return {
    ...predictions,
    async models() {
      const own = await predictions.models();
      const { others } = members;
      return others.length === 0 ? own : own.map((view) => joined(view, others));
    },
  };
}

function joined(view: ModelView, others: readonly Member[]): ModelView {
  const served = others.flatMap(({ models }) =>
    models.filter(({ model, sessions }) => model === view.name && sessions > 0),
  );
  if (served.length === 0) return view;
  const versions = new Map(view.versions.map((one) => [one.version, one]));
  for (const one of served) versions.set(one.version, joinedVersion(versions.get(one.version), one));
  const sorted = [...versions.values()].sort((a, b) => (a.version < b.version ? -1 : 1));
  return { ...view, state: 'ready', versions: sorted.some(({ weight }) => weight > 0) ? sorted : newestServes(sorted) };
}

function joinedVersion(own: ServedVersion | undefined, { version, sessions }: ServedModel): ServedVersion {
  return {
    version,
    state: 'ready',
    workers: Math.max(own?.workers ?? 0, sessions),
    weight: own?.weight ?? 0,
    servingWorkers: Math.max(own?.servingWorkers ?? 0, sessions),
  };
}

/** As a gateway with these workers would say where nothing was decided. */
function newestServes(versions: readonly ServedVersion[]): ServedVersion[] {
  const newest = versions
    .map(({ version }) => version)
    .sort(compareVersions)
    .at(-1);
  return versions.map((one) => ({ ...one, weight: one.version === newest ? 100 : 0 }));
}
