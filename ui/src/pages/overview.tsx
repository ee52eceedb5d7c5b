// The whole stack at a glance: how much, how healthy, what changed last and by whom, how to begin.

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { root } from '../api/client';
import { advice, backups, changes, createRecord, getRecord, health, metrics, registerType } from '../api/stack';
import type { Change, Sample, StackRecord } from '../api/types';
import { bytes, count, duration, plural, shortDid } from '../lib/format';
import { schemaHash } from '../lib/hash';
import { titleOf } from '../lib/record';
import { Code, copy, Button, Empty, Loading, Problem, Time } from '../parts/basics';
import { Icon } from '../parts/icons';
import { Spark } from '../parts/spark';
import { useLoaded } from '../parts/use';
import { asOf, go, href } from '../router';
import { collections, refreshCatalog, stats, typeById } from '../state/catalog';
import { onFeed } from '../state/feed';
import { complain, say } from '../state/notices';
import { session } from '../state/session';

const LATEST_COMMITS = 12;
/** Transactions looked back: some are nothing a person wrote. */
const LOOK_BACK = 60;
const REFRESH_MS = 10_000;

interface Commit {
  tx: number;
  at: string;
  actor: string | null;
  changes: Change[];
  /** The record of a commit that has one. */
  record: StackRecord | null;
}

/** The newest commits, with the name of what each is about. */
async function latestCommits(): Promise<Commit[]> {
  const { tx } = await changes(Number.MAX_SAFE_INTEGER, 1);
  const page = await changes(Math.max(0, tx - LOOK_BACK), 1_000);
  const commits = new Map<number, Commit>();
  for (const change of page.changes) {
    const commit = commits.get(change.tx) ?? { tx: change.tx, at: change.at, actor: change.actor, changes: [], record: null };
    commit.changes.push(change);
    commits.set(change.tx, commit);
  }
  const newest = [...commits.values()].sort((a, b) => b.tx - a.tx).slice(0, LATEST_COMMITS);
  await Promise.all(newest.map(async (commit) => {
    const [first] = commit.changes;
    if (first && new Set(commit.changes.map((one) => one.id)).size === 1) commit.record = await getRecord(first.id).catch(() => null);
  }));
  return newest;
}

const DONE: Record<string, string> = {
  create: 'created', update: 'changed', delete: 'deleted', undelete: 'brought back', restore: 'restored', migrate: 'moved to another type',
  associate: 'linked', dissociate: 'unlinked', permissions: 'shared', permit: 'shared', purge: 'removed for good',
};

