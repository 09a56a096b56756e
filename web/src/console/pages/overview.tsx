/** How it goes: six figures, six charts, and who works for us. */
import { useState, type ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { useLanguage } from '../../i18n/use-language.ts';
import { ago, bytes, duration, number, short } from '../format.ts';
import { useLive } from '../live.tsx';
import { Chart, type Line } from '../parts/chart.tsx';
import { Segments } from '../parts/controls.tsx';
import { ConsolePage, Panel } from '../parts/panel.tsx';
import { StatePill } from '../parts/pill.tsx';
import { Stat } from '../parts/stat.tsx';
import type { Column } from '../shapes.ts';

const WINDOWS = [5, 15, 60] as const;

export function Overview(): ReactElement {
  const { t } = useTranslation('console');
  const { snapshot } = useLive();
  const [minutes, setMinutes] = useState<string>('5');
  const windowS = Number(minutes) * 60;
  return (
    <ConsolePage
      title={t('nav.overview')}
      actions={
        <Segments
          label={t('chart.window')}
          value={minutes}
          onChange={setMinutes}
          choices={WINDOWS.map((count) => ({
            value: String(count),
            label: count === 60 ? t('chart.hour') : t('chart.minutes', { count }),
          }))}
        />
      }
    >
      <Stats />
      <Charts windowS={windowS} />
      {snapshot !== null && <Side />}
      <p className="mt-4 text-xs text-soft">{t('chart.thisGateway')}</p>
    </ConsolePage>
  );
}

function Stats(): ReactElement {
  const { t } = useTranslation('console');
  const lang = useLanguage();
  const { snapshot, series } = useLive();
  const latest = snapshot?.latest ?? null;
  const per = (value: number | null | undefined): string =>
    value === null || value === undefined ? '–' : short(lang, value);
  const waiting = snapshot?.models.reduce((sum, model) => sum + model.waiting_jobs, 0);
  const running = snapshot?.models.reduce((sum, model) => sum + model.processing_jobs, 0);
  const here = snapshot?.workers.filter(({ state }) => state === 'connected').length;
  const count = (value: number | undefined): string => (value === undefined ? '–' : number(lang, value));
  const p95 = latest?.p95_ms ?? null;
  return (
    <dl className="grid grid-cols-2 gap-2 sm:grid-cols-3 sm:gap-3 xl:grid-cols-6">
      <Stat
        label={t('stat.throughput')}
        value={per(latest?.succeeded_per_s)}
        unit={t('stat.perS')}
        trend={series.columns.succeeded_per_s}
      />
      <Stat label={t('stat.latency')} value={p95 === null ? '–' : duration(lang, p95)} trend={series.columns.p95_ms} />
      <Stat label={t('stat.waiting')} value={count(waiting)} trend={series.columns.waiting_jobs} />
      <Stat label={t('stat.running')} value={count(running)} trend={series.columns.processing_jobs} />
      <Stat
        label={t('stat.workers')}
        value={count(here)}
        unit={snapshot === null ? '' : t('stat.ofWorkers', { count: snapshot.workers.length })}
        bad={snapshot !== null && here !== undefined && here < snapshot.workers.length}
        trend={series.columns.connected_workers}
      />
      <Stat
        label={t('stat.errors')}
        value={per(latest?.server_errors_per_s)}
        unit={t('stat.perS')}
        bad={(latest?.server_errors_per_s ?? 0) > 0}
        trend={series.columns.server_errors_per_s}
      />
    </dl>
  );
}

type Spec = readonly [column: Column, label: string, colour: string, dash?: readonly number[]];

function Charts({ windowS }: { readonly windowS: number }): ReactElement {
  const { t } = useTranslation('console');
  const lang = useLanguage();
  const { at, columns } = useLive().series;
  const lines = (...specs: readonly Spec[]): Line[] =>
    specs.map(([column, label, colour, dash]) => ({
      key: column,
      label,
      values: columns[column],
      colour: `var(--data-${colour})`,
      ...(dash === undefined ? {} : { dash }),
    }));
  const rate = (value: number): string => short(lang, value);
  const ms = (value: number): string => duration(lang, value);
  const memory = columns.memory_mib.at(-1) ?? null;
  const common = { at, windowS };
  return (
    <div className="mt-3 grid gap-3 lg:grid-cols-2 2xl:grid-cols-3">
      <Chart
        {...common}
        least={1}
        title={t('chart.throughput')}
        about={t('chart.throughputAbout')}
        format={rate}
        lines={lines(
          ['succeeded_per_s', t('chart.succeeded'), 'good'],
          ['failed_per_s', t('chart.failed'), 'bad', [6, 3]],
          ['canceled_per_s', t('chart.canceled'), 'quiet', [2, 3]],
        )}
      />
      <Chart
        {...common}
        least={1}
        title={t('chart.latency')}
        about={t('chart.latencyAbout')}
        format={ms}
        lines={lines(
          ['p50_ms', 'p50', 'compute'],
          ['p95_ms', 'p95', 'queue', [6, 3]],
          ['p99_ms', 'p99', 'bad', [2, 3]],
        )}
      />
      <Chart
        {...common}
        stacked
        least={1}
        title={t('chart.parts')}
        about={t('chart.partsAbout')}
        format={ms}
        lines={lines(
          ['compute_ms', t('part.compute'), 'compute'],
          ['decode_ms', t('part.decode'), 'decode'],
          ['batch_wait_ms', t('part.batch'), 'batch'],
          ['link_ms', t('part.link'), 'link'],
          ['queue_ms', t('part.queue'), 'queue'],
        )}
      />
      <Chart
        {...common}
        least={4}
        title={t('chart.queue')}
        about={t('chart.queueAbout')}
        format={(value) => number(lang, value, 1)}
        lines={lines(
          ['waiting_jobs', t('chart.waiting'), 'queue'],
          ['processing_jobs', t('chart.running'), 'link', [6, 3]],
        )}
      />
      <Chart
        {...common}
        least={1}
        title={t('chart.http')}
        about={t('chart.httpAbout')}
        format={rate}
        lines={lines(
          ['requests_per_s', t('chart.requests'), 'link'],
          ['client_errors_per_s', t('chart.clientErrors'), 'warn', [6, 3]],
          ['server_errors_per_s', t('chart.serverErrors'), 'bad', [2, 3]],
        )}
      />
      <Chart
        {...common}
        least={10}
        title={t('chart.process')}
        about={memory === null ? '' : t('chart.processAbout', { memory: bytes(lang, memory * 2 ** 20) })}
        format={(value) => `${short(lang, value)} %`}
        lines={lines(['cpu_percent', t('chart.cpu'), 'decode'])}
      />
    </div>
  );
}

/** Workers and models in a few lines: the pages have the rest. */
function Side(): ReactElement {
  const { t } = useTranslation('console');
  const lang = useLanguage();
  const { snapshot, now } = useLive();
  const { workers, models } = snapshot ?? { workers: [], models: [] };
  return (
    <div className="mt-3 grid gap-3 lg:grid-cols-2">
      <Panel className="min-w-0 p-3 sm:p-4">
        <h2 className="text-sm">
          <Link to="/console/workers" className="text-ink no-underline hover:underline">
            {t('nav.workers')}
          </Link>
        </h2>
        <ul className="mt-1 divide-y divide-line">
          {workers.slice(0, 8).map(({ name, state, last_seen_at: seen, round_trip_ms: trip }) => (
            <li key={name} className="flex min-h-10 items-center gap-3 text-xs">
              <span className="min-w-0 grow truncate font-semibold">{name}</span>
              <span className="text-soft">
                {state === 'connected' ? (trip === null ? '' : duration(lang, trip)) : ago(lang, Date.parse(seen), now)}
              </span>
              <StatePill state={state} />
            </li>
          ))}
          {workers.length === 0 && <li className="py-3 text-xs text-soft">{t('workers.noneYet')}</li>}
        </ul>
      </Panel>
      <Panel className="min-w-0 p-3 sm:p-4">
        <h2 className="text-sm">
          <Link to="/console/models" className="text-ink no-underline hover:underline">
            {t('nav.models')}
          </Link>
        </h2>
        <ul className="mt-1 divide-y divide-line">
          {models.slice(0, 8).map((model) => (
            <li key={model.name} className="flex min-h-10 items-center gap-3 text-xs">
              <span className="min-w-0 grow truncate font-semibold">{model.name}</span>
              <span className="text-soft">
                {short(lang, model.succeeded_per_s)}
                {t('stat.perS')}
              </span>
              <StatePill state={model.state} />
            </li>
          ))}
          {models.length === 0 && <li className="py-3 text-xs text-soft">{t('models.none')}</li>}
        </ul>
      </Panel>
    </div>
  );
}
