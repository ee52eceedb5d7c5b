// Rows as files and back: NDJSON, JSON, CSV.

import type { Json, JsonObject, Schema } from '../api/types';
import { examplesFrom, fromText } from './schema';

export type FileForm = 'ndjson' | 'json' | 'csv';

export const MEDIA: Record<FileForm, string> = {
  ndjson: 'application/x-ndjson', json: 'application/json', csv: 'text/csv;charset=utf-8',
};

const cell = (value: Json | undefined): string => {
  if (value === undefined || value === null) return '';
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

export function written(form: FileForm, rows: JsonObject[]): string {
  if (form === 'json') return `${JSON.stringify(rows, null, 2)}\n`;
  if (form === 'ndjson') return rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  const names = [...new Set(rows.flatMap(Object.keys))];
  return [names, ...rows.map((row) => names.map((name) => row[name]))].map((line) => `${line.map(cell).join(',')}\r\n`).join('');
}

/** Lines of fields; quotes, doubled quotes and line breaks inside quotes as RFC 4180 has them. */
export function csvLines(text: string): string[][] {
  const lines: string[][] = [];
  let [line, field, quoted] = [[] as string[], '', false];
  const end = () => {
    line.push(field);
    if (line.length > 1 || line[0] !== '') lines.push(line);
    [line, field] = [[], ''];
  };
  for (let at = 0; at < text.length; at++) {
    const sign = text[at] as string;
    if (quoted) {
      if (sign !== '"') field += sign;
      else if (text[at + 1] === '"') field += text[++at];
      else quoted = false;
    } else if (sign === '"' && field === '') quoted = true;
    else if (sign === ',') {
      line.push(field);
      field = '';
    } else if (sign === '\n') end();
    else if (sign !== '\r') field += sign;
  }
  if (field || line.length) end();
  return lines;
}

/** Rows of a file; the kinds of a CSV's fields are those of the schema, an empty field is absent. */
export function read(text: string, schema: Schema): JsonObject[] {
  const start = text.trimStart()[0];
  if (start === '{' || start === '[') return examplesFrom(text);
  const [names, ...lines] = csvLines(text.replace(/^\uFEFF/, ''));
  if (!names || lines.length === 0) throw new Error('The first line names the fields, the others are records.');
  return lines.map((line, index) => {
    const row: JsonObject = {};
    names.forEach((name, at) => {
      const typed = line[at] ?? '';
      if (typed === '' || name === '') return;
      try {
        row[name] = fromText(schema[name]?.kind ?? 'string', typed);
      } catch (fault) {
        throw new Error(`Line ${index + 2}, ${name}: ${(fault as Error).message}`);
      }
    });
    return row;
  });
}

export function download(name: string, type: string, parts: BlobPart[]): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob(parts, { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
