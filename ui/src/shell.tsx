// What surrounds every page: where to go, where one is, the clock, the palette.

import type { ComponentType } from 'preact';
import { signal, useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { asOf, go, href, place } from './router';
import { asOfText, count } from './lib/format';
import { AsOfClock } from './parts/clock';
import { Button, Empty, Problem } from './parts/basics';
import { Icon, Logo, type IconName } from './parts/icons';
import { lazy } from './parts/lazy';
import { Palette } from './parts/palette';
import { catalogFault, collections, refreshCatalog, types } from './state/catalog';
import { feedState, startFeed } from './state/feed';
import { session, signOut } from './state/session';
import { OverviewPage } from './pages/overview';
import { DataPage } from './pages/data';

interface Entry {
  path: string;
  label: string;
  icon: IconName;
  page: ComponentType;
  ownerOnly?: boolean;
}

export const PAGES: Entry[] = [
  { path: '', label: 'Overview', icon: 'overview', page: OverviewPage },
  { path: 'data', label: 'Data', icon: 'data', page: DataPage },
  { path: 'types', label: 'Types', icon: 'types', page: lazy(() => import('./pages/types').then((m) => m.TypesPage)) },
  { path: 'files', label: 'Files', icon: 'files', page: lazy(() => import('./pages/files').then((m) => m.FilesPage)) },
  {
    path: 'console',
    label: 'Console',
    icon: 'console',
    page: lazy(() => import('./pages/console').then((m) => m.ConsolePage)),
    ownerOnly: true,
  },
  {
    path: 'access',
    label: 'Access',
    icon: 'access',
    page: lazy(() => import('./pages/access').then((m) => m.AccessPage)),
    ownerOnly: true,
  },
  {
    path: 'backups',
    label: 'Backups',
    icon: 'backups',
    page: lazy(() => import('./pages/backups').then((m) => m.BackupsPage)),
    ownerOnly: true,
  },
  {
    path: 'system',
    label: 'System',
    icon: 'system',
    page: lazy(() => import('./pages/system').then((m) => m.SystemPage)),
    ownerOnly: true,
  },
];

export const paletteOpen = signal(false);

const THEMES = ['auto', 'light', 'dark'] as const;
const THEME_KEY = 'cairn.theme';
const theme = signal(localStorage.getItem(THEME_KEY) ?? 'auto');

function applyTheme(): void {
  document.documentElement.dataset['theme'] = theme.value;
}
applyTheme();

export function nextTheme(): void {
  const at = THEMES.indexOf(theme.value as (typeof THEMES)[number]);
  theme.value = THEMES[(at + 1) % THEMES.length] ?? 'auto';
  localStorage.setItem(THEME_KEY, theme.value);
  applyTheme();
}

export function Shell() {
  const showSystem = useSignal(false);
  useEffect(() => {
    void refreshCatalog();
    const keys = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
        event.preventDefault();
        paletteOpen.value = !paletteOpen.value;
      }
    };
    addEventListener('keydown', keys);
    const stop = startFeed();
    return () => {
      stop();
      removeEventListener('keydown', keys);
    };
  }, []);

  const [first = '', second] = place.value.path;
  const pages = PAGES.filter((page) => !page.ownerOnly || session.value?.owner);
  const entry = pages.find((page) => page.path === first);
  useEffect(() => {
    document.title = `${second ? `${second} · ` : ''}${entry?.label ?? 'Not found'} · Cairn`;
  }, [first, second]);
  const link = (page: Entry) => (
    <a key={page.path} href={href(page.path ? [page.path] : [])} aria-current={page.path === first ? 'page' : undefined}>
      <Icon name={page.icon} />
      <span>{page.label}</span>
    </a>
  );
  const shown = collections.value.filter((one) => !one.system || showSystem.value || one.base === second);
  const Page = entry?.page;
  return (
    <div class="shell">
      <a class="skip" href="#main" onClick={(event) => {
        event.preventDefault();
        document.getElementById('main')?.focus();
      }}>Skip to content</a>
      <aside class="side">
        <a class="brand" href={href([])}><Logo /><span>Cairn</span></a>
        <nav aria-label="Pages">{pages.map(link)}</nav>
        <nav class="collections" aria-label="Collections">
          <h2>Collections</h2>
          {shown.map((one) => (
            <a key={one.base} href={href(['data', one.base])} aria-current={first === 'data' && second === one.base ? 'page' : undefined}>
              <span title={one.base}>{one.name}</span>
              {one.records !== null && <small>{count(one.records)}</small>}
            </a>
          ))}
          {types.value && shown.length === 0 && <p class="hint">None of your own yet.</p>}
          <button type="button" class="textual" onClick={() => (showSystem.value = !showSystem.value)}>
            {showSystem.value ? 'Hide system collections' : 'Show system collections'}
          </button>
        </nav>
      </aside>
      <div class="body">
        <header class="top">
          <a class="brand small" href={href([])} aria-label="Overview"><Logo /></a>
          <button type="button" class="find" onClick={() => (paletteOpen.value = true)}>
            <Icon name="search" />
            <span>Go to, find, do…</span>
            <kbd>Ctrl K</kbd>
          </button>
          <AsOfClock />
          <Button kind="quiet" icon="theme" title={`Colours: ${theme.value}`} aria-label={`Colours: ${theme.value}. Change`} onClick={nextTheme} />
          <Button kind="quiet" icon="out" title="Sign out" aria-label="Sign out" onClick={() => { signOut(); go([]); }} />
        </header>
        {feedState.value === 'lost' && (
          <div class="past lost" role="status">
            <Icon name="restore" />
            <span>The server does not answer. Trying again; what is on this page may be old.</span>
          </div>
        )}
        {asOf.value && (
          <div class="past" role="status">
            <Icon name="clock" />
            <span>The stack as it was: <strong>{asOfText(asOf.value)}</strong>. Nothing can be changed here.</span>
            <a class="button" href={backToNow()}>Back to now</a>
          </div>
        )}
        <main id="main" tabIndex={-1}>
          {catalogFault.value && <Problem of={catalogFault.value} />}
          {Page ? <Page /> : (
            <Empty icon="search" title="There is no such page">
              <a class="button" href={href([])}>Overview</a>
            </Empty>
          )}
        </main>
      </div>
      <nav class="bottom" aria-label="Pages, below">{pages.map(link)}</nav>
      {paletteOpen.value && <Palette onClose={() => (paletteOpen.value = false)} />}
    </div>
  );
}

function backToNow(): string {
  const params = new URLSearchParams(place.value.params);
  params.delete('at');
  return `#/${place.value.path.map(encodeURIComponent).join('/')}${params.size ? `?${params}` : ''}`;
}
