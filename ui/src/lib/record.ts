// What a record is called, and the lines that do to it from elsewhere what the page does.

import { root } from '../api/client';
import type { StackRecord } from '../api/types';

const NAMES = ['title', 'name', 'label', 'filename', 'subject', 'handle', 'slug', 'email', 'code', 'text', 'typeId'];

/** The field that names a record best, or its id. */
export function titleOf(record: Pick<StackRecord, 'id' | 'content'>): string {
  for (const name of NAMES) {
    const value = record.content[name];
    if (typeof value === 'string' && value) return value.length > 80 ? `${value.slice(0, 80)}…` : value;
  }
  const first = Object.values(record.content).find((value) => typeof value === 'string' && value);
  return typeof first === 'string' ? first.slice(0, 80) : record.id;
}

const at = (path: string) => new URL(path, root).href;
/** For a POSIX shell, whatever is inside. */
const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

export function curl(path: string, method = 'GET', body?: unknown, ifMatch?: number): string {
  const lines = [`curl ${quoted(at(path))}`, `  -H "Authorization: Bearer $CAIRN_TOKEN"`];
  if (method !== 'GET') lines.splice(1, 0, `  -X ${method}`);
  if (ifMatch !== undefined) lines.push(`  -H 'If-Match: "${ifMatch}"'`);
  if (body !== undefined) lines.push(`  -H 'Content-Type: application/json'`, `  -d ${quoted(JSON.stringify(body))}`);
  return lines.join(' \\\n');
}

export function javascript(path: string, method = 'GET', body?: unknown, ifMatch?: number): string {
  const options = [
    ...(method === 'GET' ? [] : [`  method: '${method}',`]),
    '  headers: {',
    '    Authorization: `Bearer ${token}`,',
    ...(ifMatch === undefined ? [] : [`    'If-Match': '"${ifMatch}"',`]),
    ...(body === undefined ? [] : ["    'Content-Type': 'application/json',"]),
    '  },',
    ...(body === undefined ? [] : [`  body: JSON.stringify(${JSON.stringify(body)}),`]),
  ];
  return `const response = await fetch(${JSON.stringify(at(path))}, {\n${options.join('\n')}\n});\nconst record = await response.json();`;
}