export function OverviewPage() {
  const past = asOf.value;
  const owner = session.value?.owner ?? false;
  const state = useLoaded(health, []);
  const latest = useLoaded(latestCommits, []);
  const figures = useLoaded(() => (owner ? metrics() : Promise.resolve(null)), [owner]);
  const warnings = useLoaded(() => (owner ? advice() : Promise.resolve([])), [owner]);
  const saved = useLoaded(() => (owner ? backups().catch(() => null) : Promise.resolve(null)), [owner]);
  useEffect(() => {
    const again = () => {
      if (document.hidden) return;
      void state.again();
      void figures.again();
      void refreshCatalog();
    };
    const timer = setInterval(again, REFRESH_MS);
    let soon: ReturnType<typeof setTimeout> | undefined;
    const end = onFeed(() => {
      soon ??= setTimeout(() => {
        soon = undefined;
        again();
        void latest.again();
      }, 500);
    });
    return () => {
      clearInterval(timer);
      clearTimeout(soon);
      end();
    };
  }, [owner]);
  const numbers = stats.value;
  const own = collections.value.filter((one) => !one.system);
  const now = state.data.value;
  const samples: Sample[] = figures.data.value?.samples ?? [];
  const every = figures.data.value?.everySeconds ?? 10;
  // The last one is not over yet.
  const last = samples.at(-2) ?? samples.at(-1);
  const verified = saved.data.value?.filter((one) => one['sound'] !== false).map((one) => one['verifiedAt']).filter((at): at is string => typeof at === 'string').sort().at(-1);
  return (
    <div class="page">
      <header class="page-head">
        <div>
          <h1>Overview</h1>
          <p class="hint">
            {root.host}
            {now && <> · Cairn {now.version} · up {duration(now.uptime)} · <span class={`state ${now.status}`}>{now.status === 'ok' ? 'healthy' : 'the file does not answer'}</span></>}
            {past && ' · figures are those of now'}
          </p>
        </div>
      </header>
      <Problem of={state.fault.value} />
      {session.value?.welcome && <Welcome />}
      {warnings.data.value && warnings.data.value.length > 0 && (
        <ul class="warnings" aria-label="What deserves a look">
          {warnings.data.value.map((one) => <li key={one}><Icon name="warn" /><span>{one}</span></li>)}
        </ul>
      )}
      {numbers && (
        <dl class="tiles">
          <Tile name="Records" value={count(numbers.records)} note={`${count(numbers.deletedRecords)} deleted`} />
          <Tile name="Earlier versions" value={count(numbers.versions)} note={`transaction ${numbers.lastTx}`} />
          <Tile name="Files" value={count(numbers.files)} note={bytes(numbers.fileBytes)} />
          <Tile name="Database" value={bytes(numbers.databaseBytes)} note={`${bytes(numbers.freeBytes)} free inside`} />
          {numbers.memoryBytes !== undefined && <Tile name="Memory" value={bytes(numbers.memoryBytes)} note={plural(numbers.tokens, 'token')} />}
          {saved.data.value && <Tile name="Last verified backup" value={verified ? <Time at={verified} /> : 'none'} note={plural(saved.data.value.length, 'backup')} />}
        </dl>
      )}
      {samples.length > 0 && last && (
        <dl class="tiles charts" aria-label="The last hour">
          <Figure name="Requests" now={`${(last.requests / every).toFixed(1)}/s`} note={`${count(sum(samples, 'failed'))} failed in the last hour`} values={samples.map((one) => one.requests)} />
          <Figure name="Latency" now={`${last.averageMs.toFixed(1)} ms`} note={`slowest ${Math.max(...samples.map((one) => one.slowestMs)).toFixed(0)} ms`} values={samples.map((one) => one.averageMs)} />
          <Figure name="Writes" now={count(last.writes)} note={`${count(sum(samples, 'writes'))} in the last hour`} values={samples.map((one) => one.writes)} />
          <Figure name="Live queries" now={count(last.subscriptions)} note="subscribed now" values={samples.map((one) => one.subscriptions)} />
          <Figure name="Write-ahead log" now={bytes(last.walBytes)} note="not yet in the file" values={samples.map((one) => one.walBytes)} />
        </dl>
      )}
      <div class="halves">
        <section class="card" aria-labelledby="latest">
          <h2 id="latest">Latest commits</h2>
          <Problem of={latest.fault.value} />
          {!latest.data.value && !latest.fault.value && <Loading />}
          {latest.data.value?.length === 0 && <p class="hint">Nothing was written yet.</p>}
          <ul class="lines">
            {latest.data.value?.map((commit) => <CommitLine key={commit.tx} commit={commit} />)}
          </ul>
        </section>
        <section class="card" aria-labelledby="collections">
          <h2 id="collections">Collections</h2>
          {own.length === 0 && (
            <Empty icon="types" title="No collection yet">
              <p>A type says what the records of a collection look like. Write one, let it be inferred from JSON, or begin with a sample.</p>
              {owner && !past && <div class="row"><a class="button primary" href={href(['types', 'new'])}>New type</a><SampleButton /></div>}
            </Empty>
          )}
          <ul class="lines">
            {own.map((one) => (
              <li key={one.base}>
                <a href={href(['data', one.base])}><strong>{one.name}</strong><small>{one.base}</small></a>
                {one.records !== null && <span>{count(one.records)}</span>}
              </li>
            ))}
          </ul>
          <h2>From a terminal</h2>
          <Code text={`curl ${new URL('records?limit=3', root).href} \\\n  -H "Authorization: Bearer $CAIRN_TOKEN"`} />
          <p class="hint">The owner of this stack is <code class="wrap">{session.value?.stack.entityId}</code></p>
        </section>
      </div>
    </div>
  );
}

