// What differs between two states of a record: which fields, and inside texts which words.

import type { Association, Json, JsonObject, Permission } from '../api/types';

export interface State {
  content: JsonObject;
  typeId: string;
  associations: Association[];
  permissions: Permission[];
}

export type FieldChange =
  | { field: string; how: 'added'; after: Json }
  | { field: string; how: 'removed'; before: Json }
  | { field: string; how: 'changed'; before: Json; after: Json };

/** Equal as JSON; the order of keys does not count. */
export function same(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true;
  if (a === null || b === null || typeof a !== 'object' || typeof b !== 'object') return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((one, at) => same(one, b[at]));
  }
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => key in b && same(a[key], b[key]));
}

export function fieldChanges(before: JsonObject, after: JsonObject): FieldChange[] {
  const changes: FieldChange[] = [];
  for (const field of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const [was, is] = [before[field], after[field]];
    if (!(field in before)) changes.push({ field, how: 'added', after: is as Json });
    else if (!(field in after)) changes.push({ field, how: 'removed', before: was as Json });
    else if (!same(was, is)) changes.push({ field, how: 'changed', before: was as Json, after: is as Json });
  }
  return changes;
}

export interface ListChange<T> {
  added: T[];
  removed: T[];
}

export function listChanges<T>(before: T[], after: T[]): ListChange<T> {
  const lacks = (list: T[]) => (one: T) => !list.some((other) => same(one as Json, other as Json));
  return { added: after.filter(lacks(before)), removed: before.filter(lacks(after)) };
}

/** One line about what a change did. */
export function summary(before: State | undefined, after: State, deletedBefore?: boolean, deletedAfter?: boolean): string {
  if (!before) return 'created';
  const parts: string[] = [];
  if (before.typeId !== after.typeId) parts.push(`moved to ${after.typeId}`);
  const fields = fieldChanges(before.content, after.content).map((one) => one.field);
  if (fields.length) parts.push(fields.length > 3 ? `${fields.length} fields` : fields.join(', '));
  const links = listChanges(before.associations, after.associations);
  if (links.added.length + links.removed.length) {
    parts.push(`links ${links.added.length ? `+${links.added.length}` : ''}${links.removed.length ? `−${links.removed.length}` : ''}`);
  }
  if (!same(before.permissions as Json, after.permissions as Json)) parts.push('permissions');
  if (!parts.length && deletedBefore !== deletedAfter) parts.push(deletedAfter ? 'deleted' : 'brought back');
  return parts.join(' · ') || 'deleted, brought back, or saved unchanged';
}

export interface Piece {
  text: string;
  how: 'same' | 'added' | 'removed';
}

const WORDS_MAX = 600;

/** Longest common subsequence of words; texts past a bound are shown whole, before and after. */
export function words(before: string, after: string): Piece[] {
  const split = (text: string) => text.match(/\s+|[^\s]+/g) ?? [];
  const [a, b] = [split(before), split(after)];
  if (a.length > WORDS_MAX || b.length > WORDS_MAX) {
    return [{ text: before, how: 'removed' }, { text: after, how: 'added' }];
  }
  const width = b.length + 1;
  const best = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      best[i * width + j] = a[i] === b[j]
        ? (best[(i + 1) * width + j + 1] ?? 0) + 1
        : Math.max(best[(i + 1) * width + j] ?? 0, best[i * width + j + 1] ?? 0);
    }
  }
  const pieces: Piece[] = [];
  const push = (text: string, how: Piece['how']) => {
    const last = pieces.at(-1);
    if (last?.how === how) last.text += text;
    else pieces.push({ text, how });
  };
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      push(a[i++] as string, 'same');
      j++;
    } else if (j >= b.length || (i < a.length && (best[(i + 1) * width + j] ?? 0) >= (best[i * width + j + 1] ?? 0))) {
      push(a[i++] as string, 'removed');
    } else push(b[j++] as string, 'added');
  }
  return pieces;
}
