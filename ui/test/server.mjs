// A real server over a real file with the places sample, and a browser on its pages.
import { spawn, execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const top = fileURLToPath(new URL('../../', import.meta.url));
const cairn = process.env.CAIRN_BIN ?? join(top, 'target/debug/cairn');
const READY_MS_MAX = 20_000;
/** Rows of the collection that is scrolled through. */
export const MANY_ROWS = Number(process.env.CAIRN_UI_ROWS ?? 20_000);

/** Without an owner token, so that the first start prints the one-time link. */
export async function startServer() {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-ui-'));
  const file = join(folder, 'places.cairn');
  const places = join(top, 'examples/places');
  const run = (...args) => execFileSync(cairn, args, { stdio: 'pipe' });
  run('init', file);
  run('type', 'add', '--file', file, join(places, 'types.json'));
  run('import', '--file', file, join(places, 'sample/countries.ndjson'), '--type', 'com.example/country@1', '--id-column', 'code');
  run('import', '--file', file, join(places, 'sample/cities.ndjson'), '--type', 'com.example/city@1');
  writeFileSync(join(folder, 'many.json'), JSON.stringify({ id: 'com.example/measurement@1', name: 'Measurement', schema: { label: { kind: 'string' }, value: { kind: 'number' } } }));
  run('type', 'add', '--file', file, join(folder, 'many.json'));
  writeFileSync(join(folder, 'many.ndjson'), Array.from({ length: MANY_ROWS }, (_, n) => `{"label":"m${n}","value":${n}}\n`).join(''));
  run('import', '--file', file, join(folder, 'many.ndjson'), '--type', 'com.example/measurement@1');
  const ready = join(folder, 'ready.json');
  let child;
  let printed = '';
  const start = async (listen, isReady) => {
    rmSync(ready, { force: true });
    child = spawn(cairn, ['serve', file, '--listen', listen, '--ready-file', ready, '--no-rate-limit'], { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.on('data', (piece) => (printed += piece));
    child.stderr.on('data', (piece) => (printed += piece));
    const began = Date.now();
    while (!(existsSync(ready) && readFileSync(ready, 'utf8').trim() && isReady())) {
      if (child.exitCode !== null || Date.now() - began > READY_MS_MAX) throw new Error(`the server is not ready:\n${printed}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const end = async () => {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    const code = await ended;
    if (code !== 0) throw new Error(`the server ended with ${code}:\n${printed}`);
  };
  let link;
  await start('127.0.0.1:0', () => (link = /http\S+#owner-link=\S+/.exec(printed)?.[0]));
  const { url } = JSON.parse(readFileSync(ready, 'utf8'));
  return {
    url,
    link,
    /** Ends it, lets `meanwhile` happen, and starts it again where it was. */
    async restart(meanwhile) {
      await end();
      await meanwhile();
      await start(new URL(url).host, () => true);
    },
    async stop() {
      try {
        await end();
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  };
}

export const startBrowser = () =>
  chromium.launch({
    executablePath: process.env.CHROME_PATH ?? '/usr/bin/chromium',
    args: [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync',
    ],
  });