const sum = (samples: Sample[], name: 'failed' | 'writes') => samples.reduce((total, one) => total + one[name], 0);

function CommitLine({ commit }: { commit: Commit }) {
  const [first] = commit.changes;
  const owner = session.value?.stack.entityId;
  const who = commit.actor === null ? 'nobody' : commit.actor === owner ? 'the owner' : shortDid(commit.actor);
  const several = new Set(commit.changes.map((one) => one.id)).size;
  const did = [...new Set(commit.changes.map((one) => DONE[one.op] ?? one.op))].join(', ');
  const base = first?.typeId?.replace(/@\d+$/, '') ?? '';
  const name = typeById(first?.typeId ?? '')?.name ?? first?.typeId ?? 'record';
  return (
    <li>
      <a href={first?.typeId ? href(['data', base], several === 1 ? { record: first.id } : {}) : undefined}>
        <strong class={commit.record?.deletedAt ? 'gone' : ''}>{commit.record ? titleOf(commit.record) : several > 1 ? plural(several, 'record') : first?.id}</strong>
        <small>{name} {did} by {who} · <span class="mono">tx {commit.tx}</span></small>
      </a>
      <Time at={commit.at} />
    </li>
  );
}

function Tile({ name, value, note }: { name: string; value: preact.ComponentChildren; note: string }) {
  return <div class="tile"><dt>{name}</dt><dd>{value}</dd><dd class="note">{note}</dd></div>;
}

function Figure({ name, now, note, values }: { name: string; now: string; note: string; values: number[] }) {
  return <div class="tile"><dt>{name}</dt><dd>{now}</dd><dd><Spark values={values} label={`${name} over the last hour`} /></dd><dd class="note">{note}</dd></div>;
}

/** A type and a few records, made through the same addresses as everybody's. */
function SampleButton() {
  const busy = useSignal(false);
  const load = async () => {
    busy.value = true;
    try {
      const { SAMPLE } = await import('../lib/sample');
      for (const { records, ...type } of SAMPLE) {
        await registerType({ ...type, schemaHash: schemaHash(type.schema) });
        for (const content of records) await createRecord({ typeId: type.id, content });
      }
      await refreshCatalog();
      say('The sample is loaded.');
      go(['data', SAMPLE[0]?.id.replace(/@\d+$/, '') ?? '']);
    } catch (problem) {
      complain(problem);
    }
    busy.value = false;
  };
  return <Button disabled={busy.value} onClick={load}>{busy.value ? 'Loading…' : 'Load sample data'}</Button>;
}

function Welcome() {
  const token = session.value?.token ?? '';
  return (
    <section class="card welcome" aria-labelledby="welcome">
      <h2 id="welcome">This stack is yours</h2>
      <ol class="first">
        <li>
          <strong>Keep the token.</strong> The link is used up now. The token it gave is kept in this tab only: it lets you in again.
          <Code label="Copy the line" text={`export CAIRN_TOKEN=${token}`} />
        </li>
        <li>
          <strong>Ask from a terminal.</strong>
          <Code label="Copy the request" text={`curl ${new URL('records?limit=3', root).href} -H "Authorization: Bearer $CAIRN_TOKEN"`} />
        </li>
        <li>
          <strong>Begin.</strong> Define a type, look at a sample, or let people sign in.
          <div class="row">
            <a class="button" href={href(['types', 'new'])}>New type</a>
            {!typeById('com.example/book@1') && <SampleButton />}
            <a class="button" href={href(['access', 'users'], { new: '1' })}>Make an account</a>
          </div>
        </li>
      </ol>
      <div class="row">
        <Button kind="primary" icon="copy" onClick={() => copy(token)}>Copy the token</Button>
        <Button onClick={() => session.value && (session.value = { ...session.value, welcome: false })}>Done</Button>
      </div>
    </section>
  );
}
