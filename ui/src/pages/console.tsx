// The query console: a query in the live language over any collection; its answer as table, JSON or chart; how the rows
// were found; and, live, what enters, leaves and changes.

import type { ComponentType } from 'preact';
import { useSignal } from '@preact/signals';
import { useCallback, useEffect, useRef } from 'preact/hooks';
import type { CompletionContext } from '@codemirror/autocomplete';
import { consoleQuery } from '../api/stack';
import type { ConsoleAnswer, Json, JsonObject } from '../api/types';
import { same } from '../lib/diff';
import { asOfText, count, plural } from '../lib/format';
import { wordsAt } from '../lib/query-words';
import { download, MEDIA, written } from '../lib/table-files';
import { Button, Code, Empty, Field, Loading, Problem, Tabs, Value } from '../parts/basics';
import type { Series } from '../parts/chart';
import { CodeEditor } from '../parts/code-editor';
import { Icon } from '../parts/icons';
import { asOf, goWith, href, place } from '../router';
import { collections, types } from '../state/catalog';
import { feedState, onFeed } from '../state/feed';
import { curl } from '../lib/record';

type View = 'table' | 'json' | 'chart' | 'plan';
const VIEWS: { id: View; label: string }[] = [
  { id: 'table', label: 'Table' }, { id: 'json', label: 'JSON' }, { id: 'chart', label: 'Chart' }, { id: 'plan', label: 'How it ran' },
];
const ROWS_SHOWN = 300;
const EVENTS_SHOWN = 40;
const AGAIN_MS = 250;
const CHART_VALUES_MAX = 60;

interface Event {
  how: 'enters' | 'leaves' | 'changes';
  id: string;
  collection: string;
  what: string;
  tx: number;
}

const pretty = (value: unknown) => JSON.stringify(value, null, 2);
const rowsOf = (value: Json | undefined): JsonObject[] => (Array.isArray(value) ? (value as JsonObject[]) : []);

