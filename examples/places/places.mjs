// The part of the example that talks to a running server: link, search, upload, look back.
//
//   node places.mjs ADDRESS OWNER_TOKEN CITIES
//
// Prints what it found; exits with 1 at the first thing that is not as it should be.
import { createHash } from 'node:crypto';

const [address, token, expected] = process.argv.slice(2);
const AT_ONCE = 16;

async function call(method, path, body, headers = {}) {
  const raw = body instanceof Uint8Array;
  const answer = await fetch(address + path, {
    method,
    headers: { authorization: `Bearer ${token}`, ...headers },
    body: body === undefined || raw ? body : JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return text === '' ? null : JSON.parse(text);
}

function check(what, is, wanted) {
  if (JSON.stringify(is) !== JSON.stringify(wanted)) {
    throw new Error(`${what}: ${JSON.stringify(is)}, expected ${JSON.stringify(wanted)}`);
  }
  console.log(`${what}: ${JSON.stringify(is)}`);
}

// Every record of a query, page by page.
async function* all(filter, limit = 500) {
  let cursor = null;
  do {
    const page = await call('POST', '/records/query', { filter, limit, ...(cursor && { cursor }) });
    yield* page.records;
    cursor = page.cursor;
  } while (cursor !== null);
}

const COUNTRY = 'com.example/country@1';
const CITY = 'com.example/city@1';

const countries = new Map();
for await (const record of all({ typeId: COUNTRY })) countries.set(record.content.code, record.id);

// Link each city to its country: a relationship, stored with the city and found from either end.
let linked = 0;
let waiting = [];
for await (const city of all({ typeId: CITY })) {
  const association = { kind: 'relationship', label: 'in', recordId: countries.get(city.content.country) };
  waiting.push(call('POST', `/records/${city.id}/associations`, association));
  linked += 1;
  if (waiting.length === AT_ONCE) {
    await Promise.all(waiting);
    waiting = [];
  }
}
await Promise.all(waiting);
check('cities linked to their country', linked, Number(expected));

// Search finds words of any field, whatever their case.
const search = { typeId: CITY, search: 'REYKJAVÍK' };
const reykjavik = (await call('POST', '/records/query', { filter: search })).records
  .find((city) => city.content.country === 'IS');
check('found by a word of its name', reykjavik?.content.name, 'Reykjavík');
const swiss = [];
const filter = { typeId: CITY, relatedTo: { recordId: countries.get('CH'), label: 'in' } };
for await (const city of all(filter)) swiss.push(city.content.name);
check('Bern is among the cities linked to Switzerland', swiss.includes('Bern'), true);
const count = [];
for await (const city of all({ typeId: CITY, content: { country: 'CH' } })) count.push(city.id);
check('as many cities are linked to Switzerland as name it', swiss.length, count.length);

// A file: named by its bytes, attached to a record, read back whole.
const bytes = new TextEncoder().encode('name;visited\nReykjavík;2024-06-01\n');
const hash = createHash('sha256').update(bytes).digest('hex');
const uploaded = await call('POST', '/attachments', bytes, {
  'content-type': 'text/plain',
  'content-disposition': "attachment; filename*=UTF-8''visits.txt",
});
check('the file is named by its SHA-256', uploaded.fileId, hash);
await call('POST', `/records/${reykjavik.id}/associations`, { kind: 'attachment', label: 'visits', fileId: hash });
const download = await fetch(`${address}/attachments/${hash}`, { headers: { authorization: `Bearer ${token}` } });
check('bytes read back', Buffer.from(await download.arrayBuffer()).equals(Buffer.from(bytes)), true);

// Change, look back, undo: every earlier state is kept.
await call('PATCH', `/records/${reykjavik.id}`, { name: 'Reykjavik' });
const versions = await call('GET', `/records/${reykjavik.id}/versions`);
check('earlier versions', versions.map((v) => v.version), [3, 2, 1]);
const restored = await call('POST', `/records/${reykjavik.id}/restore/3`);
check('restored', [restored.version, restored.content.name], [5, 'Reykjavík']);

// Nobody else sees any of it.
const stranger = await fetch(`${address}/records?typeId=${encodeURIComponent(CITY)}`);
check('what a stranger sees', (await stranger.json()).records, []);
console.log('everything as it should be');
