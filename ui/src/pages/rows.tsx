// The grid of a collection: pages by keyset as one scrolls, filters, choice of columns, editing in
// place, several records at once. Only the rows in sight are in the document. What others change shows
// as it happens: changed rows flash, new ones wait behind a button, so that nothing moves under the hand.

import { useComputed, useSignal } from '@preact/signals';
import { useCallback, useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { deleteRecord, getRecord, patchRecord, query, undeleteRecord } from '../api/stack';
import { ApiError } from '../api/client';
import type { Direction, FieldDef, Filter, Json, SortField, StackRecord } from '../api/types';
import { count, plural } from '../lib/format';
import { same } from '../lib/diff';
import { parseText, textOf } from '../lib/query-text';
import { fromText, isScalar, kindOfValue, toText } from '../lib/schema';
import { titleOf } from '../lib/record';
import { Button, Empty, Problem, Time, Value } from '../parts/basics';
import { Icon } from '../parts/icons';
import { asOf, goWith, hrefWith, place } from '../router';
import { ConflictDialog, type Conflict } from '../record/conflict';
import { countAgain, type Collection } from '../state/catalog';
import { announce, onChanged } from '../state/changed';
import { feedState, onFeed } from '../state/feed';
import { complain, say } from '../state/notices';

type Tools = typeof import('./grid-tools');
type Tool = 'export' | 'import' | 'field' | 'tag';

const PAGE_ROWS = 100;
/** Once somebody scrolls, larger pages: they rarely stop at the second. */
const NEXT_ROWS = 500;
const ROW_PX = 36;
const ROWS_AROUND = 12;
const COLUMNS_SHOWN = 8;
const FLASH_MS = 2_000;
/** Changed rows fetched for one bunch of changes; past that the grid offers to load again. */
const FETCHED_MAX = 60;
const SORTS: SortField[] = ['createdAt', 'updatedAt', 'version'];

interface Sort {
  field: SortField;
  direction: Direction;
}

function sortOf(params: URLSearchParams): Sort {
  const [field, direction] = (params.get('sort') ?? '').split('.');
  return {
    field: SORTS.includes(field as SortField) ? (field as SortField) : 'createdAt',
    direction: direction === 'asc' ? 'asc' : 'desc',
  };
}

/** `field=value` in the address; what reads as JSON is that value, everything else a text. */
function contentOf(params: URLSearchParams): Filter['content'] {
  const content: NonNullable<Filter['content']> = {};
  for (const one of params.getAll('where')) {
    const at = one.indexOf('=');
    if (at > 0) content[one.slice(0, at)] = literal(one.slice(at + 1));
  }
  return content;
}

function literal(text: string): null | boolean | number | string {
  try {
    const value = JSON.parse(text) as Json;
    if (value === null || typeof value !== 'object') return value;
  } catch {
    // A text.
  }
  return text;
}

export function Rows({ collection }: { collection: Collection }) {
  const params = place.value.params;
  const typeId = params.get('type');
  const tags = params.getAll('tag');
  const content = contentOf(params);
  const sort = sortOf(params);
  const filter: Filter = {
    typeId: typeId ?? collection.types.map((type) => type.id),
    ...(tags.length ? { tags } : {}),
    ...(params.get('q') ? { search: params.get('q') as string } : {}),
    ...(Object.keys(content ?? {}).length ? { content } : {}),
    ...(params.get('deleted') ? { includeDeleted: true } : {}),
  };
  const key = JSON.stringify([filter, sort, asOf.value]);

  const rows = useSignal<StackRecord[]>([]);
  const cursor = useSignal<string | null | undefined>(undefined);
  const fault = useSignal<unknown>(null);
  const loading = useSignal(false);
  const picked = useSignal<ReadonlySet<string>>(new Set());
  const conflict = useSignal<Conflict | null>(null);
  const turn = useRef(0);
  const readOnly = asOf.value !== undefined;
  /** Records of others that are not shown yet. */
  const fresh = useSignal<ReadonlySet<string>>(new Set());
  const stale = useSignal(false);
  const flashing = useSignal<ReadonlySet<string>>(new Set());
  const tool = useSignal<Tool | null>(null);
  const tools = useSignal<Tools | null>(null);
  const open = async (which: Tool) => {
    tools.value ??= await import('./grid-tools');
    tool.value = which;
  };

  const load = useCallback(async (from: string | null) => {
    const mine = from === null ? ++turn.current : turn.current;
    if (from !== null && loading.value) return;
    loading.value = true;
    try {
      const page = await query({ filter, sort, limit: from === null ? PAGE_ROWS : NEXT_ROWS, cursor: from }, asOf.value);
      if (mine !== turn.current) return;
      rows.value = from === null ? page.records : [...rows.value, ...page.records];
      if (from === null) {
        fresh.value = new Set();
        stale.value = false;
      }
      cursor.value = page.cursor;
      fault.value = null;
    } catch (problem) {
      if (mine === turn.current) fault.value = problem;
    } finally {
      if (mine === turn.current) loading.value = false;
    }
  }, [key]);

  useEffect(() => {
    picked.value = new Set();
    void load(null);
  }, [load]);

  // What the panel changed shows here at once, in its row or as a new one.
  useEffect(() => onChanged((record) => {
    if (record === 'many') return void load(null);
    const at = rows.value.findIndex((row) => row.id === record.id);
    if (at < 0 || (record.deletedAt && !filter.includeDeleted)) return void load(null);
    rows.value = rows.value.with(at, record);
  }), [load]);

  // What others do. A row that no longer fits the filter stays until the next load: it must not vanish while it is read.
  useEffect(() => onFeed((entries) => {
    if (readOnly) return;
    const ours = entries.filter((one) => one.typeId && collection.types.some((type) => type.id === one.typeId));
    if (!ours.length) return;
    countAgain();
    const shown = new Map(rows.peek().map((row) => [row.id, row.version]));
    const changed = new Set(ours.filter((one) => (shown.get(one.id) ?? Infinity) < one.version).map((one) => one.id));
    const unknown = new Set(ours.filter((one) => !shown.has(one.id) && (one.op === 'create' || one.op === 'undelete' || one.op === 'update')).map((one) => one.id));
    if (changed.size + unknown.size > FETCHED_MAX) {
      stale.value = true;
      return;
    }
    void (async () => {
      const look = (ids: Iterable<string>) => Promise.all([...ids].map((id) => getRecord(id).catch(() => null)));
      const [now, others] = await Promise.all([look(changed), look(unknown)]);
      const news = new Map(now.filter((one) => one !== null).map((one) => [one.id, one]));
      if (news.size) {
        rows.value = rows.peek().map((row) => {
          const next = news.get(row.id);
          return next && next.version > row.version ? next : row;
        });
        const lit = new Set([...flashing.peek(), ...news.keys()]);
        flashing.value = lit;
        setTimeout(() => (flashing.value = new Set([...flashing.peek()].filter((id) => !news.has(id)))), FLASH_MS);
      }
      const here = new Set(rows.peek().map((row) => row.id));
      const waiting = others.filter((one) => one !== null && !here.has(one.id) && fits(one, filter) && isNew(one, rows.peek(), sort, cursor.peek()));
      if (waiting.length) fresh.value = new Set([...fresh.peek(), ...waiting.map((one) => one?.id ?? '')]);
    })();
  }), [load]);

  const remove = async (list: StackRecord[]) => {
    const done: StackRecord[] = [];
    for (const one of list) {
      try {
        await deleteRecord(one.id, one.version);
        done.push(one);
      } catch (problem) {
        complain(problem);
      }
    }
    picked.value = new Set();
    countAgain();
    await load(null);
    if (!done.length) return;
    say(done.length === 1 && done[0] ? `“${titleOf(done[0])}” was deleted.` : `${plural(done.length, 'record')} deleted.`, {
      label: 'Undo',
      run: async () => {
        for (const one of done) await undeleteRecord(one.id);
        countAgain();
        await load(null);
      },
    });
  };

  const save = async (record: StackRecord, field: string, value: Json) => {
    try {
      announce(await patchRecord(record.id, { [field]: value }, record.version));
    } catch (problem) {
      if (problem instanceof ApiError && problem.status === 412) conflict.value = { seen: record, mine: { ...record.content, [field]: value } };
      else complain(problem);
    }
  };

  const first = typeId ? collection.types.filter((type) => type.id === typeId) : collection.types;
  const fields = [...new Set([
    ...first.flatMap((type) => Object.keys(type.schema)),
    ...(rows.value[0] ? Object.keys(rows.value[0].content) : []),
  ])];
  const chosen = params.get('columns')?.split(',').filter((name) => fields.includes(name));
  const columns = chosen ?? fields.slice(0, COLUMNS_SHOWN);
  const definition = (record: StackRecord, field: string): FieldDef =>
    collection.types.find((type) => type.id === record.typeId)?.schema[field] ?? { kind: kindOfValue(record.content[field] ?? '') };
  const filtered = Boolean(params.get('q') || tags.length || params.getAll('where').length || params.get('deleted') || typeId);
  const chosenRows = rows.value.filter((row) => picked.value.has(row.id));

  return (
    <section class="rows" aria-label={collection.name}>
      <header class="page-head">
        <div>
          <h1>{collection.name}</h1>
          <p class="hint">
            {collection.base}
            {collection.records !== null && <> · {plural(collection.records, 'record')}</>}
            {!readOnly && feedState.value === 'live' && <> · <span class="pulse">live</span></>}
          </p>
        </div>
        <div class="row">
          <Button kind="quiet" onClick={() => open('export')}>Export</Button>
          {!readOnly && <Button kind="quiet" onClick={() => open('import')}>Import</Button>}
          <a class="button quiet" href={`#/types/${encodeURIComponent(collection.types.at(-1)?.id ?? '')}`}>Schema</a>
          {!readOnly && <a class="button primary" href={hrefWith({ record: 'new', tab: undefined })}><Icon name="plus" />New record</a>}
        </div>
      </header>
      <Filters collection={collection} fields={fields} columns={columns} />
      {chosenRows.length > 0 && !readOnly && (
        <div class="bulk" role="status">
          <span>{plural(chosenRows.length, 'record')} chosen</span>
          <Button onClick={() => open('field')}>Set a field</Button>
          <Button onClick={() => open('tag')}>Tag</Button>
          <Button onClick={() => open('export')}>Export</Button>
          <Button icon="trash" onClick={() => remove(chosenRows)}>Delete</Button>
          <Button kind="quiet" onClick={() => (picked.value = new Set())}>Choose none</Button>
        </div>
      )}
      <Problem of={fault.value} />
      {(fresh.value.size > 0 || stale.value) && !readOnly && (
        <p class="pill" role="status">
          <Button kind="primary" icon="up" onClick={() => {
            void load(null);
            document.querySelector('.grid')?.scrollTo(0, 0);
          }}>{stale.value ? 'Much has changed: load again' : `${plural(fresh.value.size, 'new record')}`}</Button>
        </p>
      )}
      {cursor.value === null && rows.value.length === 0 ? (
        <Empty icon={filtered ? 'search' : 'data'} title={filtered ? 'Nothing fits the filter' : 'No records yet'}>
          {filtered
            ? <Button onClick={() => goWith({ q: undefined, tag: undefined, where: undefined, deleted: undefined, type: undefined })}>Show all</Button>
            : !readOnly && <a class="button primary" href={hrefWith({ record: 'new' })}>Create the first one</a>}
        </Empty>
      ) : (
        <Grid
          rows={rows.value}
          columns={columns}
          sort={sort}
          picked={picked.value}
          flashing={flashing.value}
          readOnly={readOnly}
          loading={loading.value}
          more={typeof cursor.value === 'string'}
          definition={definition}
          onPick={(ids) => (picked.value = ids)}
          onMore={() => typeof cursor.value === 'string' && void load(cursor.value)}
          onSave={save}
          onDelete={(record) => remove([record])}
        />
      )}
      {conflict.value && (
        <ConflictDialog
          of={conflict.value}
          onClose={() => (conflict.value = null)}
          onSaved={(record) => {
            announce(record);
            conflict.value = null;
          }}
        />
      )}
      {tools.value && tool.value === 'export' && <tools.value.ExportDialog collection={collection} filter={filter} chosen={chosenRows} onClose={() => (tool.value = null)} />}
      {tools.value && tool.value === 'import' && <tools.value.ImportDialog collection={collection} onClose={() => (tool.value = null)} />}
      {tools.value && (tool.value === 'field' || tool.value === 'tag') && (
        <tools.value.ChangeDialog
          what={tool.value}
          fields={Object.fromEntries(fields.map((name) => [name, first.at(-1)?.schema[name]?.kind ?? kindOfValue(rows.value[0]?.content[name] ?? '')]))}
          chosen={chosenRows}
          onClose={() => (tool.value = null)}
        />
      )}
    </section>
  );
}

/** Whether a record may be among what the filter finds; words are the server's to judge. */
function fits(record: StackRecord, filter: Filter): boolean {
  const types = Array.isArray(filter.typeId) ? filter.typeId : [filter.typeId];
  return types.includes(record.typeId)
    && (filter.includeDeleted || !record.deletedAt)
    && (filter.tags ?? []).every((tag) => record.associations?.some((one) => one.kind === 'tag' && one.label === tag))
    && Object.entries(filter.content ?? {}).every(([field, value]) => same(record.content[field] ?? null, value));
}

/** Whether it belongs among the rows that are loaded, and not behind the last of them. */
function isNew(record: StackRecord, rows: StackRecord[], sort: Sort, cursor: string | null | undefined): boolean {
  const last = rows.at(-1);
  if (!last || cursor === null) return true;
  const [one, other] = [record[sort.field], last[sort.field]];
  return sort.direction === 'desc' ? one >= other : one <= other;
}

const TYPING_PAUSE_MS = 250;

function Filters({ collection, fields, columns }: { collection: Collection; fields: string[]; columns: string[] }) {
  const params = place.value.params;
  const inUrl = textOf({ q: params.get('q') ?? '', where: params.getAll('where'), tags: params.getAll('tag') });
  const text = useSignal(inUrl);
  const field = useSignal('');
  const value = useSignal('');
  const tag = useSignal('');
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const menu = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // What is being typed may say the same in other words.
    if (textOf(parseText(text.peek())) !== inUrl) text.value = inUrl;
  }, [inUrl]);
  const type = (typed: string) => {
    text.value = typed;
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      const asked = parseText(typed);
      goWith({ q: asked.q || undefined, where: asked.where, tag: asked.tags }, true);
    }, TYPING_PAUSE_MS);
  };
  const without = (name: string, one: string) => goWith({ [name]: params.getAll(name).filter((other) => other !== one) });
  const add = (event: Event) => {
    event.preventDefault();
    menu.current?.hidePopover();
    if (field.value) goWith({ where: [...params.getAll('where'), `${field.value}=${value.value}`] });
    if (tag.value.trim()) goWith({ tag: [...params.getAll('tag'), tag.value.trim()] });
    value.value = '';
    tag.value = '';
    field.value = '';
  };
  const chips = [
    ...params.getAll('where').map((one) => ({ name: 'where', one, text: one.replace('=', ' = ') })),
    ...params.getAll('tag').map((one) => ({ name: 'tag', one, text: `tag ${one}` })),
  ];
  return (
    <div class="filters" role="search">
      <div class="search">
        <Icon name="search" />
        <input
          type="search"
          aria-label={`Search ${collection.name}`}
          placeholder="words, field=value, tag:name"
          value={text.value}
          onInput={(event) => type(event.currentTarget.value)}
        />
      </div>
      {chips.map((chip) => (
        <button type="button" class="chip" key={chip.name + chip.one} title="Remove this filter" onClick={() => without(chip.name, chip.one)}>
          {chip.text}<Icon name="close" />
        </button>
      ))}
      <button type="button" class="button" popoverTarget="add-filter"><Icon name="plus" />Filter</button>
      <div id="add-filter" class="menu" popover="auto" ref={menu} role="dialog" aria-label="Add a filter">
        <form onSubmit={add}>
          <label>Field
            <select value={field.value} onChange={(event) => (field.value = event.currentTarget.value)}>
              <option value="">Choose…</option>
              {fields.map((name) => <option key={name} value={name}>{name}</option>)}
            </select>
          </label>
          <label>is exactly
            <input value={value.value} placeholder={'text, 12, true, null'} onInput={(event) => (value.value = event.currentTarget.value)} />
          </label>
          <p class="hint">The same can be typed: country=AL tag:seen words. null finds records where the field is null or absent. Put digits in quotes to find a text: "12".</p>
          <label>or has the tag
            <input value={tag.value} onInput={(event) => (tag.value = event.currentTarget.value)} />
          </label>
          <Button type="submit" kind="primary">Add</Button>
        </form>
      </div>
      {collection.types.length > 1 && (
        <select aria-label="Version of the type" value={params.get('type') ?? ''} onChange={(event) => goWith({ type: event.currentTarget.value || undefined })}>
          <option value="">all versions</option>
          {collection.types.map((one) => <option key={one.id} value={one.id}>@{one.version}</option>)}
        </select>
      )}
      <label class="check">
        <input type="checkbox" checked={Boolean(params.get('deleted'))} onChange={(event) => goWith({ deleted: event.currentTarget.checked ? '1' : undefined })} />
        Deleted too
      </label>
      <button type="button" class="button quiet" popoverTarget="columns"><Icon name="columns" />Columns</button>
      <div id="columns" class="menu" popover="auto" role="dialog" aria-label="Columns">
        {fields.map((name) => (
          <label class="check" key={name}>
            <input
              type="checkbox"
              checked={columns.includes(name)}
              onChange={(event) => {
                const next = fields.filter((other) => (other === name ? event.currentTarget.checked : columns.includes(other)));
                goWith({ columns: next.join(',') }, true);
              }}
            />
            {name}
          </label>
        ))}
      </div>
    </div>
  );
}

