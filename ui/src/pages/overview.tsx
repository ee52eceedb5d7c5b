// The whole stack at a glance: how much, how healthy, what changed last, how to begin.

import { useEffect } from 'preact/hooks';
import { root } from '../api/client';
import { health, query } from '../api/stack';
import { bytes, count, duration, plural } from '../lib/format';
import { titleOf } from '../lib/record';
import { Code, copy, Button, Empty, Loading, Problem, Time } from '../parts/basics';
import { useLoaded } from '../parts/use';
import { asOf, href } from '../router';
import { collections, refreshCatalog, stats, typeById } from '../state/catalog';
import { session } from '../state/session';

const LATEST_ROWS = 12;
const REFRESH_MS = 10_000;

export function OverviewPage() {
  const state = useLoaded(health, []);
  const latest = useLoaded(
    () => query({ filter: { includeDeleted: true }, sort: { field: 'updatedAt', direction: 'desc' }, limit: LATEST_ROWS }, asOf.value),
    [asOf.value],
  );
  useEffect(() => {
    const timer = setInterval(() => {
      if (document.hidden) return;
      void state.again();
      void latest.again();
      void refreshCatalog();
    }, REFRESH_MS);
    return () => clearInterval(timer);
  }, [latest.again]);
  const numbers = stats.value;
  const own = collections.value.filter((one) => !one.system);
  const now = state.data.value;
  return (
    <div class="page">
      <header class="page-head">
        <div>
          <h1>Overview</h1>
          <p class="hint">
            {root.host}
            {now && <> · Cairn {now.version} · up {duration(now.uptime)} · <span class={`state ${now.status}`}>{now.status === 'ok' ? 'healthy' : 'the file does not answer'}</span></>}
          </p>
        </div>
      </header>
      <Problem of={state.fault.value} />
      {session.value?.welcome && <Welcome />}
      {numbers && (
        <dl class="tiles">
          <Tile name="Records" value={count(numbers.records)} note={`${count(numbers.deletedRecords)} deleted`} />
          <Tile name="Earlier versions" value={count(numbers.versions)} note={`transaction ${numbers.lastTx}`} />
          <Tile name="Files" value={count(numbers.files)} note={bytes(numbers.fileBytes)} />
          <Tile name="Database" value={bytes(numbers.databaseBytes)} note={`${bytes(numbers.freeBytes)} free inside`} />
          <Tile name="Write-ahead log" value={bytes(numbers.walBytes)} note="not yet in the file" />
          {numbers.memoryBytes !== undefined && <Tile name="Memory" value={bytes(numbers.memoryBytes)} note={plural(numbers.tokens, 'token')} />}
        </dl>
      )}
      <div class="halves">
        <section class="card" aria-labelledby="latest">
          <h2 id="latest">Latest changes</h2>
          <Problem of={latest.fault.value} />
          {!latest.data.value && !latest.fault.value && <Loading />}
          {latest.data.value?.records.length === 0 && <p class="hint">Nothing was written yet.</p>}
          <ul class="lines">
            {latest.data.value?.records.map((record) => (
              <li key={record.id}>
                <a href={href(['data', record.typeId.replace(/@\d+$/, '')], { record: record.id })}>
                  <strong class={record.deletedAt ? 'gone' : ''}>{titleOf(record)}</strong>
                  <small>{typeById(record.typeId)?.name ?? record.typeId} · {record.deletedAt ? 'deleted' : record.version === 1 ? 'created' : `version ${record.version}`}</small>
                </a>
                <Time at={record.updatedAt} />
              </li>
            ))}
          </ul>
        </section>
        <section class="card" aria-labelledby="collections">
          <h2 id="collections">Collections</h2>
          {own.length === 0 && (
            <Empty icon="types" title="No collection yet">
              <p>A type says what the records of a collection look like. Write one, or let it be inferred from JSON.</p>
              {session.value?.owner && <a class="button primary" href={href(['types', 'new'])}>New type</a>}
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

function Tile({ name, value, note }: { name: string; value: string; note: string }) {
  return <div class="tile"><dt>{name}</dt><dd>{value}</dd><dd class="note">{note}</dd></div>;
}

function Welcome() {
  const token = session.value?.token ?? '';
  return (
    <section class="card welcome" aria-labelledby="welcome">
      <h2 id="welcome">This stack is yours</h2>
      <p>The link is used up now. The token it gave is kept in this tab only: copy it to a safe place, it lets you in again.</p>
      <Code label="Copy the line" text={`export CAIRN_TOKEN=${token}`} />
      <div class="row">
        <Button kind="primary" icon="copy" onClick={() => copy(token)}>Copy the token</Button>
        <Button onClick={() => session.value && (session.value = { ...session.value, welcome: false })}>Done</Button>
      </div>
    </section>
  );
}
