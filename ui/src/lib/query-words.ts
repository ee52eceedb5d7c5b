// What may stand at a place of a query: collections, clauses, fields, operators.

import type { Schema } from '../api/types';

export interface Word {
  label: string;
  detail: string;
  /** What is inserted instead of the label in quotes. */
  apply?: string;
}

const CLAUSES: [string, string, string][] = [
  ['$where', 'conditions', '"$where": {}'], ['$order', 'field: "asc" or "desc"', '"$order": {}'], ['$limit', 'rows at most', '"$limit": 100'],
  ['$offset', 'rows to skip', '"$offset": 0'], ['$search', 'words', '"$search": ""'], ['$select', 'fields', '"$select": []'],
  ['$aggregate', '"count" or {"$sum": field}', '"$aggregate": "count"'],
];
const OPERATORS: [string, string][] = [
  ['$eq', 'equal'], ['$ne', 'not equal'], ['$gt', 'greater'], ['$gte', 'greater or equal'], ['$lt', 'less'], ['$lte', 'less or equal'],
  ['$in', 'one of a list'], ['$nin', 'none of a list'], ['$contains', 'contains'], ['$startsWith', 'begins with'], ['$endsWith', 'ends with'],
  ['$like', 'pattern with % and _'], ['$exists', 'is there and not null'], ['$not', 'the opposite'],
];
const TOTALS = ['$count', '$sum', '$avg', '$min', '$max'];

/** Where the end of a text stands: the keys above it, whether a key comes next, and the token begun. */
export function placeIn(text: string): { path: string[]; isKey: boolean; from: number } {
  // `name`: the key it stands under; `key`: the last one inside it.
  const stack: { name: string; key: string; list: boolean; expectsKey: boolean }[] = [];
  let [at, last, from] = [0, '', -1];
  while (at < text.length) {
    const sign = text[at] as string;
    if (sign === '"') {
      const start = at++;
      while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
      if (at >= text.length) from = start;
      else last = text.slice(start + 1, at);
      at++;
      continue;
    }
    const top = stack.at(-1);
    if (sign === '{' || sign === '[') stack.push({ name: top && !top.list ? top.key : '', key: '', list: sign === '[', expectsKey: sign === '{' });
    else if (sign === '}' || sign === ']') stack.pop();
    else if (sign === ':' && top) {
      top.key = last;
      top.expectsKey = false;
    } else if (sign === ',' && top) top.expectsKey = !top.list;
    at++;
  }
  if (from < 0) from = text.length - (/[\w$]*$/.exec(text)?.[0].length ?? 0);
  const top = stack.at(-1);
  const path = stack.slice(1).map((one) => one.name);
  if (top && !top.expectsKey && !top.list && stack.length) path.push(top.key);
  return { path, isKey: Boolean(top?.expectsKey), from };
}

export function wordsAt(text: string, collections: { base: string; name: string; fields: Schema }[]): { from: number; words: Word[] } | null {
  const { path, isKey, from } = placeIn(text);
  const [root, ...rest] = path;
  const key = (label: string, detail: string, value: string): Word => ({ label, detail, apply: `${JSON.stringify(label)}: ${value}` });
  if (isKey && path.length === 0) return { from, words: collections.map((one) => key(one.base, one.name, '{}')) };
  const fields = Object.entries(collections.find((one) => one.base === root)?.fields ?? {});
  const named = (value: string) => fields.map(([name, field]) => key(name, field.kind, value));
  if (isKey && rest.length === 0) return { from, words: CLAUSES.map(([label, detail, apply]) => ({ label, detail, apply })) };
  const clause = rest[0];
  if (clause === '$where') {
    const inner = rest.slice(1).filter((one) => one !== '$and' && one !== '$or' && one !== '$not' && one !== '');
    if (isKey && inner.length === 0) return { from, words: [...named('""'), key('$and', 'all hold', '[]'), key('$or', 'one holds', '[]'), key('$not', 'does not hold', '{}')] };
    if (isKey) return { from, words: OPERATORS.map(([label, detail]) => key(label, detail, label === '$in' || label === '$nin' ? '[]' : '""')) };
  }
  if (clause === '$order') return { from, words: isKey ? named('"asc"') : ['asc', 'desc'].map((label) => ({ label, detail: '', apply: `"${label}"` })) };
  if (clause === '$select') return { from, words: fields.map(([name, field]) => ({ label: name, detail: field.kind, apply: JSON.stringify(name) })) };
  if (clause === '$aggregate') {
    return { from, words: isKey ? TOTALS.map((label) => key(label, 'of a field', label === '$count' ? 'true' : '""')) : [{ label: 'count', detail: 'records', apply: '"count"' }, ...fields.map(([name, field]) => ({ label: name, detail: field.kind, apply: JSON.stringify(name) }))] };
  }
  return null;
}
