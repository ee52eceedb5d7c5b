// The running server: what was asked of it lately, how it is set up and why, what it is.

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { health, requests, settings } from '../api/stack';
import { bytes, count, duration, when } from '../lib/format';
import { Button, Empty, Loading, Problem, Tabs, Time } from '../parts/basics';
import { Icon } from '../parts/icons';
import { useLoaded } from '../parts/use';
import { go, goWith, place } from '../router';
import { stats } from '../state/catalog';

type Tab = 'requests' | 'settings' | 'about';
const TABS: { id: Tab; label: string }[] = [
  { id: 'requests', label: 'Requests' }, { id: 'settings', label: 'Settings' }, { id: 'about', label: 'About' },
];
const REFRESH_MS = 5_000;

export function SystemPage() {
  const tab = TABS.find((one) => one.id === place.value.path[1])?.id ?? 'requests';
  return (
    <div class="page wide">
      <header class="page-head"><div><h1>System</h1><p class="hint">The server as it runs now.</p></div></header>
      <Tabs label="System" tabs={TABS} current={tab} onPick={(to) => go(['system', to])} />
      <div role="tabpanel" aria-label={tab}>
        {tab === 'requests' && <Requests />}
        {tab === 'settings' && <SettingsTable />}
        {tab === 'about' && <About />}
      </div>
    </div>
  );
}

function Requests() {
  const params = place.value.params;
  const slow = params.get('slow') !== null;
  const wanted = params.get('q') ?? '';
  const own = params.get('own') !== null;
  const list = useLoaded(() => requests(slow), [slow]);
  const paused = useSignal(false);
  useEffect(() => {
    const timer = setInterval(() => !document.hidden && !paused.peek() && void list.again(), REFRESH_MS);
    return () => clearInterval(timer);
  }, [list.again]);
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = (list.data.value ?? []).filter((one) => {
    if (!own && /^\/_\/|^\/health$|^\/tokens$|^\/types$/.test(one.path) && one.status < 400 && !words.length) return false;
    const text = `${one.method} ${one.path} ${one.status} ${one.requestId}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
  return (
    <section aria-label="Requests">
      <div class="filters">
        <div class="search"><Icon name="search" /><input type="search" aria-label="Find requests" placeholder="POST, /records, 404, an id" value={wanted} onInput={(event) => goWith({ q: event.currentTarget.value || undefined }, true)} /></div>
        <label class="check"><input type="checkbox" checked={slow} onChange={(event) => goWith({ slow: event.currentTarget.checked ? '1' : undefined })} />Slow only (100 ms and more)</label>
        <label class="check"><input type="checkbox" checked={own} onChange={(event) => goWith({ own: event.currentTarget.checked ? '1' : undefined }, true)} />Of these pages too</label>
        <label class="check"><input type="checkbox" checked={paused.value} onChange={(event) => (paused.value = event.currentTarget.checked)} />Hold still</label>
      </div>
      <Problem of={list.fault.value} />
      {!list.data.value && !list.fault.value && <Loading />}
      {list.data.value && shown.length === 0 && <Empty icon="system" title={slow ? 'Nothing was slow' : 'Nothing fits'}><p>The last 1,000 requests and 200 slow ones are remembered while the server runs. Bodies, headers and query strings are not.</p></Empty>}
      {shown.length > 0 && (
        <div class="scroll card" tabIndex={0} role="group" aria-label="List of requests">
          <table class="list log">
            <thead><tr><th scope="col">When</th><th scope="col">Status</th><th scope="col">Request</th><th scope="col" class="figure">Time</th><th scope="col">Id</th></tr></thead>
            <tbody>
              {shown.map((one) => (
                <tr key={one.requestId + one.at}>
                  <td title={when(one.at)}><Time at={one.at} /></td>
                  <td><span class={`status s${Math.floor(one.status / 100)}`}>{one.status}</span></td>
                  <th scope="row"><code>{one.method} {one.path}</code></th>
                  <td class={`figure ${one.ms >= 100 ? 'off' : ''}`}>{one.ms < 10 ? one.ms.toFixed(2) : count(Math.round(one.ms))} ms</td>
                  <td><small class="mono">{one.requestId}</small></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function SettingsTable() {
  const all = useLoaded(settings, []);
  const wanted = place.value.params.get('q') ?? '';
  if (!all.data.value) return all.fault.value ? <Problem of={all.fault.value} /> : <Loading />;
  const shown = all.data.value.settings.filter((one) => `${one.key} ${one.about} ${one.origin}`.toLowerCase().includes(wanted.toLowerCase()));
  return (
    <section aria-label="Settings">
      <div class="filters">
        <div class="search"><Icon name="search" /><input type="search" aria-label="Find settings" placeholder="Find a setting" value={wanted} onInput={(event) => goWith({ q: event.currentTarget.value || undefined }, true)} /></div>
        <p class="hint">Set where the server is started; secrets are not shown.</p>
      </div>
      <div class="scroll card" tabIndex={0} role="group" aria-label="List of settings">
        <table class="list settings">
          <thead><tr><th scope="col">Setting</th><th scope="col">Value</th><th scope="col">From</th></tr></thead>
          <tbody>
            {shown.map((one) => (
              <tr key={one.key}>
                <th scope="row"><code>{one.key}</code><p class="hint">{one.about}</p><small class="mono">{one.variable}{one.flag && ` · ${one.flag}`}</small></th>
                <td>{one.value === null ? <span class="hint">not set</span> : <code class="wrap">{one.value}</code>}</td>
                <td><span class={one.origin === 'default' ? 'hint' : 'chip'}>{one.origin}</span></td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function About() {
  const all = useLoaded(() => Promise.all([settings(), health()]), []);
  if (!all.data.value) return all.fault.value ? <Problem of={all.fault.value} /> : <Loading />;
  const [of, now] = all.data.value;
  const numbers = stats.value;
  return (
    <section class="card" aria-label="About">
      <dl class="facts">
        <dt>Cairn</dt><dd>{of.version}</dd>
        <dt>File</dt><dd><code class="wrap">{of.file}</code>{of.readOnly && <strong class="off"> read only: it is damaged</strong>}</dd>
        <dt>Owner</dt><dd><code class="wrap">{of.owner}</code></dd>
        <dt>Up</dt><dd>{duration(now.uptime)}</dd>
        {numbers && <><dt>Database</dt><dd>{bytes(numbers.databaseBytes)}, {bytes(numbers.freeBytes)} of it free; log {bytes(numbers.walBytes)}</dd></>}
        {numbers && <><dt>Journal</dt><dd>{count(numbers.changes)} changes up to transaction {count(numbers.lastTx)}</dd></>}
        <dt>Addresses</dt><dd><a href="../docs">Every address, with try it</a> · <a href="openapi.json" download="openapi.json">OpenAPI document</a></dd>
        <dt>Client types</dt><dd><code>cairn types --lang ts</code> prints the types of this stack</dd>
        <dt>Licence</dt><dd>MIT or Apache 2.0. In these pages: Preact, CodeMirror, uPlot (MIT).</dd>
      </dl>
      <div class="row end"><Button icon="restore" onClick={() => void all.again()}>Look again</Button></div>
    </section>
  );
}
