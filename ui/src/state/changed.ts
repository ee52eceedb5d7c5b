// Tells every part that shows a record when these pages changed one.

import type { StackRecord } from '../api/types';

type Told = StackRecord | 'many';
const listeners = new Set<(what: Told) => void>();

export function announce(what: Told): void {
  for (const listener of listeners) listener(what);
}

/** Returns how to stop listening. */
export function onChanged(listener: (what: Told) => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}
