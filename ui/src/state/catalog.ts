// What every page needs to know of the stack: its types, and how many records each has.

import { computed, signal } from '@preact/signals';
import { stats as askStats, types as askTypes } from '../api/stack';
import type { Stats, TypeInfo } from '../api/types';
import { session } from './session';

export const types = signal<TypeInfo[] | null>(null);
export const stats = signal<Stats | null>(null);
export const catalogFault = signal('');

export async function refreshCatalog(): Promise<void> {
  try {
    const [list, numbers] = await Promise.all([askTypes(), session.value?.owner ? askStats() : null]);
    types.value = list;
    stats.value = numbers;
    catalogFault.value = '';
  } catch (fault) {
    catalogFault.value = fault instanceof Error ? fault.message : String(fault);
  }
}

let waiting: ReturnType<typeof setTimeout> | undefined;
/** After a write: the counts, soon, and once for many writes. */
export function countAgain(): void {
  clearTimeout(waiting);
  waiting = setTimeout(() => void refreshCatalog(), 300);
}

export const typeById = (id: string) => types.value?.find((type) => type.id === id);

export const isSystem = (type: TypeInfo) => type.id.startsWith('_');

export interface Collection {
  base: string;
  name: string;
  system: boolean;
  /** Oldest version first. */
  types: TypeInfo[];
  records: number | null;
}

export const collections = computed<Collection[]>(() => {
  const by = new Map<string, TypeInfo[]>();
  for (const type of types.value ?? []) by.set(type.baseId, [...(by.get(type.baseId) ?? []), type]);
  const counts = new Map(stats.value?.types.map((one) => [one.typeId, one.records]));
  return [...by].map(([base, list]) => ({
    base,
    name: list.at(-1)?.name ?? base,
    system: base.startsWith('_'),
    types: list,
    records: stats.value ? list.reduce((sum, type) => sum + (counts.get(type.id) ?? 0), 0) : null,
  }));
});
