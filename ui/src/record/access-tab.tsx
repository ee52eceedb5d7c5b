// Who may do what to a record: its own permissions, and what all rules together decide.

import { useSignal } from '@preact/signals';
import { explain, query, setPermissions, tokens } from '../api/stack';
import type { Action, Decision, Permission, StackRecord } from '../api/types';
import { shortDid } from '../lib/format';
import { same } from '../lib/diff';
import type { Json } from '../api/types';
import { Button, Loading, Problem } from '../parts/basics';
import { useLoaded } from '../parts/use';
import { say } from '../state/notices';
import { session } from '../state/session';

const ACTIONS: { action: Action; label: string }[] = [
  { action: 'read', label: 'read' },
  { action: 'update', label: 'change' },
  { action: 'delete', label: 'delete' },
  { action: 'permit', label: 'share' },
];
const KNOWN_MAX = 8;

export function AccessTab({ record, onChanged }: { record: StackRecord; onChanged: (record: StackRecord) => void }) {
  return (
    <div class="stacked">
      <Permissions record={record} onChanged={onChanged} />
      {session.value?.owner && <Simulator record={record} />}
    </div>
  );
}

function Permissions({ record, onChanged }: { record: StackRecord; onChanged: (record: StackRecord) => void }) {
  const before = record.permissions ?? [];
  const list = useSignal<Permission[]>(before);
  const fault = useSignal<unknown>(null);
  const groups = useLoaded(() => query({ filter: { typeId: '_group@1' }, limit: 200 }), []);
  const edited = !same(list.value as Json, before as Json);
  const put = (at: number, one: Permission) => (list.value = list.value.with(at, one));
  const save = async () => {
    try {
      const next = await setPermissions(record.id, list.value, record.version);
      list.value = next.permissions ?? [];
      fault.value = null;
      onChanged(next);
      say('Permissions saved.');
    } catch (problem) {
      fault.value = problem;
    }
  };
  const isPublic = list.value.some((one) => one.access === 'public');
  return (
    <section aria-label="Permissions">
      <h3>Permissions of this record</h3>
      {list.value.length === 0 && <p class="hint">Private: only the owner, and whoever a grant over the whole type lets in.</p>}
      <ul class="permissions">
        {list.value.map((one, at) => (
          <li key={at}>
            {one.access === 'public' && <span>Everybody may read, signed in or not</span>}
            {one.access === 'entity' && (
              <input class="mono" aria-label="Identity" placeholder="did:…" value={one.entityId} onInput={(event) => put(at, { ...one, entityId: event.currentTarget.value })} />
            )}
            {one.access === 'group' && (
              <>
                <select aria-label="Group" value={one.groupId} onChange={(event) => put(at, { ...one, groupId: event.currentTarget.value })}>
                  {!groups.data.value?.records.some((group) => group.id === one.groupId) && <option value={one.groupId}>{one.groupId || 'choose a group…'}</option>}
                  {groups.data.value?.records.map((group) => <option key={group.id} value={group.id}>{String(group.content['name'])}</option>)}
                </select>
                <label class="check"><input type="checkbox" checked={one.role === 'admin'} onChange={(event) => {
                  const { role: _, ...rest } = one;
                  put(at, event.currentTarget.checked ? { ...rest, role: 'admin' } : rest);
                }} />its admins only</label>
              </>
            )}
            {one.access !== 'public' && (
              <>
                <label class="check"><input type="checkbox" checked={one.read} onChange={(event) => put(at, { ...one, read: event.currentTarget.checked, write: event.currentTarget.checked && one.write })} />read</label>
                <label class="check"><input type="checkbox" checked={one.write} onChange={(event) => put(at, { ...one, write: event.currentTarget.checked, read: event.currentTarget.checked || one.read })} />write</label>
              </>
            )}
            <Button kind="quiet" icon="close" aria-label="Remove this entry" onClick={() => (list.value = list.value.filter((_, other) => other !== at))} />
          </li>
        ))}
      </ul>
      <div class="row">
        {!isPublic && <Button icon="plus" onClick={() => (list.value = [...list.value, { access: 'public' }])}>Everybody</Button>}
        <Button icon="plus" onClick={() => (list.value = [...list.value, { access: 'entity', entityId: '', read: true, write: false }])}>An identity</Button>
        <Button icon="plus" onClick={() => (list.value = [...list.value, { access: 'group', groupId: '', read: true, write: false }])}>A group</Button>
        {edited && <Button kind="primary" onClick={save}>Save permissions</Button>}
        {edited && <Button onClick={() => (list.value = before)}>Discard</Button>}
      </div>
      <Problem of={fault.value} />
    </section>
  );
}

