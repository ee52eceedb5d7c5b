// After the build: a compressed sibling beside each file. The compressor is written in JavaScript, so
// that the same files come out on every machine.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'fflate';

const folder = new URL('../../assets/ui/', import.meta.url);
for (const name of readdirSync(folder)) {
  const packed = gzipSync(readFileSync(new URL(name, folder)), { level: 9, mtime: 0 });
  writeFileSync(new URL(`${name}.gz`, folder), packed);
}
await import('./budget.mjs');