export function ConsolePage() {
  const params = place.value.params;
  const own = collections.value.filter((one) => !one.system);
  const start = params.get('query') ?? (own[0] ? pretty({ [own[0].base]: { $limit: 50 } }) : '{\n  \n}');
  const text = useSignal(start);
  const answer = useSignal<ConsoleAnswer | null>(null);
  const fault = useSignal<unknown>(null);
  const busy = useSignal(false);
  const events = useSignal<Event[]>([]);
  const marks = useSignal<ReadonlyMap<string, Event['how']>>(new Map());
  const stop = useRef<AbortController>(undefined);
  const view = (VIEWS.find((one) => one.id === params.get('view'))?.id ?? 'table') as View;
  const live = params.get('live') !== null && asOf.value === undefined;

  const run = useCallback(async (again = false) => {
    stop.current?.abort();
    const mine = (stop.current = new AbortController());
    busy.value = true;
    try {
      const query = JSON.parse(text.peek()) as JsonObject;
      const before = answer.peek();
      const next = await consoleQuery({ query, ...(asOf.value ? { as_of: asOf.value } : {}) }, mine.signal);
      if (again && before) {
        const news = differences(before, next);
        marks.value = new Map(news.map((one) => [`${one.collection} ${one.id}`, one.how]));
        events.value = [...news, ...events.peek()].slice(0, EVENTS_SHOWN);
      } else {
        events.value = [];
        marks.value = new Map();
        goWith({ query: text.peek() }, true);
      }
      answer.value = next;
      fault.value = null;
    } catch (problem) {
      if (mine.signal.aborted) return;
      fault.value = problem instanceof SyntaxError ? `The query is not JSON yet: ${problem.message}` : problem;
    }
    busy.value = false;
  }, []);

  useEffect(() => {
    if (types.value) void run();
    return () => stop.current?.abort();
  }, [asOf.value, types.value === null]);

  useEffect(() => {
    if (!live) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const end = onFeed((entries) => {
      const bases = new Set(Object.keys(answer.peek()?.data ?? {}).map((name) => (name === 'users' ? '_user' : name)));
      if (!entries.some((one) => bases.has((one.typeId ?? '').replace(/@\d+$/, '')))) return;
      timer ??= setTimeout(() => {
        timer = undefined;
        void run(true);
      }, AGAIN_MS);
    });
    return () => {
      clearTimeout(timer);
      end();
    };
  }, [live]);

  const complete = (context: CompletionContext) => {
    const sofar = context.state.sliceDoc(0, context.pos);
    const found = wordsAt(sofar, collections.value.map((one) => ({ base: one.base, name: one.name, fields: Object.assign({}, ...one.types.map((type) => type.schema)) })));
    if (!found || (!context.explicit && found.from === context.pos)) return null;
    // A quote that closes what is typed goes with it.
    const closing = context.state.sliceDoc(context.pos, context.pos + 1) === '"' && sofar[found.from] === '"' ? 1 : 0;
    return {
      from: found.from,
      filter: false,
      options: found.words
        .filter((one) => one.label.toLowerCase().includes(sofar.slice(found.from).replace(/^"/, '').toLowerCase()))
        .map((one) => ({
          label: one.label,
          detail: one.detail,
          apply: (editor: { dispatch: (change: object) => void }, _: unknown, from: number, to: number) => {
            const insert = one.apply ?? JSON.stringify(one.label);
            const inside = /(""|\{\}|\[\])$/.test(insert) ? insert.length - 1 : insert.length;
            editor.dispatch({ changes: { from, to: to + closing, insert }, selection: { anchor: from + inside } });
          },
        })),
    };
  };
  const now = answer.value;
  const roots = Object.entries(now?.data ?? {});
  if (!types.value) return <Loading />;
  return (
    <div class="page wide console">
      <header class="page-head">
        <div>
          <h1>Console</h1>
          <p class="hint">The query language of the live protocol, over every collection of this stack.</p>
        </div>
        <div class="row">
          <select aria-label="Begin with" value="" onChange={(event) => {
            if (event.currentTarget.value) text.value = event.currentTarget.value;
            event.currentTarget.value = '';
            void run();
          }}>
            <option value="">Begin with…</option>
            {own.map((one) => <option key={one.base} value={pretty({ [one.base]: { $limit: 50 } })}>{one.name}: the first 50</option>)}
            {own.map((one) => <option key={`${one.base}#`} value={pretty({ [one.base]: { $aggregate: 'count' } })}>{one.name}: how many</option>)}
          </select>
        </div>
      </header>
      <CodeEditor label="Query" text={text} onRun={() => void run()} completion={complete} />
      <div class="row console-bar">
        <Button kind="primary" icon="next" disabled={busy.value} onClick={() => void run()}>Run <kbd>Ctrl Enter</kbd></Button>
        <label class="check" title={asOf.value ? 'The past does not change' : ''}>
          <input type="checkbox" role="switch" checked={live} disabled={asOf.value !== undefined || feedState.value === 'off'} onChange={(event) => goWith({ live: event.currentTarget.checked ? '1' : undefined }, true)} />
          Live
        </label>
        {now && (
          <span class="hint" role="status">
            {plural(now.rows, 'row')} in {now.ms} ms · {now.asOf != null ? `as it was: ${asOfText(String(now.asOf))}` : `transaction ${now.tx}`}
            {live && feedState.value === 'live' && <> · <span class="pulse">live</span></>}
          </span>
        )}
      </div>
      <Problem of={fault.value} />
      {live && (
        <section class="card events" aria-label="What happens">
          <h2>What happens</h2>
          {events.value.length === 0 && <p class="hint">Nothing yet. Whatever enters, leaves or changes in this result is told here.</p>}
          <ul class="lines" aria-live="polite">
            {events.value.map((one, at) => (
              <li key={`${one.tx} ${one.collection} ${one.id} ${at}`}>
                <span><strong class={`how ${one.how}`}>{one.how}</strong> {one.what}</span>
                <small>{one.collection} · transaction {one.tx}</small>
              </li>
            ))}
          </ul>
        </section>
      )}
      <Tabs label="The answer as" tabs={VIEWS} current={view} onPick={(to) => goWith({ view: to === 'table' ? undefined : to }, true)} />
      <div role="tabpanel" aria-label={view}>
        {!now && !fault.value && <Loading />}
        {now && view === 'table' && roots.map(([name, value]) => <ResultTable key={name} name={name} value={value as Json} marks={marks.value} />)}
        {now && view === 'json' && <Code text={pretty(now.data)} label="Copy the answer" />}
        {now && view === 'chart' && <ChartView roots={roots.map(([name, value]) => ({ name, rows: rowsOf(value as Json) })).filter((one) => one.rows.length)} />}
        {now && view === 'plan' && (
          <div class="stacked">
            {now.plan.map((one) => (
              <section key={one.collection} class="card" aria-label={one.collection}>
                <h2>{one.collection}</h2>
                <ol class="plan">{one.steps.map((step, at) => <li key={at}><code>{step}</code> <small>{aboutStep(step)}</small></li>)}</ol>
                {one.steps.length === 0 && <p class="hint">Nothing is read: there is no such collection.</p>}
              </section>
            ))}
            <p class="hint">{plural(now.rows, 'row')} in {now.ms} ms, on transaction {now.asOf ?? now.tx}.</p>
            <h2>From a terminal</h2>
            <Code text={curl('_/query', 'POST', { query: JSON.parse(params.get('query') ?? text.value) as Json })} />
          </div>
        )}
      </div>
    </div>
  );
}

function aboutStep(step: string): string {
  if (/USING (COVERING )?INDEX field_/.test(step)) return 'by the index of a field';
  if (/SEARCH .*USING/.test(step)) return 'by an index';
  if (/USE TEMP B-TREE/.test(step)) return 'sorted afterwards: an index on the field would save it';
  if (/^SCAN r\b(?!.*INDEX)/.test(step)) return 'every record is looked at';
  return '';
}

function differences(before: ConsoleAnswer, after: ConsoleAnswer): Event[] {
  const events: Event[] = [];
  for (const [collection, value] of Object.entries(after.data)) {
    const was = new Map(rowsOf(before.data[collection]).map((row) => [String(row['id']), row]));
    const is = new Map(rowsOf(value as Json).map((row) => [String(row['id']), row]));
    const add = (how: Event['how'], id: string, what: string) => events.push({ how, id, collection, what, tx: after.tx });
    const title = (row: JsonObject) => String(row['title'] ?? row['name'] ?? row['id']);
    for (const [id, row] of is) {
      const old = was.get(id);
      if (!old) add('enters', id, title(row));
      else if (!same(old, row)) {
        const fields = Object.keys({ ...old, ...row }).filter((field) => !same(old[field], row[field]));
        add('changes', id, `${title(row)}: ${fields.join(', ')}`);
      }
    }
    for (const [id, row] of was) if (!is.has(id)) add('leaves', id, title(row));
    if (!Array.isArray(value) && !same(before.data[collection], value as Json)) add('changes', collection, JSON.stringify(value));
  }
  return events;
}

function ResultTable({ name, value, marks }: { name: string; value: Json; marks: ReadonlyMap<string, Event['how']> }) {
  if (!Array.isArray(value)) {
    return <section class="card" aria-label={name}><h2>{name}</h2><p class="big"><Value of={value} long /></p></section>;
  }
  const rows = rowsOf(value);
  const fields = [...new Set(rows.slice(0, ROWS_SHOWN).flatMap(Object.keys))];
  const base = name === 'users' ? '_user' : name;
  return (
    <section class="card" aria-label={name}>
      <header class="page-head">
        <h2>{name} <small>{plural(rows.length, 'row')}</small></h2>
        {rows.length > 0 && <Button kind="quiet" onClick={() => download(`${name.replace(/[^\w]+/g, '-')}.csv`, MEDIA.csv, [written('csv', rows)])}>CSV</Button>}
      </header>
      {rows.length === 0 ? <p class="hint">Nothing fits.</p> : (
        <div class="scroll results" tabIndex={0} role="group" aria-label={`Rows of ${name}`}>
          <table class="list">
            <thead><tr>{fields.map((field) => <th scope="col" key={field}>{field}</th>)}</tr></thead>
            <tbody>
              {rows.slice(0, ROWS_SHOWN).map((row) => {
                const id = String(row['id']);
                return (
                  <tr key={id} class={marks.has(`${name} ${id}`) ? 'flash' : ''}>
                    {fields.map((field) => (
                      <td key={field} class={typeof row[field] === 'number' ? 'figure' : ''}>
                        {field === 'id' ? <a class="mono" href={href(['data', base], { record: id })}>{id}</a> : <Value of={row[field]} />}
                      </td>
                    ))}
                  </tr>
                );
              })}
            </tbody>
          </table>
          {rows.length > ROWS_SHOWN && <p class="hint">{count(ROWS_SHOWN)} of {count(rows.length)} are shown. The CSV has all.</p>}
        </div>
      )}
    </section>
  );
}

function ChartView({ roots }: { roots: { name: string; rows: JsonObject[] }[] }) {
  const Drawn = useSignal<ComponentType<{ of: Series }> | null>(null);
  useEffect(() => void import('../parts/chart').then((module) => (Drawn.value = module.Chart)), []);
  const params = place.value.params;
  const root = roots[0];
  if (!root) return <Empty icon="system" title="Nothing to draw"><p>A chart needs rows.</p></Empty>;
  const fields = [...new Set(root.rows.slice(0, 100).flatMap(Object.keys))].filter((field) => field !== 'id');
  const numeric = fields.filter((field) => root.rows.some((row) => typeof row[field] === 'number'));
  const x = fields.includes(params.get('x') ?? '') ? (params.get('x') as string) : fields.find((field) => !numeric.includes(field)) ?? fields[0] ?? 'id';
  const y = numeric.includes(params.get('y') ?? '') ? (params.get('y') as string) : '';
  const series = seriesOf(root.rows, x, y);
  return (
    <section class="card" aria-label="Chart">
      <div class="pair">
        <Field label="Along">{(attributes) => <select {...attributes} value={x} onChange={(event) => goWith({ x: event.currentTarget.value }, true)}>{fields.map((one) => <option key={one}>{one}</option>)}</select>}</Field>
        <Field label="Up">{(attributes) => (
          <select {...attributes} value={y} onChange={(event) => goWith({ y: event.currentTarget.value || undefined }, true)}>
            <option value="">how many</option>
            {numeric.map((one) => <option key={one} value={one}>sum of {one}</option>)}
          </select>
        )}</Field>
      </div>
      {Drawn.value ? <Drawn.value of={series} /> : <Loading />}
      {series.x.length >= CHART_VALUES_MAX && series.x.some((one) => typeof one === 'string') && <p class="hint"><Icon name="warn" /> The {CHART_VALUES_MAX} largest are drawn.</p>}
    </section>
  );
}

const DATE = /^\d{4}-\d{2}-\d{2}/;

function seriesOf(rows: JsonObject[], x: string, y: string): Series {
  const sums = new Map<string | number, number>();
  const values = rows.map((row) => row[x]).filter((value) => value !== undefined && value !== null);
  const time = values.length > 0 && values.every((value) => typeof value === 'string' && DATE.test(value));
  const numbers = values.length > 0 && values.every((value) => typeof value === 'number');
  for (const row of rows) {
    const value = row[x];
    if (value === undefined) continue;
    const at = time ? Date.parse(String(value)) / 1_000 : numbers ? Number(value) : typeof value === 'object' ? JSON.stringify(value) : String(value);
    const more = y === '' ? 1 : Number(row[y] ?? 0);
    sums.set(at, (sums.get(at) ?? 0) + (Number.isFinite(more) ? more : 0));
  }
  let list = [...sums];
  if (time || numbers) list.sort((a, b) => Number(a[0]) - Number(b[0]));
  else list = list.sort((a, b) => b[1] - a[1]).slice(0, CHART_VALUES_MAX);
  return { label: `${y || 'how many'} by ${x}`, x: list.map((one) => one[0]), y: list.map((one) => one[1]), time };
}