interface Who {
  principal?: string;
  subject?: string;
}
const nameOf = (who: Who) =>
  !who.principal ? 'Nobody signed in' : who.subject && who.subject !== who.principal ? `${shortDid(who.principal)} for ${shortDid(who.subject)}` : shortDid(who.principal);

/** A row for everybody known, one for whoever is typed in; each cell is decided by the server. */
function Simulator({ record }: { record: StackRecord }) {
  const principal = useSignal('');
  const subject = useSignal('');
  const added = useSignal<Who[]>([]);
  const issued = useLoaded(tokens, []);
  const owner = session.value?.stack.entityId;
  const key = JSON.stringify([record.version, issued.data.value?.length, added.value]);
  const table = useLoaded(async () => {
    const named = (record.permissions ?? []).flatMap((one) => (one.access === 'entity' ? [{ principal: one.entityId }] : []));
    const known: Who[] = [
      {},
      ...[record.entityId ?? ''].filter((did) => did && did !== owner).map((did) => ({ principal: did })),
      ...named,
      ...(issued.data.value ?? []).filter((one) => one.principalId !== owner || one.subjectId !== owner).map((one) => ({ principal: one.principalId, subject: one.subjectId })),
    ];
    const once = new Map([...known.slice(0, KNOWN_MAX), ...added.value].map((who) => [nameOf(who), who]));
    return Promise.all([...once.values()].map(async (who) => ({
      who,
      decisions: await Promise.all(ACTIONS.map(({ action }) => explain(record.id, action, who.principal, who.subject))),
    })));
  }, [record.id, key]);
  return (
    <section aria-label="Who can see this">
      <h3>Who can see this</h3>
      <p class="hint">What all rules together decide, for whoever is known here. Try anybody else below.</p>
      <Problem of={table.fault.value} />
      {!table.data.value && !table.fault.value && <Loading />}
      {table.data.value && (
        <div class="scroll" tabIndex={0} role="group" aria-label="Decisions">
          <table class="matrix">
            <thead><tr><th scope="col">Who</th>{ACTIONS.map((one) => <th scope="col" key={one.action}>{one.label}</th>)}</tr></thead>
            <tbody>
              {table.data.value.map(({ who, decisions }) => (
                <tr key={nameOf(who)}>
                  <th scope="row" title={who.principal}>{nameOf(who)}</th>
                  {decisions.map((one, at) => <td key={at}><Verdict of={one} /></td>)}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <form class="row" onSubmit={(event) => {
        event.preventDefault();
        const who = { principal: principal.value.trim(), ...(subject.value.trim() ? { subject: subject.value.trim() } : {}) };
        added.value = [...added.value.filter((one) => nameOf(one) !== nameOf(who)), who];
      }}>
        <input aria-label="Identity to try" class="mono" placeholder="did:…" required pattern="did:[a-z0-9]+:[A-Za-z0-9._:%\-]+" value={principal.value} onInput={(event) => (principal.value = event.currentTarget.value)} />
        <input aria-label="Acting for (optional)" class="mono" placeholder="acting for… (optional)" value={subject.value} onInput={(event) => (subject.value = event.currentTarget.value)} />
        <Button type="submit">Try</Button>
      </form>
    </section>
  );
}

function Verdict({ of }: { of: Decision }) {
  return (
    <span class={`verdict ${of.allowed ? 'yes' : 'no'}`}>
      <strong>{of.allowed ? 'yes' : 'no'}</strong>
      <small>{of.rule}</small>
    </span>
  );
}
