// The rules of collections made through the live protocol: a matrix of collections and operations, and the document
// itself, as one state.

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { ApiError } from '../api/client';
import { removeRules, rules, setRules } from '../api/stack';
import type { Json, JsonObject } from '../api/types';
import { same } from '../lib/diff';
import { Button, Confirm, Loading, Problem } from '../parts/basics';
import { CodeEditor, type Mark } from '../parts/code-editor';
import { useLoaded } from '../parts/use';
import { asOf } from '../router';
import { collections } from '../state/catalog';
import { say } from '../state/notices';

const OPERATIONS = ['read', 'create', 'update', 'delete'] as const;
const PLAIN: { id: string; label: string; rule: Json | undefined }[] = [
  { id: 'none', label: 'nobody (not said)', rule: undefined },
  { id: 'false', label: 'nobody', rule: false },
  { id: 'true', label: 'everybody', rule: true },
  { id: 'auth', label: 'who is signed in', rule: { auth: true } },
  { id: 'viewer', label: 'viewers and up', rule: { role: 'viewer' } },
  { id: 'editor', label: 'editors and up', rule: { role: 'editor' } },
  { id: 'admin', label: 'administrators', rule: { role: 'admin' } },
];
const EMPTY: JsonObject = { version: 1, entities: {} };
const isObject = (value: Json | undefined): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value);
const pretty = (value: Json) => JSON.stringify(value, null, 2);

/** Where in the text a dotted path stands: each key after the one before. */
function placeOf(text: string, path: string): { from: number; to: number } {
  let at = 0;
  let key = '';
  for (const part of path.split(/[.[\]]+/).filter(Boolean)) {
    const found = text.indexOf(`"${part}"`, at);
    if (found < 0) break;
    key = part;
    at = found + 1;
  }
  return { from: Math.max(0, at - 1), to: at + key.length + 1 };
}

export function Rules() {
  const stored = useLoaded(rules, []);
  const text = useSignal('');
  const fault = useSignal<unknown>(null);
  const removing = useSignal(false);
  const readOnly = asOf.value !== undefined;
  useEffect(() => {
    if (stored.data.value) text.value = pretty(Object.keys(stored.data.value).length ? stored.data.value : EMPTY);
  }, [stored.data.value]);
  let document: JsonObject | null = null;
  try {
    const parsed = JSON.parse(text.value) as Json;
    document = isObject(parsed) ? parsed : null;
  } catch {
    // Being typed.
  }
  if (!stored.data.value) return stored.fault.value ? <Problem of={stored.fault.value} /> : <Loading />;
  const there = Object.keys(stored.data.value).length > 0;
  const entities = isObject(document?.['entities']) ? document['entities'] : {};
  const names = [...new Set([
    ...Object.keys(entities),
    ...collections.value.filter((one) => !one.system && !/[./]/.test(one.base)).map((one) => one.base),
  ])].sort();
  const put = (entity: string, operation: string, rule: Json | undefined) => {
    const of = isObject(entities[entity]) ? { ...entities[entity] } : {};
    if (rule === undefined) delete of[operation];
    else of[operation] = rule;
    text.value = pretty({ ...(document ?? EMPTY), entities: { ...entities, [entity]: of } });
  };
  const save = async (next: JsonObject) => {
    try {
      const before = stored.data.value ?? {};
      await setRules(next);
      fault.value = null;
      await stored.again();
      say('The rules are in force.', { label: 'Undo', run: async () => {
        if (Object.keys(before).length) await setRules(before);
        else await removeRules();
        await stored.again();
      } });
    } catch (problem) {
      fault.value = problem;
    }
  };
  const marks: Mark[] = fault.value instanceof ApiError ? fault.value.faults.map((one) => ({ ...placeOf(text.value, one.path), message: `${one.path}: ${one.message}` })) : [];
  const edited = document !== null && !same(document, there ? stored.data.value : EMPTY);
  return (
    <section aria-label="Rules">
      <p class="hint">
        {there
          ? 'What is not allowed here is refused, in collections made through /api/data. Administrators and the owner pass every rule.'
          : 'There is no document: whoever is signed in may read and write every collection made through /api/data. Saving one ends that.'}
      </p>
      {names.length > 0 && (
        <div class="scroll card" tabIndex={0} role="group" aria-label="Who may do what">
          <table class="list matrix">
            <thead><tr><th scope="col">Collection</th>{OPERATIONS.map((one) => <th scope="col" key={one}>{one}</th>)}</tr></thead>
            <tbody>
              {names.map((entity) => (
                <tr key={entity}>
                  <th scope="row">{entity}</th>
                  {OPERATIONS.map((operation) => {
                    const rule = isObject(entities[entity]) ? entities[entity][operation] : undefined;
                    const known = PLAIN.find((one) => same(one.rule, rule));
                    return (
                      <td key={operation}>
                        <select aria-label={`${operation} ${entity}`} disabled={readOnly || !document} value={known?.id ?? 'own'} onChange={(event) => put(entity, operation, PLAIN.find((one) => one.id === event.currentTarget.value)?.rule)}>
                          {!known && <option value="own">by a rule of its own</option>}
                          {PLAIN.map((one) => <option key={one.id} value={one.id}>{one.label}</option>)}
                        </select>
                        {!known && <code class="below">{JSON.stringify(rule)}</code>}
                      </td>
                    );
                  })}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <h2>The document</h2>
      <CodeEditor label="Rules document" text={text} readOnly={readOnly} marks={marks} onEdit={() => (fault.value = null)} />
      <p class="hint">A rule is true, false, {'{"auth":true}'}, {'{"role":"editor"}'}, {'{"$where":{"userId":"$auth.userId"}}'}, or any and all of these.</p>
      <Problem of={fault.value} />
      {!readOnly && (
        <div class="row end">
          {there && <Button onClick={() => (removing.value = true)}>Take the document away</Button>}
          {edited && <Button onClick={() => { text.value = pretty(there ? stored.data.value ?? {} : EMPTY); fault.value = null; }}>Discard</Button>}
          <Button kind="primary" disabled={!document || (!edited && there)} onClick={() => document && save(document)}>Save rules</Button>
        </div>
      )}
      {removing.value && (
        <Confirm title="Take the rules away?" label="Take away" onClose={() => (removing.value = false)} onYes={async () => {
          const before = stored.data.value ?? {};
          await removeRules();
          await stored.again();
          say('There are no rules now.', { label: 'Undo', run: async () => {
            await setRules(before);
            await stored.again();
          } });
        }}>
          <p>Whoever is signed in may then read and write every collection made through /api/data.</p>
        </Confirm>
      )}
    </section>
  );
}
