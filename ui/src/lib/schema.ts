// Schemas for people: from examples, from text, and what a text field of a form means for a kind.

import type { FieldDef, Json, JsonObject, Kind, Schema } from '../api/types';

export const KINDS: Kind[] = ['string', 'text', 'number', 'boolean', 'date', 'record-ref', 'file-ref', 'array', 'object'];

const DATE = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})?)?$/;
const FILE = /^[0-9a-f]{64}$/;
const LONG_TEXT_CHARS = 120;

function kindOf(value: Json): FieldDef {
  if (typeof value === 'number') return { kind: 'number' };
  if (typeof value === 'boolean') return { kind: 'boolean' };
  if (Array.isArray(value)) return { kind: 'array', items: common(value) };
  if (value !== null && typeof value === 'object') return { kind: 'object', properties: infer([value]) };
  if (typeof value === 'string') {
    if (DATE.test(value)) return { kind: 'date' };
    if (FILE.test(value)) return { kind: 'file-ref' };
    return { kind: value.length > LONG_TEXT_CHARS || value.includes('\n') ? 'text' : 'string' };
  }
  return { kind: 'string' };
}

/** One definition that all values fit; texts win over dates, long texts over short ones. */
function common(values: Json[]): FieldDef {
  const seen = values.filter((value) => value !== null);
  if (seen.length === 0) return { kind: 'string' };
  if (seen.every((value) => typeof value === 'object' && !Array.isArray(value))) {
    return { kind: 'object', properties: infer(seen as JsonObject[]) };
  }
  if (seen.every(Array.isArray)) return { kind: 'array', items: common((seen as Json[][]).flat()) };
  const kinds = new Set(seen.map((value) => kindOf(value).kind));
  const only = [...kinds][0];
  if (kinds.size === 1 && only) return { kind: only };
  return { kind: kinds.has('text') ? 'text' : 'string' };
}

/** The schema of these objects; a field that all of them have is required. */
export function infer(examples: JsonObject[]): Schema {
  const names = new Set(examples.flatMap(Object.keys));
  const schema: Schema = {};
  for (const name of names) {
    const values = examples.filter((one) => name in one).map((one) => one[name] as Json);
    const everywhere = examples.length > 1 && values.length === examples.length && values.every((v) => v !== null);
    schema[name] = { ...common(values), ...(everywhere ? { required: true } : {}) };
  }
  return schema;
}

/** One object, a list of them, or one per line. */
export function examplesFrom(text: string): JsonObject[] {
  const isObject = (value: unknown): value is JsonObject =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (fault) {
    const lines = text.split('\n').filter((line) => line.trim());
    if (lines.length < 2) throw fault;
    parsed = lines.map((line) => JSON.parse(line) as unknown);
  }
  const list = Array.isArray(parsed) ? parsed : [parsed];
  if (list.length === 0 || !list.every(isObject)) throw new Error('Paste a JSON object, or a list of them.');
  return list;
}

/** What somebody typed, as a value of this kind. Throws with a sentence. */
export function fromText(kind: Kind, text: string): Json {
  switch (kind) {
    case 'number': {
      const value = Number(text.trim());
      if (text.trim() === '' || !Number.isFinite(value)) throw new Error('This is not a number.');
      return value;
    }
    case 'boolean':
      if (text !== 'true' && text !== 'false') throw new Error('Choose true or false.');
      return text === 'true';
    case 'date':
      if (!DATE.test(text)) throw new Error('A date is 2024-01-31 or 2024-01-31T09:30:00Z.');
      return text;
    case 'file-ref':
      if (!FILE.test(text)) throw new Error('A file is named by 64 hexadecimal digits.');
      return text;
    case 'array':
    case 'object': {
      let value: Json;
      try {
        value = JSON.parse(text) as Json;
      } catch (fault) {
        throw new Error(`This is not JSON: ${(fault as Error).message}`);
      }
      if (Array.isArray(value) !== (kind === 'array') || value === null || typeof value !== 'object') {
        throw new Error(kind === 'array' ? 'Write a list: [ … ]' : 'Write an object: { … }');
      }
      return value;
    }
    default:
      return text;
  }
}

export const toText = (value: Json): string =>
  typeof value === 'string' ? value : value !== null && typeof value === 'object' ? JSON.stringify(value, null, 2) : String(value);

/** The kind to edit a value as that no schema declares. */
export const kindOfValue = (value: Json): Kind => (value === null ? 'string' : kindOf(value).kind);
export const isScalar = (kind: Kind) => kind !== 'array' && kind !== 'object';
