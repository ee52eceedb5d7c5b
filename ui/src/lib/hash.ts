// The hash of a schema. Written out because browsers keep `crypto.subtle` from pages over plain HTTP,
// and a stack on the home network is one.

import type { FieldDef, Schema } from '../api/types';

const primes = (count: number) => {
  const list: number[] = [];
  for (let n = 2; list.length < count; n++) if (list.every((p) => n % p)) list.push(n);
  return list;
};
const fraction = (x: number) => Math.floor((x - Math.floor(x)) * 2 ** 32) >>> 0;
const ROUND = primes(64).map((p) => fraction(Math.cbrt(p)));
const START = primes(8).map((p) => fraction(Math.sqrt(p)));

export function sha256(text: string): string {
  const data = new TextEncoder().encode(text);
  const blocks = ((data.length + 8) >> 6) + 1;
  const padded = new DataView(new ArrayBuffer(blocks * 64));
  data.forEach((byte, at) => padded.setUint8(at, byte));
  padded.setUint8(data.length, 0x80);
  padded.setUint32(blocks * 64 - 8, Math.floor(data.length / 2 ** 29));
  padded.setUint32(blocks * 64 - 4, data.length << 3);
  const turn = (x: number, by: number) => (x >>> by) | (x << (32 - by));
  const state = Uint32Array.from(START);
  const w = new Uint32Array(64);
  const at = (list: Uint32Array | number[], index: number) => list[index] as number;
  for (let block = 0; block < blocks; block++) {
    for (let i = 0; i < 16; i++) w[i] = padded.getUint32(block * 64 + i * 4);
    for (let i = 16; i < 64; i++) {
      const x = at(w, i - 15);
      const y = at(w, i - 2);
      w[i] = at(w, i - 16) + (turn(x, 7) ^ turn(x, 18) ^ (x >>> 3)) + at(w, i - 7) + (turn(y, 17) ^ turn(y, 19) ^ (y >>> 10));
    }
    let [a, b, c, d, e, f, g, h] = state as unknown as [number, number, number, number, number, number, number, number];
    for (let i = 0; i < 64; i++) {
      const one = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + at(ROUND, i) + at(w, i)) | 0;
      const two = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
    }
    [a, b, c, d, e, f, g, h].forEach((value, i) => (state[i] = at(state, i) + value));
  }
  return [...state].map((word) => word.toString(16).padStart(8, '0')).join('');
}

const canonicalField = (field: FieldDef): object => ({
  ...(field.items ? { items: canonicalField(field.items) } : {}),
  kind: field.kind,
  ...(field.properties ? { properties: canonical(field.properties) } : {}),
  ...('required' in field ? { required: field.required } : {}),
});

// Integer-like names first and in numeric order: what JavaScript's objects do by themselves.
const canonical = (schema: Schema): object =>
  Object.fromEntries(Object.keys(schema).sort().map((name) => [name, canonicalField(schema[name] as FieldDef)]));

export const schemaHash = (schema: Schema) => sha256(JSON.stringify(canonical(schema)));
