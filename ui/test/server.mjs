// A real server over a real file with the places sample, and a browser on its pages.
import { spawn, execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const top = fileURLToPath(new URL('../../', import.meta.url));
const cairn = process.env.CAIRN_BIN ?? join(top, 'target/debug/cairn');
const READY_MS_MAX = 20_000;

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
  const ready = join(folder, 'ready.json');
  const child = spawn(cairn, ['serve', file, '--listen', '127.0.0.1:0', '--ready-file', ready, '--no-rate-limit'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  child.stdout.on('data', (piece) => (printed += piece));
  child.stderr.on('data', (piece) => (printed += piece));
  const began = Date.now();
  let link;
  while (!(existsSync(ready) && readFileSync(ready, 'utf8').trim() && (link = /http\S+#owner-link=\S+/.exec(printed)?.[0]))) {
    if (child.exitCode !== null || Date.now() - began > READY_MS_MAX) throw new Error(`the server is not ready:\n${printed}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const { url } = JSON.parse(readFileSync(ready, 'utf8'));
  return {
    url,
    link,
    async stop() {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      const code = await ended;
      rmSync(folder, { recursive: true, force: true });
      if (code !== 0) throw new Error(`the server ended with ${code}:\n${printed}`);
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
