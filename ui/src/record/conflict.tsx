// Somebody else was faster: both sides field by field, and a choice for each.

import { useSignal } from '@preact/signals';
import { getRecord } from '../api/stack';
import type { JsonObject, StackRecord } from '../api/types';
import { fieldChanges, same } from '../lib/diff';
import { Button, Dialog, Loading, Problem, Value } from '../parts/basics';
import { useLoaded } from '../parts/use';
import { saveContent } from './save';

export interface Conflict {
  /** As it was when the editing began. */
  seen: StackRecord;
  mine: JsonObject;
}

export function ConflictDialog(
  { of, onClose, onSaved }: { of: Conflict; onClose: () => void; onSaved: (record: StackRecord) => void },
) {
  const theirs = useLoaded(() => getRecord(of.seen.id), [of.seen.id]);
  const choice = useSignal<Record<string, 'mine' | 'theirs'>>({});
  const fault = useSignal<unknown>(null);
  const now = theirs.data.value;
  const myFields = fieldChanges(of.seen.content, of.mine).map((one) => one.field);
  const theirFields = now ? fieldChanges(of.seen.content, now.content).map((one) => one.field) : [];
  const both = myFields.filter((field) => now && theirFields.includes(field) && !same(of.mine[field], now.content[field]));
  const merged = () => {
    const content = { ...now?.content };
    for (const field of myFields) {
      if (both.includes(field) && choice.value[field] === 'theirs') continue;
      if (field in of.mine) content[field] = of.mine[field] ?? null;
      else delete content[field];
    }
    return content;
  };
  const save = async () => {
    if (!now) return;
    try {
      onSaved(await saveContent(now, merged()));
    } catch (problem) {
      // Faster once more: look again.
      fault.value = problem;
      await theirs.again();
    }
  };
  return (
    <Dialog
      title="Changed by somebody else"
      wide
      onClose={onClose}
      actions={
        <>
          <Button onClick={() => now && onSaved(now)}>Drop my changes</Button>
          <Button kind="primary" disabled={!now} onClick={save}>Save {both.length ? 'what is chosen' : 'both changes'}</Button>
        </>
      }
    >
      <Problem of={theirs.fault.value ?? fault.value} />
      {!now && !theirs.fault.value && <Loading />}
      {now && (
        <>
          <p>
            You began with version {of.seen.version}; it is version {now.version} now.{' '}
            {both.length ? 'For each field that both of you changed, choose what stays.' : 'You changed different fields, so both changes fit together.'}
          </p>
          {now.deletedAt && <p><strong>It was deleted meanwhile.</strong></p>}
          <table class="conflict">
            <thead><tr><th scope="col">Field</th><th scope="col">Yours</th><th scope="col">Theirs</th></tr></thead>
            <tbody>
              {[...new Set([...myFields, ...theirFields])].map((field) => {
                const picked = both.includes(field) ? choice.value[field] ?? 'mine' : myFields.includes(field) ? 'mine' : 'theirs';
                const option = (side: 'mine' | 'theirs', content: JsonObject) => (
                  <td class={picked === side ? 'picked' : ''}>
                    <label class="check">
                      <input
                        type="radio"
                        name={`side-${field}`}
                        aria-label={`${field}: ${side === 'mine' ? 'yours' : 'theirs'}`}
                        checked={picked === side}
                        disabled={!both.includes(field)}
                        onChange={() => (choice.value = { ...choice.value, [field]: side })}
                      />
                      <Value of={content[field]} long />
                    </label>
                  </td>
                );
                return <tr key={field}><th scope="row">{field}</th>{option('mine', of.mine)}{option('theirs', now.content)}</tr>;
              })}
            </tbody>
          </table>
        </>
      )}
    </Dialog>
  );
}