interface GridProps {
  rows: StackRecord[];
  columns: string[];
  sort: Sort;
  picked: ReadonlySet<string>;
  flashing: ReadonlySet<string>;
  readOnly: boolean;
  loading: boolean;
  more: boolean;
  definition: (record: StackRecord, field: string) => FieldDef;
  onPick: (ids: ReadonlySet<string>) => void;
  onMore: () => void;
  onSave: (record: StackRecord, field: string, value: Json) => Promise<void>;
  onDelete: (record: StackRecord) => void;
}

function Grid(props: GridProps) {
  const { rows, columns, sort, picked, readOnly, more } = props;
  const box = useRef<HTMLDivElement>(null);
  const top = useSignal(0);
  const height = useSignal(800);
  const at = useSignal<{ row: number; column: number }>({ row: 0, column: 1 });
  const editing = useSignal<string | null>(null);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const watch = new ResizeObserver(() => (height.value = element.clientHeight));
    watch.observe(element);
    return () => watch.disconnect();
  }, []);
  const from = useComputed(() => Math.max(0, Math.floor(top.value / ROW_PX) - ROWS_AROUND));
  const until = useComputed(() => Math.ceil((top.value + height.value) / ROW_PX) + ROWS_AROUND);
  const last = Math.min(until.value, rows.length);
  useEffect(() => {
    if (more && until.value + ROWS_AROUND >= rows.length) props.onMore();
  }, [until.value, rows.length, more]);

  const columnCount = columns.length + 4;
  const focus = (row: number, column: number) => {
    const to = { row: Math.max(0, Math.min(row, rows.length - 1)), column: Math.max(0, Math.min(column, columnCount - 1)) };
    at.value = to;
    const element = box.current;
    if (element) {
      const y = to.row * ROW_PX;
      if (y < element.scrollTop) element.scrollTop = y;
      else if (y + 2 * ROW_PX > element.scrollTop + element.clientHeight) element.scrollTop = y + 2 * ROW_PX - element.clientHeight;
    }
    requestAnimationFrame(() => box.current?.querySelector<HTMLElement>(`[data-cell="${to.row}.${to.column}"]`)?.focus());
  };
  const open = (record: StackRecord) => goWith({ record: record.id, tab: undefined });
  const edit = (record: StackRecord, column: number) => {
    const field = columns[column - 2];
    if (!field || readOnly || record.deletedAt || !isScalar(props.definition(record, field).kind)) return false;
    editing.value = `${record.id} ${field}`;
    return true;
  };
  const keys = (event: KeyboardEvent) => {
    if (editing.value) return;
    const record = rows[at.value.row];
    const page = Math.max(1, Math.floor(height.value / ROW_PX) - 2);
    const moves: Record<string, [number, number]> = {
      ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1], PageDown: [page, 0], PageUp: [-page, 0],
    };
    const move = moves[event.key];
    if (move) focus(at.value.row + move[0], at.value.column + move[1]);
    else if (event.key === 'Home') focus(event.ctrlKey ? 0 : at.value.row, 0);
    else if (event.key === 'End') focus(event.ctrlKey ? rows.length - 1 : at.value.row, columnCount - 1);
    else if (event.key === 'Enter' && record) open(record);
    else if (event.key === 'F2' && record) edit(record, at.value.column);
    else if (event.key === ' ' && record) pick(record.id);
    else if (event.key === 'Delete' && record && !readOnly) props.onDelete(record);
    else return;
    event.preventDefault();
  };
  const pick = (id: string) => {
    const next = new Set(picked);
    if (!next.delete(id)) next.add(id);
    props.onPick(next);
  };
  const sortLink = (field: SortField, label: string) => {
    const mine = sort.field === field;
    const direction = mine && sort.direction === 'desc' ? 'asc' : 'desc';
    return (
      <th role="columnheader" scope="col" class="when" aria-sort={mine ? (sort.direction === 'asc' ? 'ascending' : 'descending') : 'none'}>
        <a href={hrefWith({ sort: `${field}.${direction}` })}>{label}{mine && <Icon name={sort.direction === 'asc' ? 'up' : 'down'} />}</a>
      </th>
    );
  };
  const cell = (row: number, column: number) => ({
    role: 'gridcell' as const,
    'data-cell': `${row}.${column}`,
    tabIndex: at.value.row === row && at.value.column === column ? 0 : -1,
    onFocus: () => (at.value = { row, column }),
  });
  const selected = place.value.params.get('record');
  return (
    <div class="grid" ref={box} tabIndex={-1} onScroll={(event) => (top.value = event.currentTarget.scrollTop)}>
      <table role="grid" aria-rowcount={more ? -1 : rows.length + 1} aria-label="Records" onKeyDown={keys}>
        <thead>
          <tr role="row" aria-rowindex={1}>
            <th role="columnheader" scope="col" class="pick">
              <input
                type="checkbox"
                aria-label="Choose all that are loaded"
                checked={rows.length > 0 && picked.size === rows.length}
                onChange={(event) => props.onPick(new Set(event.currentTarget.checked ? rows.map((row) => row.id) : []))}
              />
            </th>
            <th role="columnheader" scope="col">id</th>
            {columns.map((name) => <th role="columnheader" scope="col" key={name}>{name}</th>)}
            {sortLink('version', 'version')}
            {sortLink(sort.field === 'createdAt' ? 'createdAt' : 'updatedAt', sort.field === 'createdAt' ? 'created' : 'updated')}
          </tr>
        </thead>
        <tbody>
          {from.value > 0 && <tr aria-hidden="true" class="space" style={{ height: `${from.value * ROW_PX}px` }} />}
          {rows.slice(from.value, last).map((record, index) => {
            const row = from.value + index;
            return (
              <tr
                key={record.id}
                role="row"
                aria-rowindex={row + 2}
                aria-selected={picked.has(record.id)}
                class={`${record.id === selected ? 'current' : ''} ${record.deletedAt ? 'gone' : ''} ${props.flashing.has(record.id) ? 'flash' : ''}`}
              >
                <td {...cell(row, 0)} class="pick">
                  <input type="checkbox" tabIndex={-1} aria-label={`Choose ${titleOf(record)}`} checked={picked.has(record.id)} onChange={() => pick(record.id)} />
                </td>
                <td {...cell(row, 1)} class="id">
                  <a tabIndex={-1} href={hrefWith({ record: record.id, tab: undefined })}>{record.id}</a>
                </td>
                {columns.map((field, column) => {
                  const key = `${record.id} ${field}`;
                  return (
                    <td
                      key={field}
                      {...cell(row, column + 2)}
                      class={props.definition(record, field).kind === 'number' ? 'figure' : ''}
                      onClick={() => editing.value !== key && matchMedia('(pointer: coarse)').matches && open(record)}
                      onDblClick={() => edit(record, column + 2)}
                    >
                      {editing.value === key
                        ? (
                          <CellEditor
                            record={record}
                            field={field}
                            definition={props.definition(record, field)}
                            onDone={(value) => {
                              editing.value = null;
                              focus(row, column + 2);
                              if (value !== undefined) void props.onSave(record, field, value);
                            }}
                          />
                        )
                        : <Value of={record.content[field]} />}
                    </td>
                  );
                })}
                <td {...cell(row, columns.length + 2)} class="figure">{record.version}</td>
                <td {...cell(row, columns.length + 3)} class="when"><Time at={sort.field === 'createdAt' ? record.createdAt : record.updatedAt} /></td>
              </tr>
            );
          })}
          {last < rows.length && <tr aria-hidden="true" class="space" style={{ height: `${(rows.length - last) * ROW_PX}px` }} />}
        </tbody>
      </table>
      <p class="foot" role="status">
        {props.loading ? 'Loading…' : more ? `${count(rows.length)} loaded, more below` : plural(rows.length, 'record')}
        <span class="keys"><kbd>Enter</kbd> opens{!readOnly && <> · <kbd>F2</kbd> or double click edits · <kbd>Space</kbd> chooses · <kbd>Del</kbd> deletes</>}</span>
      </p>
    </div>
  );
}

