// What the grid does with many records at once: export, import, set a field, add a tag. Loaded when first used.

import { useSignal } from '@preact/signals';
import { useRef } from 'preact/hooks';
import { associate, createRecord, deleteRecord, patchRecord, purgeRecord, query } from '../api/stack';
import type { Filter, Json, JsonObject, Kind, StackRecord } from '../api/types';
import { count, plural } from '../lib/format';
import { fromText, KINDS } from '../lib/schema';
import { download, MEDIA, read, written, type FileForm } from '../lib/table-files';
import { Button, Dialog, Field, Problem, Value } from '../parts/basics';
import { asOf } from '../router';
import { countAgain, type Collection } from '../state/catalog';
import { announce } from '../state/changed';
import { complain, say } from '../state/notices';

/** Requests at once. */
const AT_ONCE = 6;
const EXPORT_PAGE_ROWS = 1_000;
const EXPORT_ROWS_MAX = 200_000;
const IMPORT_ROWS_MAX = 20_000;
const SHOWN_ROWS = 5;
const FAULTS_SHOWN = 10;

/** Runs over a list a few at a time; what failed comes back with its fault. */
export async function overAll<T>(list: T[], run: (one: T) => Promise<unknown>, done: (part: number) => void): Promise<{ one: T; fault: unknown }[]> {
  const failed: { one: T; fault: unknown }[] = [];
  let [next, finished] = [0, 0];
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    while (next < list.length) {
      const one = list[next++] as T;
      try {
        await run(one);
      } catch (fault) {
        failed.push({ one, fault });
      }
      done(++finished / list.length);
    }
  }));
  return failed;
}

function Progress({ part, label }: { part: number; label: string }) {
  return <div class="sending" role="status"><span>{label}</span><progress value={part} max={1} aria-label={label} /></div>;
}

export function ExportDialog({ collection, filter, chosen, onClose }: { collection: Collection; filter: Filter; chosen: StackRecord[]; onClose: () => void }) {
  const form = useSignal<FileForm>('ndjson');
  const whole = useSignal(false);
  const busy = useSignal(0);
  const fault = useSignal<unknown>(null);
  const stop = useRef(new AbortController());
  const run = async () => {
    busy.value = 1;
    try {
      let records = chosen;
      if (!chosen.length) {
        records = [];
        let cursor: string | null = null;
        do {
          const page = await query({ filter, limit: EXPORT_PAGE_ROWS, cursor }, asOf.value, stop.current.signal);
          records.push(...page.records);
          busy.value = records.length;
          cursor = page.cursor;
        } while (cursor && records.length < EXPORT_ROWS_MAX);
        if (cursor) throw new Error(`More than ${count(EXPORT_ROWS_MAX)} records: filter them, or use cairn export.`);
      }
      const rows = records.map((one) => (whole.value ? (one as unknown as JsonObject) : { id: one.id, ...one.content }));
      download(`${collection.name.toLowerCase().replace(/[^a-z0-9]+/g, '-')}.${form.value}`, MEDIA[form.value], [written(form.value, rows)]);
      say(`${plural(rows.length, 'record')} exported.`);
      onClose();
    } catch (problem) {
      if (!stop.current.signal.aborted) fault.value = problem;
      busy.value = 0;
    }
  };
  const close = () => {
    stop.current.abort();
    onClose();
  };
  return (
    <Dialog title={`Export ${chosen.length ? plural(chosen.length, 'record') : collection.name}`} onClose={close} actions={
      <>
        <Button onClick={close}>Cancel</Button>
        <Button kind="primary" disabled={busy.value > 0} onClick={run}>Export</Button>
      </>
    }>
      <p class="hint">{chosen.length ? 'What is chosen.' : 'Everything the filter finds, not only what is loaded.'}</p>
      <Field label="As">
        {(attributes) => (
          <select {...attributes} value={form.value} onChange={(event) => (form.value = event.currentTarget.value as FileForm)}>
            <option value="ndjson">NDJSON: one record a line</option>
            <option value="json">JSON: one list</option>
            <option value="csv">CSV: for spreadsheets</option>
          </select>
        )}
      </Field>
      {form.value !== 'csv' && (
        <label class="check"><input type="checkbox" checked={whole.value} onChange={(event) => (whole.value = event.currentTarget.checked)} />Whole records: with type, version, times, links</label>
      )}
      {busy.value > 1 && <p class="hint" role="status">{count(busy.value)} read…</p>}
      <Problem of={fault.value} />
    </Dialog>
  );
}

