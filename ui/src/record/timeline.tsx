// Every version of a record: what each change did, any two side by side, and the way back to one of
// them as a whole or field by field.

import type { ComponentChildren } from 'preact';
import { useSignal } from '@preact/signals';
import { restoreRecord, versions } from '../api/stack';
import { ApiError } from '../api/client';
import type { Association, Json, StackRecord } from '../api/types';
import { fieldChanges, listChanges, same, summary, words, type FieldChange, type State } from '../lib/diff';
import { Button, Loading, Problem, Time, Value } from '../parts/basics';
import { useLoaded } from '../parts/use';
import { complain, say } from '../state/notices';
import { saveContent } from './save';

interface Version extends State {
  version: number;
  updatedAt: string;
  current: boolean;
}

export function Timeline(
  { record, onChanged, onConflict }: { record: StackRecord; onChanged: (record: StackRecord) => void; onConflict: () => void },
) {
  const past = useLoaded(() => versions(record.id), [record.id, record.version]);
  const from = useSignal<number | null>(null);
  const to = useSignal<number | null>(null);
  if (past.fault.value) return <Problem of={past.fault.value} />;
  if (!past.data.value) return <Loading />;
  const all: Version[] = [
    { ...record, associations: record.associations ?? [], permissions: record.permissions ?? [], current: true },
    ...past.data.value.map((one) => ({ ...one, permissions: one.permissions ?? [], current: false })),
  ];
  if (all.length === 1) return <p class="hint">This is the first version. Every later change will be listed here, and can be taken back.</p>;
  const at = (version: number | null, fallback: number) => all.find((one) => one.version === version) ?? all[fallback] ?? (all[0] as Version);
  const after = at(to.value, 0);
  const before = at(from.value, 1);

  const act = async (work: Promise<StackRecord>, done: string) => {
    try {
      onChanged(await work);
      from.value = to.value = null;
      say(done);
    } catch (problem) {
      complain(problem instanceof ApiError && problem.status === 412 ? 'The record changed meanwhile. Look again.' : problem);
      if (problem instanceof ApiError && problem.status === 412) onConflict();
    }
  };
  const restoreField = (field: string, source: Version) => {
    const content = { ...record.content };
    if (field in source.content) content[field] = source.content[field] as Json;
    else delete content[field];
    void act(saveContent(record, content), `${field} is as it was in version ${source.version}.`);
  };
  return (
    <div class="timeline">
      <ol>
        {all.map((one, index) => (
          <li key={one.version} class={`${one.version === after.version ? 'after' : ''} ${one.version === before.version ? 'before' : ''}`}>
            <div class="sides">
              <input type="radio" name="from" aria-label={`Compare from version ${one.version}`} title="Compare from" checked={one.version === before.version} onChange={() => (from.value = one.version)} />
              <input type="radio" name="to" aria-label={`Compare to version ${one.version}`} title="Compare to" checked={one.version === after.version} onChange={() => (to.value = one.version)} />
            </div>
            <button
              type="button"
              class="textual"
              title="What this change did"
              onClick={() => {
                to.value = one.version;
                from.value = all[index + 1]?.version ?? one.version;
              }}
            >
              <strong>Version {one.version}</strong>
              <span>{summary(all[index + 1], one)}</span>
            </button>
            <span class="hint">{one.current ? 'now · ' : ''}<Time at={one.updatedAt} /></span>
            {!one.current && (
              <Button icon="restore" onClick={() => act(restoreRecord(record.id, one.version, record.version), `Version ${one.version} is back, as a new version.`)}>
                Restore
              </Button>
            )}
          </li>
        ))}
      </ol>
      <section aria-label="Difference">
        <h3>Version {before.version} → version {after.version}</h3>
        <Difference before={before} after={after} now={record} onRestore={restoreField} />
      </section>
    </div>
  );
}

function Difference(
  { before, after, now, onRestore }: {
    before: Version;
    after: Version;
    now: StackRecord;
    onRestore: (field: string, source: Version) => void;
  },
) {
  const changes = fieldChanges(before.content, after.content);
  const links = listChanges(before.associations, after.associations);
  const rights = !same(before.permissions as Json, after.permissions as Json);
  if (!changes.length && !links.added.length && !links.removed.length && !rights && before.typeId === after.typeId) {
    return <p class="hint">Content, links and permissions are the same.</p>;
  }
  const back = (field: string) => {
    const source = before.version < after.version ? before : after;
    if (same(source.content[field], now.content[field])) return null;
    return <Button kind="quiet" icon="restore" onClick={() => onRestore(field, source)}>Take {field} from version {source.version}</Button>;
  };
  return (
    <dl class="diff">
      {before.typeId !== after.typeId && <Change name="type"><del>{before.typeId}</del> <ins>{after.typeId}</ins></Change>}
      {changes.map((one) => (
        <div key={one.field}>
          <dt>{one.field}{back(one.field)}</dt>
          <dd><FieldDifference of={one} /></dd>
        </div>
      ))}
      {(links.added.length > 0 || links.removed.length > 0) && (
        <Change name="links">
          {links.removed.map((one) => <del key={linkText(one)}>{linkText(one)}</del>)}
          {links.added.map((one) => <ins key={linkText(one)}>{linkText(one)}</ins>)}
        </Change>
      )}
      {rights && (
        <Change name="permissions">
          <del><Value of={before.permissions as unknown as Json} /></del> <ins><Value of={after.permissions as unknown as Json} /></ins>
        </Change>
      )}
    </dl>
  );
}

function Change({ name, children }: { name: string; children: ComponentChildren }) {
  return <div><dt>{name}</dt><dd>{children}</dd></div>;
}

const linkText = (one: Association) =>
  one.kind === 'tag' ? `tag ${one.label}` : one.kind === 'attachment' ? `file ${one.label}` : `${one.label} → ${one.recordId}`;

function FieldDifference({ of }: { of: FieldChange }) {
  if (of.how === 'added') return <ins><Value of={of.after} long /></ins>;
  if (of.how === 'removed') return <del><Value of={of.before} long /></del>;
  const text = (value: Json) => typeof value === 'string' ? value : JSON.stringify(value, null, 2);
  const structured = (value: Json) => (typeof value === 'string' && value !== '') || (typeof value === 'object' && value !== null);
  if (!structured(of.before) || !structured(of.after)) {
    return <><del><Value of={of.before} long /></del> <ins><Value of={of.after} long /></ins></>;
  }
  return (
    <span class="words">
      {words(text(of.before), text(of.after)).map((piece, index) =>
        piece.how === 'same' ? <span key={index}>{piece.text}</span> : piece.how === 'added' ? <ins key={index}>{piece.text}</ins> : <del key={index}>{piece.text}</del>,
      )}
    </span>
  );
}