/** `undefined` means: leave it as it was. */
function CellEditor(
  { record, field, definition, onDone }: {
    record: StackRecord;
    field: string;
    definition: FieldDef;
    onDone: (value: Json | undefined) => void;
  },
) {
  const before = record.content[field];
  const text = useSignal(before === undefined || before === null ? '' : toText(before));
  const fault = useSignal('');
  const over = useRef(false);
  const input = useRef<HTMLInputElement & HTMLSelectElement>(null);
  // Before the next key: what is typed quickly must not be lost.
  useLayoutEffect(() => input.current?.focus(), []);
  const finish = (keep: boolean) => {
    if (over.current) return;
    if (!keep || text.value === (before === undefined || before === null ? '' : toText(before))) {
      over.current = true;
      return onDone(undefined);
    }
    try {
      const value = fromText(definition.kind, text.value);
      over.current = true;
      onDone(value);
    } catch (problem) {
      fault.value = (problem as Error).message;
      complain(problem);
    }
  };
  const shared = {
    ref: input,
    'aria-label': field,
    'aria-invalid': Boolean(fault.value),
    value: text.value,
    onClick: (event: Event) => event.stopPropagation(),
    onBlur: () => finish(!fault.value),
    onKeyDown: (event: KeyboardEvent) => {
      event.stopPropagation();
      if (event.key === 'Enter') finish(true);
      if (event.key === 'Escape') finish(false);
    },
  };
  return definition.kind === 'boolean' ? (
    <select {...shared} onChange={(event) => (text.value = event.currentTarget.value)}>
      {text.value === '' && <option value="">{before === null ? 'null' : 'absent'}</option>}
      <option value="true">true</option>
      <option value="false">false</option>
    </select>
  ) : (
    <input {...shared} inputMode={definition.kind === 'number' ? 'decimal' : 'text'} onInput={(event) => {
      text.value = event.currentTarget.value;
      fault.value = '';
    }} />
  );
}