export function ImportDialog({ collection, onClose }: { collection: Collection; onClose: () => void }) {
  const text = useSignal('');
  const typeId = useSignal(collection.types.at(-1)?.id ?? '');
  const part = useSignal<number | null>(null);
  const failed = useSignal<{ row: number; fault: unknown }[]>([]);
  const schema = collection.types.find((one) => one.id === typeId.value)?.schema ?? {};
  let rows: JsonObject[] = [];
  let broken = '';
  if (text.value.trim()) {
    try {
      rows = read(text.value, schema);
      if (rows.length > IMPORT_ROWS_MAX) broken = `More than ${count(IMPORT_ROWS_MAX)} records: cairn import takes any number.`;
    } catch (fault) {
      broken = (fault as Error).message;
    }
  }
  const run = async () => {
    part.value = 0;
    const made: StackRecord[] = [];
    const numbered = rows.map((row, index) => {
      const { id: _, ...content } = row;
      return { row: index + 1, content };
    });
    const bad = await overAll(numbered, async ({ content }) => made.push(await createRecord({ typeId: typeId.value, content })), (done) => (part.value = done));
    part.value = null;
    failed.value = bad.map(({ one, fault }) => ({ row: one.row, fault })).sort((a, b) => a.row - b.row);
    countAgain();
    announce('many');
    if (made.length) {
      say(`${plural(made.length, 'record')} imported.`, {
        label: 'Undo',
        run: async () => {
          const kept = await overAll(made, (one) => deleteRecord(one.id, one.version).then(() => purgeRecord(one.id)), () => {});
          countAgain();
          announce('many');
          if (kept.length) complain(`${plural(kept.length, 'record')} changed meanwhile and stayed.`);
        },
      });
    }
    if (!bad.length) onClose();
  };
  return (
    <Dialog title={`Import into ${collection.name}`} wide onClose={onClose} actions={
      <>
        <Button onClick={onClose}>{failed.value.length ? 'Close' : 'Cancel'}</Button>
        <Button kind="primary" disabled={!rows.length || Boolean(broken) || part.value !== null} onClick={run}>
          {rows.length ? `Import ${plural(rows.length, 'record')}` : 'Import'}
        </Button>
      </>
    }>
      {collection.types.length > 1 && (
        <Field label="As">
          {(attributes) => (
            <select {...attributes} value={typeId.value} onChange={(event) => (typeId.value = event.currentTarget.value)}>
              {collection.types.map((one) => <option key={one.id}>{one.id}</option>)}
            </select>
          )}
        </Field>
      )}
      <div class="row">
        <span class="button pick-file">Choose a file<input type="file" aria-label="File to import" accept=".json,.ndjson,.jsonl,.csv,.txt" onChange={async (event) => {
          const file = event.currentTarget.files?.[0];
          if (file) text.value = await file.text();
        }} /></span>
        <span class="hint">NDJSON, a JSON list, or CSV whose first line names the fields</span>
      </div>
      <Field label="Or paste it">
        {(attributes) => <textarea {...attributes} class="mono" rows={7} spellcheck={false} value={text.value} onInput={(event) => (text.value = event.currentTarget.value)} />}
      </Field>
      <Problem of={broken} />
      {rows.length > 0 && !broken && (
        <div class="scroll" tabIndex={0} role="group" aria-label="The first records">
          <table class="list">
            <thead><tr>{Object.keys(rows[0] ?? {}).map((name) => <th scope="col" key={name}>{name}</th>)}</tr></thead>
            <tbody>{rows.slice(0, SHOWN_ROWS).map((row, at) => <tr key={at}>{Object.keys(rows[0] ?? {}).map((name) => <td key={name}><Value of={row[name]} /></td>)}</tr>)}</tbody>
          </table>
        </div>
      )}
      {part.value !== null && <Progress part={part.value} label="Importing…" />}
      {failed.value.length > 0 && (
        <div class="problem" role="alert">
          <p>{plural(failed.value.length, 'record')} did not fit; the others are in.</p>
          <ul>{failed.value.slice(0, FAULTS_SHOWN).map((one) => <li key={one.row}>Record {one.row}: {(one.fault as Error).message} {faultsOf(one.fault)}</li>)}</ul>
        </div>
      )}
    </Dialog>
  );
}

