// The command palette: pages, collections, actions, and records found by their text or id.

import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { getRecord, query } from '../api/stack';
import type { StackRecord } from '../api/types';
import { titleOf } from '../lib/record';
import { asOf, go } from '../router';
import { nextTheme, PAGES } from '../shell';
import { collections, typeById } from '../state/catalog';
import { session, signOut } from '../state/session';
import { Icon, type IconName } from './icons';

interface Command {
  label: string;
  note?: string;
  icon: IconName;
  run: () => unknown;
}

const FOUND_MAX = 8;
const TYPING_PAUSE_MS = 180;
const RECORD_ID = /^[0-9a-hjkmnp-tv-z]{12}$/;

function commands(): Command[] {
  const owner = session.value?.owner ?? false;
  return [
    ...PAGES.filter((page) => owner || !page.ownerOnly).map((page) => ({
      label: page.label, note: 'page', icon: page.icon, run: () => go(page.path ? [page.path] : []),
    })),
    ...collections.value.map((one) => ({
      label: one.name, note: one.base, icon: 'data' as const, run: () => go(['data', one.base]),
    })),
    ...(asOf.value ? [] : collections.value.filter((one) => !one.system).map((one) => ({
      label: `New ${one.name}`, note: 'create a record', icon: 'plus' as const,
      run: () => go(['data', one.base], { record: 'new' }),
    }))),
    ...(owner ? [
      { label: 'New type', note: 'define a schema', icon: 'plus' as const, run: () => go(['types', 'new']) },
      { label: 'New token', note: 'access', icon: 'plus' as const, run: () => go(['access', 'tokens'], { new: '1' }) },
    ] : []),
    { label: 'Change colours', note: 'light, dark, as the system', icon: 'theme', run: nextTheme },
    { label: 'Sign out', icon: 'out', run: signOut },
  ];
}

export function Palette({ onClose }: { onClose: () => void }) {
  const ref = useRef<HTMLDialogElement>(null);
  const text = useSignal('');
  const found = useSignal<StackRecord[]>([]);
  const at = useSignal(0);
  useEffect(() => {
    ref.current?.showModal();
    return () => ref.current?.close();
  }, []);
  useEffect(() => {
    const wanted = text.value.trim();
    at.value = 0;
    if (wanted.length < 2) {
      found.value = [];
      return;
    }
    const stop = new AbortController();
    const timer = setTimeout(async () => {
      try {
        found.value = RECORD_ID.test(wanted)
          ? [await getRecord(wanted, asOf.value)]
          : (await query({ filter: { search: wanted }, limit: FOUND_MAX }, asOf.value, stop.signal)).records;
      } catch {
        if (!stop.signal.aborted) found.value = [];
      }
    }, TYPING_PAUSE_MS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [text.value]);

  const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (one: Command) => words.every((word) => `${one.label} ${one.note ?? ''}`.toLowerCase().includes(word));
  const list: Command[] = [
    ...commands().filter(fits).slice(0, words.length ? FOUND_MAX : 30),
    ...found.value.map((record) => ({
      label: titleOf(record), note: `${typeById(record.typeId)?.name ?? record.typeId} · ${record.id}`, icon: 'files' as const,
      run: () => go(['data', record.typeId.replace(/@\d+$/, '')], { record: record.id }),
    })),
  ];
  const run = (one: Command | undefined) => {
    if (!one) return;
    onClose();
    one.run();
  };
  const keys = (event: KeyboardEvent) => {
    const by = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    if (by && list.length) {
      event.preventDefault();
      at.value = (at.value + by + list.length) % list.length;
      requestAnimationFrame(() => ref.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: 'nearest' }));
    } else if (event.key === 'Enter') {
      event.preventDefault();
      run(list[at.value]);
    }
  };
  return (
    <dialog
      ref={ref}
      class="palette"
      aria-label="Go to, find, do"
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onMouseDown={(event) => event.target === ref.current && onClose()}
    >
      <div class="dialog-box">
        <input
          type="text"
          role="combobox"
          aria-label="What are you looking for?"
          aria-expanded="true"
          aria-controls="palette-list"
          aria-activedescendant={list.length ? `palette-${at.value}` : undefined}
          placeholder="A page, a collection, an action, words in a record, a record’s id"
          value={text.value}
          onInput={(event) => (text.value = event.currentTarget.value)}
          onKeyDown={keys}
        />
        <ul id="palette-list" role="listbox" aria-label="Matches">
          {list.map((one, index) => (
            <li
              key={index}
              id={`palette-${index}`}
              role="option"
              aria-selected={index === at.value}
              onMouseMove={() => (at.value = index)}
              onClick={() => run(one)}
            >
              <Icon name={one.icon} />
              <span>{one.label}</span>
              {one.note && <small>{one.note}</small>}
            </li>
          ))}
        </ul>
        {list.length === 0 && <p class="hint" role="status">Nothing fits.</p>}
      </div>
    </dialog>
  );
}
