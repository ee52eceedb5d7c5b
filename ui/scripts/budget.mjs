// What the pages may weigh, compressed. First load: what index.html names, and what that imports at once.
import { readdirSync, readFileSync, statSync } from 'node:fs';

const FIRST_LOAD_BYTES_MAX = 80 * 1024;
const ALL_BYTES_MAX = 250 * 1024;

const folder = new URL('../../assets/ui/', import.meta.url);
const packed = (name) => statSync(new URL(`${name}.gz`, folder)).size;
const text = (name) => readFileSync(new URL(name, folder), 'utf8');

const first = new Set(['index.html']);
for (const name of first) {
  const pattern = name.endsWith('.html') ? /(?:src|href)="\.\/([^"]+)"/g : /(?:from|import)\s*["']\.\/([^"']+)["']/g;
  if (/\.(html|js)$/.test(name)) for (const [, found] of text(name).matchAll(pattern)) first.add(found);
}
const names = readdirSync(folder).filter((name) => !name.endsWith('.gz'));
const sum = (list) => list.reduce((total, name) => total + packed(name), 0);
const firstBytes = sum([...first]);
const allBytes = sum(names);
console.log(`first load ${firstBytes} of ${FIRST_LOAD_BYTES_MAX} bytes, everything ${allBytes} of ${ALL_BYTES_MAX}`);
if (firstBytes > FIRST_LOAD_BYTES_MAX || allBytes > ALL_BYTES_MAX) {
  console.error('the pages are heavier than they may be');
  process.exit(1);
}
if (/<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=/.test(text('index.html'))) {
  console.error('index.html has inline script or style, which its policy forbids');
  process.exit(1);
}