const faultsOf = (fault: unknown) =>
  ((fault as { faults?: { path: string; message: string }[] }).faults ?? []).map((one) => `${one.path}: ${one.message}`).join('; ');

/** The same change of many records, each with its version; all of them can be taken back. */
export function ChangeDialog({ what, fields, chosen, onClose }: { what: 'field' | 'tag'; fields: Record<string, Kind>; chosen: StackRecord[]; onClose: () => void }) {
  const field = useSignal(Object.keys(fields)[0] ?? '');
  const kind = useSignal<Kind | 'remove'>(fields[field.value] ?? 'string');
  const text = useSignal('');
  const fault = useSignal<unknown>(null);
  const part = useSignal<number | null>(null);
  const run = async (event: Event) => {
    event.preventDefault();
    try {
      const value: Json = kind.value === 'remove' ? null : fromText(kind.value, text.value);
      part.value = 0;
      const done: { before: StackRecord; after: StackRecord }[] = [];
      const failed = await overAll(chosen, async (before) => {
        const after = what === 'tag'
          ? await associate(before.id, { kind: 'tag', label: text.value.trim() })
          : await patchRecord(before.id, { [field.value]: value }, before.version);
        done.push({ before, after });
      }, (now) => (part.value = now));
      announce('many');
      if (failed.length) complain(`${plural(failed.length, 'record')} stayed: ${(failed[0]?.fault as Error).message}`);
      if (done.length) {
        say(`${plural(done.length, 'record')} changed.`, what === 'tag' ? undefined : {
          label: 'Undo',
          run: async () => {
            const kept = await overAll(done, ({ before, after }) => patchRecord(after.id, { [field.value]: before.content[field.value] ?? null }, after.version), () => {});
            announce('many');
            if (kept.length) complain(`${plural(kept.length, 'record')} changed meanwhile and stayed.`);
          },
        });
      }
      onClose();
    } catch (problem) {
      fault.value = problem;
      part.value = null;
    }
  };
  return (
    <Dialog title={what === 'tag' ? `Tag ${plural(chosen.length, 'record')}` : `Set a field of ${plural(chosen.length, 'record')}`} onClose={onClose} actions={
      <>
        <Button onClick={onClose}>Cancel</Button>
        <Button kind="primary" type="submit" form="change-many" disabled={part.value !== null}>Change {plural(chosen.length, 'record')}</Button>
      </>
    }>
      <form id="change-many" onSubmit={run}>
        {what === 'field' && (
          <>
            <Field label="Field">
              {(attributes) => (
                <select {...attributes} value={field.value} onChange={(event) => {
                  field.value = event.currentTarget.value;
                  kind.value = fields[field.value] ?? 'string';
                }}>
                  {Object.keys(fields).map((name) => <option key={name}>{name}</option>)}
                </select>
              )}
            </Field>
            <Field label="Becomes">
              {(attributes) => (
                <select {...attributes} value={kind.value} onChange={(event) => (kind.value = event.currentTarget.value as Kind)}>
                  {KINDS.map((one) => <option key={one} value={one}>a {one}</option>)}
                  <option value="remove">absent</option>
                </select>
              )}
            </Field>
          </>
        )}
        {kind.value !== 'remove' && (
          <Field label={what === 'tag' ? 'Tag' : 'Value'}>
            {(attributes) => <input {...attributes} required={what === 'tag'} value={text.value} onInput={(event) => (text.value = event.currentTarget.value)} />}
          </Field>
        )}
        {part.value !== null && <Progress part={part.value} label="Changing…" />}
        <Problem of={fault.value} />
      </form>
    </Dialog>
  );
}
