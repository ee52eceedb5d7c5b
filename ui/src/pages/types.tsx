// Types: what records look like. The table of fields and the raw schema are two views of one text-free
// state. Before it is saved the server says what that would mean for the records that are there.

import { useSignal, type Signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { checkType, migrateRecord, query, registerType, restoreRecord } from '../api/stack';
import { ApiError } from '../api/client';
import type { FieldDef, JsonObject, Kind, Schema, StackRecord, TypeCheck, TypeInfo } from '../api/types';
import { count, plural } from '../lib/format';
import { schemaHash } from '../lib/hash';
import { same } from '../lib/diff';
import { examplesFrom, infer, KINDS } from '../lib/schema';
import { curl } from '../lib/record';
import { Button, Code, Dialog, Empty, Field, Loading, Problem, Tabs, Time } from '../parts/basics';
import { Icon } from '../parts/icons';
import { JsonEditor } from '../record/json-editor';
import { asOf, go, href, place } from '../router';
import { refreshCatalog, stats, typeById, types } from '../state/catalog';
import { complain, say } from '../state/notices';
import { announce } from '../state/changed';
import { session } from '../state/session';

export function TypesPage() {
  const [, id] = place.value.path;
  if (!types.value) return <Loading />;
  if (id === 'new') return <Editor key="new" />;
  if (id) {
    const type = typeById(id);
    if (!type) {
      return <Empty icon="types" title={`There is no type ${id}`}><a class="button" href={href(['types'])}>All types</a></Empty>;
    }
    return <Editor key={id} type={type} />;
  }
  const rows = new Map(stats.value?.types.map((one) => [one.typeId, one.records]));
  const own = types.value.filter((one) => !one.id.startsWith('_'));
  const system = types.value.filter((one) => one.id.startsWith('_'));
  return (
    <div class="page">
      <header class="page-head">
        <div><h1>Types</h1><p class="hint">What the records of each collection look like.</p></div>
        {session.value?.owner && !asOf.value && <a class="button primary" href={href(['types', 'new'])}><Icon name="plus" />New type</a>}
      </header>
      {own.length === 0 && (
        <Empty icon="types" title="No type of your own yet">
          <p>Define one, or paste a record as JSON and have it inferred.</p>
          {session.value?.owner && <a class="button primary" href={href(['types', 'new'])}>New type</a>}
        </Empty>
      )}
      {[{ label: 'Yours', list: own }, { label: 'Of the system', list: system }].map(({ label, list }) => list.length > 0 && (
        <section key={label} class="card" aria-label={label}>
          <h2>{label}</h2>
          <ul class="lines">
            {list.map((type) => (
              <li key={type.id}>
                <a href={href(['types', type.id])}>
                  <strong>{type.name}</strong>
                  <small>{type.id} · {plural(Object.keys(type.schema).length, 'field')}</small>
                </a>
                {stats.value && <span>{count(rows.get(type.id) ?? 0)}</span>}
              </li>
            ))}
          </ul>
        </section>
      ))}
    </div>
  );
}

function Editor({ type }: { type?: TypeInfo }) {
  const id = useSignal(type?.id ?? '');
  const name = useSignal(type?.name ?? '');
  const schema = useSignal<Schema>(type?.schema ?? {});
  const view = useSignal<'fields' | 'raw'>('fields');
  const broken = useSignal(false);
  const inferring = useSignal(false);
  const migrating = useSignal(false);
  const review = useSignal<{ id: string; from: string | undefined; found: TypeCheck } | null>(null);
  const fault = useSignal<unknown>(null);
  const busy = useSignal(false);
  const system = type?.id.startsWith('_') ?? false;
  const locked = system || !session.value?.owner || asOf.value !== undefined;
  const edited = !type || name.value !== type.name || !same(schema.value as unknown as JsonObject, type.schema as unknown as JsonObject);
  const drift = fault.value instanceof ApiError && fault.value.code === 'schema_drift';

  /** Asks what saving would mean; nothing is saved yet. */
  const look = async (asId = id.value.trim(), from = type?.migratesFrom) => {
    busy.value = true;
    try {
      review.value = { id: asId, from, found: await checkType({ id: asId, schema: schema.value as unknown as JsonObject, ...(from ? { migratesFrom: from } : {}) }) };
      fault.value = null;
    } catch (problem) {
      fault.value = problem;
    }
    busy.value = false;
  };
  const save = async (asId: string, from: string | undefined) => {
    busy.value = true;
    review.value = null;
    try {
      const made = await registerType({
        id: asId,
        name: name.value.trim(),
        schema: schema.value,
        schemaHash: schemaHash(schema.value),
        ...(from ? { migratesFrom: from } : {}),
      });
      await refreshCatalog();
      fault.value = null;
      say(`${made.id} is registered.`);
      go(['types', made.id]);
    } catch (problem) {
      fault.value = problem;
    }
    busy.value = false;
  };
  const others = type ? (types.value ?? []).filter((one) => one.baseId === type.baseId && one.id !== type.id) : [];
  const next = type ? `${type.baseId}@${Math.max(...(types.value ?? []).filter((one) => one.baseId === type.baseId).map((one) => one.version)) + 1}` : '';
  return (
    <div class="page narrow">
      <p><a class="textual" href={href(['types'])}><Icon name="back" />Types</a></p>
      <header class="page-head">
        <div>
          <h1>{type ? type.name : 'New type'}</h1>
          {type && <p class="hint"><code>{type.id}</code> · registered <Time at={type.createdAt} />{system && ' · a type of the system, which cannot be changed'}</p>}
        </div>
        <div class="row">
          {!locked && <Button onClick={() => (inferring.value = true)}>Infer from JSON</Button>}
          {!locked && type && others.length > 0 && <Button onClick={() => (migrating.value = true)}>Migrate records</Button>}
          {type && <a class="button" href={href(['data', type.baseId])}><Icon name="data" />Records</a>}
        </div>
      </header>
      <div class="card">
        <div class="pair">
          <Field label="Id" hint={type ? undefined : 'A name of your own, a slash, the collection, @ and a version: com.example/note@1'}>
            {(attributes) => (
              <input {...attributes} class="mono" placeholder="com.example/note@1" readOnly={Boolean(type)} value={id.value} onInput={(event) => (id.value = event.currentTarget.value)} />
            )}
          </Field>
          <Field label="Name" hint={type ? undefined : 'For people: Note'}>
            {(attributes) => <input {...attributes} readOnly={locked} value={name.value} onInput={(event) => (name.value = event.currentTarget.value)} />}
          </Field>
        </div>
        <Tabs label="Schema as" tabs={[{ id: 'fields', label: 'Fields' }, { id: 'raw', label: 'Schema' }]} current={view.value} onPick={(to) => (view.value = to)} />
        <div role="tabpanel" aria-label={view.value}>
          {view.value === 'fields'
            ? <FieldTable schema={schema} locked={locked} before={type?.schema} />
            : (
              <JsonEditor
                label="Schema as JSON"
                readOnly={locked}
                value={schema.value as unknown as JsonObject}
                onChange={(value) => (schema.value = value as unknown as Schema)}
                onBroken={(is) => (broken.value = is)}
              />
            )}
        </div>
        <Problem of={fault.value} />
        {drift && type && (
          <p class="row">
            <span>Records of {type.id} were written under the old schema. A new version keeps them as they are.</span>
            <Button kind="primary" onClick={() => look(next, type.id)}>Register as {next}</Button>
          </p>
        )}
        {!locked && edited && (
          <div class="row end">
            {type && <Button onClick={() => { schema.value = type.schema; name.value = type.name; fault.value = null; }}>Discard</Button>}
            <Button kind="primary" disabled={busy.value || broken.value || !id.value.trim() || !name.value.trim()} onClick={() => look()}>
              {type ? 'Review and save' : 'Review and register'}
            </Button>
          </div>
        )}
      </div>
      {type && (
        <section class="card" aria-label="From a terminal">
          <h2>From a terminal</h2>
          <Code text={curl('records', 'POST', { typeId: type.id, content: example(type.schema) })} />
        </section>
      )}
      {review.value && (
        <Review
          of={review.value}
          next={next}
          onClose={() => (review.value = null)}
          onSave={() => review.value && save(review.value.id, review.value.from)}
          onNext={type ? () => look(next, type.id) : undefined}
        />
      )}
      {migrating.value && type && <Migrate to={type} from={others} onClose={() => (migrating.value = false)} />}
      {inferring.value && (
        <Infer
          base={type?.baseId}
          onClose={() => (inferring.value = false)}
          onInferred={(found) => {
            schema.value = type ? { ...found, ...schema.value } : found;
            inferring.value = false;
          }}
        />
      )}
    </div>
  );
}

/** What saving would mean, before it is done. */
function Review({ of, next, onClose, onSave, onNext }: {
  of: { id: string; from: string | undefined; found: TypeCheck };
  next: string;
  onClose: () => void;
  onSave: () => void;
  onNext: (() => void) | undefined;
}) {
  const { found } = of;
  const refused = found.drift.length > 0 || (found.exists && found.duplicates.length > 0);
  const [at] = found.lookedAt;
  return (
    <Dialog title={found.exists ? `Change ${of.id}?` : `Register ${of.id}?`} wide onClose={onClose} actions={
      <>
        <Button onClick={onClose}>Cancel</Button>
        {refused && found.drift.length > 0 && onNext && <Button kind="primary" onClick={onNext}>Look at {next} instead</Button>}
        {!refused && <Button kind="primary" onClick={onSave}>{found.exists ? 'Save' : 'Register'}</Button>}
      </>
    }>
      {found.drift.length > 0 && (
        <div class="problem" role="alert">
          <p>This cannot be saved: it would break records that are valid today. A new version of the type leaves them as they are.</p>
          <ul>{found.drift.map((one) => <li key={one.path + one.message}><code>{one.path}</code> {one.message}</li>)}</ul>
        </div>
      )}
      <dl class="facts review">
        <dt>Records</dt>
        <dd>
          {found.records === 0 ? 'None yet.' : found.failing === 0
            ? <span class="yes">All {count(found.records)} fit.</span>
            : <><strong class="off">{count(found.failing)} of {count(found.records)} do not fit</strong>{found.exists ? '. They stay, and must be mended when they are next written.' : ` as they are. They stay in ${found.lookedAt.join(', ')} until they are migrated.`}</>}
        </dd>
        {found.duplicates.length > 0 && <><dt>Not unique</dt><dd><strong class="off">{found.duplicates.join(', ')}</strong>: records share values</dd></>}
        <dt>Indexes</dt>
        <dd>
          {found.indexesMade.length > 0 && <>built: <code>{found.indexesMade.join(', ')}</code> </>}
          {found.indexesDropped.length > 0 && <>dropped: <code>{found.indexesDropped.join(', ')}</code></>}
          {found.indexesMade.length + found.indexesDropped.length === 0 && 'as they are'}
        </dd>
      </dl>
      {found.examples.length > 0 && (
        <>
          <h3>{found.failing > found.examples.length ? `The first ${found.examples.length} that do not fit` : 'Those that do not fit'}</h3>
          <ul class="lines">
            {found.examples.map((one) => (
              <li key={one.id}>
                <a class="mono" href={href(['data', (at ?? of.id).replace(/@\d+$/, '')], { record: one.id })}>{one.id}</a>
                <span class="faults">{one.faults.map((fault) => `${fault.path}: ${fault.message}`).join('; ')}</span>
              </li>
            ))}
          </ul>
        </>
      )}
    </Dialog>
  );
}

const MIGRATED_PAGE_ROWS = 200;

/** Moves the records of another version here, as they are; each is checked by the server. */
function Migrate({ to, from, onClose }: { to: TypeInfo; from: TypeInfo[]; onClose: () => void }) {
  const source = useSignal(from.at(-1)?.id ?? '');
  const done = useSignal<number | null>(null);
  const failed = useSignal<string[]>([]);
  const fault = useSignal<unknown>(null);
  const run = async () => {
    done.value = 0;
    failed.value = [];
    const moved: StackRecord[] = [];
    try {
      let cursor: string | null = null;
      do {
        const page = await query({ filter: { typeId: source.value }, limit: MIGRATED_PAGE_ROWS, cursor, sort: { field: 'createdAt', direction: 'asc' } });
        for (const record of page.records) {
          try {
            moved.push(await migrateRecord(record.id, to.id, record.content, record.version));
          } catch (problem) {
            failed.value = [...failed.value, `${record.id}: ${problem instanceof ApiError && problem.faults[0] ? `${problem.faults[0].path} ${problem.faults[0].message}` : (problem as Error).message}`];
          }
          done.value = moved.length;
        }
        cursor = page.cursor;
      } while (cursor);
    } catch (problem) {
      fault.value = problem;
    }
    announce('many');
    await refreshCatalog();
    if (moved.length) {
      say(`${plural(moved.length, 'record')} moved to ${to.id}.`, {
        label: 'Undo',
        run: async () => {
          for (const one of moved) await restoreRecord(one.id, one.version - 1, one.version).catch(complain);
          announce('many');
          await refreshCatalog();
        },
      });
    }
    if (!failed.value.length && !fault.value) onClose();
    done.value = null;
  };
  return (
    <Dialog title={`Migrate records to ${to.id}`} onClose={onClose} actions={
      <>
        <Button onClick={onClose}>Close</Button>
        <Button kind="primary" disabled={done.value !== null} onClick={run}>Migrate</Button>
      </>
    }>
      <Field label="All records of" hint="Their content stays as it is; each gets a new version. What does not fit the schema stays where it is.">
        {(attributes) => (
          <select {...attributes} value={source.value} onChange={(event) => (source.value = event.currentTarget.value)}>
            {from.map((one) => <option key={one.id}>{one.id}</option>)}
          </select>
        )}
      </Field>
      {done.value !== null && <p class="hint" role="status">{count(done.value)} moved…</p>}
      <Problem of={fault.value} />
      {failed.value.length > 0 && (
        <div class="problem" role="alert">
          <p>{plural(failed.value.length, 'record')} stayed:</p>
          <ul>{failed.value.slice(0, 10).map((one) => <li key={one}>{one}</li>)}</ul>
        </div>
      )}
    </Dialog>
  );
}

function example(schema: Schema): JsonObject {
  const value = (field: FieldDef): JsonObject[string] => {
    switch (field.kind) {
      case 'number': return 1;
      case 'boolean': return true;
      case 'date': return '2024-01-31';
      case 'array': return field.items ? [value(field.items)] : [];
      case 'object': return example(field.properties ?? {});
      case 'file-ref': return '0'.repeat(64);
      default: return '…';
    }
  };
  return Object.fromEntries(Object.entries(schema).map(([name, field]) => [name, value(field)]));
}

function FieldTable({ schema, locked, before }: { schema: Signal<Schema>; locked: boolean; before: Schema | undefined }) {
  const name = useSignal('');
  const kind = useSignal<Kind>('string');
  const put = (field: string, definition: FieldDef) => (schema.value = { ...schema.value, [field]: definition });
  const flag = (definition: FieldDef, flagName: 'required' | 'indexed' | 'unique', on: boolean): FieldDef => {
    const next = { ...definition };
    if (on) next[flagName] = true;
    else delete next[flagName];
    return next;
  };
  const withKind = (definition: FieldDef, to: Kind): FieldDef => {
    const { items: _, properties: __, ...rest } = definition;
    return { ...rest, kind: to, ...(to === 'array' ? { items: { kind: 'string' } } : {}), ...(to === 'object' ? { properties: {} } : {}) };
  };
  const drop = (field: string) => {
    const { [field]: _, ...rest } = schema.value;
    schema.value = rest;
  };
  const list = Object.entries(schema.value);
  return (
    <>
      {list.length === 0 && <p class="hint">No fields declared: records may hold any.</p>}
      {list.length > 0 && (
        <div class="scroll" tabIndex={0} role="group" aria-label="Fields">
          <table class="fields">
            <thead><tr><th scope="col">Field</th><th scope="col">Kind</th><th scope="col">Required</th><th scope="col">Indexed</th><th scope="col">Unique</th><th><span class="unseen">Remove</span></th></tr></thead>
            <tbody>
              {list.map(([field, definition]) => (
                <tr key={field} class={before && !(field in before) ? 'fresh' : ''}>
                  <th scope="row"><code>{field}</code></th>
                  <td>
                    <select aria-label={`Kind of ${field}`} disabled={locked} value={definition.kind} onChange={(event) => put(field, withKind(definition, event.currentTarget.value as Kind))}>
                      {KINDS.map((one) => <option key={one}>{one}</option>)}
                    </select>
                    {definition.kind === 'array' && definition.items && (
                      <>
                        {' of '}
                        <select aria-label={`Kind of the items of ${field}`} disabled={locked} value={definition.items.kind} onChange={(event) => put(field, { ...definition, items: withKind({ kind: 'string' }, event.currentTarget.value as Kind) })}>
                          {KINDS.map((one) => <option key={one}>{one}</option>)}
                        </select>
                      </>
                    )}
                    {definition.kind === 'object' && <small> {Object.keys(definition.properties ?? {}).join(', ') || 'edit its fields in the schema'}</small>}
                  </td>
                  {(['required', 'indexed', 'unique'] as const).map((one) => (
                    <td key={one}>
                      <input type="checkbox" aria-label={`${field} is ${one}`} disabled={locked} checked={Boolean(definition[one])} onChange={(event) => put(field, flag(definition, one, event.currentTarget.checked))} />
                    </td>
                  ))}
                  <td>{!locked && <Button kind="quiet" icon="close" aria-label={`Remove ${field}`} onClick={() => drop(field)} />}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {!locked && (
        <form class="row add" onSubmit={(event) => {
          event.preventDefault();
          const field = name.value.trim();
          if (field) put(field, withKind({ kind: 'string' }, kind.value));
          name.value = '';
        }}>
          <input aria-label="Name of the new field" placeholder="new field" value={name.value} onInput={(event) => (name.value = event.currentTarget.value)} />
          <select aria-label="Kind of the new field" value={kind.value} onChange={(event) => (kind.value = event.currentTarget.value as Kind)}>
            {KINDS.map((one) => <option key={one}>{one}</option>)}
          </select>
          <Button type="submit" icon="plus" disabled={!name.value.trim() || name.value.trim() in schema.value}>Add field</Button>
        </form>
      )}
    </>
  );
}

const INFER_ROWS = 200;

function Infer({ base, onClose, onInferred }: { base: string | undefined; onClose: () => void; onInferred: (schema: Schema) => void }) {
  const text = useSignal('');
  const found = useSignal<Schema | null>(null);
  const fault = useSignal<unknown>(null);
  useEffect(() => {
    if (!text.value.trim()) {
      found.value = null;
      fault.value = null;
      return;
    }
    try {
      found.value = infer(examplesFrom(text.value));
      fault.value = null;
    } catch (problem) {
      found.value = null;
      fault.value = `This cannot be read yet: ${(problem as Error).message}`;
    }
  }, [text.value]);
  const fromRecords = async () => {
    try {
      const list = (types.value ?? []).filter((one) => one.baseId === base).map((one) => one.id);
      const page = await query({ filter: { typeId: list }, limit: INFER_ROWS });
      text.value = JSON.stringify(page.records.map((one) => one.content), null, 2);
    } catch (problem) {
      fault.value = problem;
    }
  };
  return (
    <Dialog
      title="Infer a schema"
      wide
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" disabled={!found.value} onClick={() => found.value && onInferred(found.value)}>Use these fields</Button>
        </>
      }
    >
      <Field label="Paste a record as JSON, a list of records, or one per line">
        {(attributes) => <textarea {...attributes} class="mono" rows={10} spellcheck={false} value={text.value} onInput={(event) => (text.value = event.currentTarget.value)} />}
      </Field>
      {base && <Button onClick={fromRecords}>Take its newest {INFER_ROWS} records</Button>}
      <Problem of={fault.value} />
      {found.value && (
        <ul class="chips" aria-label="Found fields">
          {Object.entries(found.value).map(([field, one]) => <li class="chip" key={field}>{field} <small>{one.kind}{one.required ? ', required' : ''}</small></li>)}
        </ul>
      )}
    </Dialog>
  );
}
