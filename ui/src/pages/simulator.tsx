// Who may do what to a record, and the rule that decides: asked of the server, which judges as for a request.

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { explain, getRecord, query, users } from '../api/stack';
import type { Action, Decision, StackRecord } from '../api/types';
import { titleOf } from '../lib/record';
import { Button, Field, Loading, Problem } from '../parts/basics';
import { useLoaded } from '../parts/use';
import { goWith, href, place } from '../router';
import { typeById } from '../state/catalog';
import { session } from '../state/session';

const ACTIONS: { id: Action; label: string }[] = [
  { id: 'read', label: 'read it' }, { id: 'update', label: 'change it' }, { id: 'delete', label: 'delete it' },
  { id: 'permit', label: 'share it' }, { id: 'purge', label: 'remove it for good' },
];
const FOUND_MAX = 8;

export function Simulator() {
  const params = place.value.params;
  const [who, subject, id] = [params.get('who') ?? '', params.get('for') ?? '', params.get('of') ?? ''];
  const people = useLoaded(() => users(), []);
  const words = useSignal('');
  const found = useSignal<StackRecord[]>([]);
  const record = useLoaded(() => (id ? getRecord(id) : Promise.resolve(null)), [id]);
  const owner = session.value?.stack.entityId ?? '';
  const verdicts = useLoaded<Record<string, Decision> | null>(async () => {
    if (!id) return null;
    const all = await Promise.all(ACTIONS.map((one) => explain(id, one.id, who || undefined, subject || undefined)));
    return Object.fromEntries(ACTIONS.map((one, at) => [one.id, all[at] as Decision]));
  }, [id, who, subject]);
  useEffect(() => {
    const wanted = words.value.trim();
    if (wanted.length < 2) {
      found.value = [];
      return;
    }
    const timer = setTimeout(() => query({ filter: { search: wanted }, limit: FOUND_MAX }).then((page) => (found.value = page.records), () => (found.value = [])), 200);
    return () => clearTimeout(timer);
  }, [words.value]);
  const known = who === '' || who === owner || people.data.value?.some((one) => `did:cairn:${one.id}` === who);
  return (
    <section aria-label="Simulator" class="simulator">
      <div class="card">
        <div class="pair">
          <Field label="Who">
            {(attributes) => (
              <select {...attributes} value={known ? who : 'other'} onChange={(event) => goWith({ who: event.currentTarget.value === 'other' ? 'did:' : event.currentTarget.value || undefined }, true)}>
                <option value="">nobody is signed in</option>
                <option value={owner}>the owner</option>
                {people.data.value?.map((one) => <option key={one.id} value={`did:cairn:${one.id}`}>{one.email} ({one.role}{one.disabled ? ', shut out' : ''})</option>)}
                <option value="other">another identity…</option>
              </select>
            )}
          </Field>
          <Field label="On behalf of" hint="Both halves must allow it.">
            {(attributes) => <input {...attributes} class="mono" placeholder="nobody else" value={subject} onChange={(event) => goWith({ for: event.currentTarget.value.trim() || undefined }, true)} />}
          </Field>
        </div>
        {!known && (
          <Field label="Identity">
            {(attributes) => <input {...attributes} class="mono" placeholder="did:…" value={who} onChange={(event) => goWith({ who: event.currentTarget.value.trim() || undefined }, true)} />}
          </Field>
        )}
        <Field label="Which record" hint={record.data.value ? undefined : 'Its id, or words in it'}>
          {(attributes) => (
            <input {...attributes} placeholder="words, or an id" value={words.value} onInput={(event) => {
              words.value = event.currentTarget.value;
              if (/^[0-9a-hjkmnp-tv-z]{12}$/.test(words.value.trim())) goWith({ of: words.value.trim() }, true);
            }} />
          )}
        </Field>
        {found.value.length > 0 && (
          <ul class="chips" aria-label="Found records">
            {found.value.map((one) => (
              <li key={one.id}><button type="button" class="chip" onClick={() => { goWith({ of: one.id }, true); words.value = ''; }}>{titleOf(one)} <small>{typeById(one.typeId)?.name ?? one.typeId}</small></button></li>
            ))}
          </ul>
        )}
      </div>
      <Problem of={record.fault.value ?? verdicts.fault.value} />
      {!id && <p class="hint">Choose a record to see what may be done with it, and which rule says so.</p>}
      {record.data.value && (
        <div class="card">
          <h2><a href={href(['data', record.data.value.typeId.replace(/@\d+$/, '')], { record: record.data.value.id, tab: 'access' })}>{titleOf(record.data.value)}</a> <small>{record.data.value.typeId}</small></h2>
          {!verdicts.data.value && !verdicts.fault.value && <Loading />}
          {verdicts.data.value && (
            <table class="list">
              <thead><tr><th scope="col">May</th><th scope="col">Verdict</th><th scope="col">Because</th></tr></thead>
              <tbody>
                {ACTIONS.map((one) => {
                  const verdict = verdicts.data.value?.[one.id];
                  return (
                    <tr key={one.id}>
                      <th scope="row">{one.label}</th>
                      <td><strong class={verdict?.allowed ? 'yes' : 'off'}>{verdict?.allowed ? 'allowed' : 'denied'}</strong></td>
                      <td>{verdict?.rule}</td>
                    </tr>
                  );
                })}
              </tbody>
            </table>
          )}
          <div class="row end"><Button icon="restore" onClick={() => void verdicts.again()}>Ask again</Button></div>
        </div>
      )}
    </section>
  );
}
