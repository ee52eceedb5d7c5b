// Where the reader is: everything is in the fragment, so that the address works behind any prefix and
// can be kept, sent and gone back to. `#/data/com.example%2Fcity%401?tag=x&record=…&at=…`
//
// `at` (the past moment being looked at) goes along from page to page until it is lifted.

import { batch, computed, signal } from '@preact/signals';

export interface Place {
  path: string[];
  params: URLSearchParams;
}

function read(): Place {
  const text = location.hash.startsWith('#/') ? location.hash.slice(2) : '';
  const [path = '', search = ''] = text.split('?', 2);
  const decode = (part: string) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  };
  return { path: path.split('/').filter(Boolean).map(decode), params: new URLSearchParams(search) };
}

const current = signal<Place>(read());
export const place = computed(() => current.value);
export const asOf = computed(() => current.value.params.get('at') ?? undefined);

addEventListener('hashchange', () => (current.value = read()));

export type Params = Record<string, string | string[] | undefined>;

function search(params: URLSearchParams): string {
  const text = params.toString();
  return text ? `?${text}` : '';
}

/** The address of a page. The past moment goes along. */
export function href(path: string[], params: Params = {}): string {
  const all = new URLSearchParams();
  for (const [name, value] of Object.entries({ at: asOf.value, ...params })) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined) all.append(name, one);
  }
  return `#/${path.map(encodeURIComponent).join('/')}${search(all)}`;
}

export function go(path: string[], params: Params = {}): void {
  location.hash = href(path, params);
}

/** This page with other parameters; `undefined` removes one. */
export function hrefWith(changes: Params): string {
  const all = new URLSearchParams(current.value.params);
  for (const [name, value] of Object.entries(changes)) {
    all.delete(name);
    for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined) all.append(name, one);
  }
  return `#/${current.value.path.map(encodeURIComponent).join('/')}${search(all)}`;
}

/** Goes there; `quietly` leaves no step in the browser's history (typing in a filter). */
export function goWith(changes: Params, quietly = false): void {
  const to = hrefWith(changes);
  if (!quietly) {
    location.hash = to;
    return;
  }
  history.replaceState(null, '', to);
  batch(() => (current.value = read()));
}
