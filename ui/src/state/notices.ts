// Short messages at the edge: what was done, with a way back where there is one.

import { signal } from '@preact/signals';

export interface Notice {
  id: number;
  text: string;
  bad: boolean;
  action?: { label: string; run: () => unknown };
}

const NOTICES_MAX = 4;
const SHOWN_MS = 7_000;
const SHOWN_WITH_ACTION_MS = 15_000;

export const notices = signal<Notice[]>([]);
let last = 0;

export function dismiss(id: number): void {
  notices.value = notices.value.filter((one) => one.id !== id);
}

function show(text: string, bad: boolean, action?: Notice['action']): void {
  const id = ++last;
  notices.value = [...notices.value, { id, text, bad, ...(action ? { action } : {}) }].slice(-NOTICES_MAX);
  setTimeout(() => dismiss(id), action ? SHOWN_WITH_ACTION_MS : SHOWN_MS);
}

export const say = (text: string, action?: Notice['action']) => show(text, false, action);
export const complain = (fault: unknown) => show(fault instanceof Error ? fault.message : String(fault), true);
