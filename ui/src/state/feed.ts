// What others change, as it happens: the change feed, read as a stream for as long as somebody is signed in.
// A connection that breaks is taken up again where it ended, so that nothing is missed.

import { signal } from '@preact/signals';
import { address, ApiError, credential } from '../api/client';
import { changes } from '../api/stack';
import type { Change } from '../api/types';

type Listener = (entries: Change[]) => void;
const listeners = new Set<Listener>();

/** `off`: this server has no feed (the live face is off). */
export const feedState = signal<'starting' | 'live' | 'lost' | 'off'>('starting');

const GATHER_MS = 120;
const RETRY_MS = [500, 1_000, 2_000, 5_000, 10_000];
/** Later than any transaction: answered with where the journal ends. */
const THE_END = Number.MAX_SAFE_INTEGER;

/** Returns how to stop listening. Entries come in bunches. */
export function onFeed(listener: Listener): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

let waiting: Change[] = [];
let timer: ReturnType<typeof setTimeout> | undefined;

function gather(entry: Change): void {
  waiting.push(entry);
  timer ??= setTimeout(() => {
    timer = undefined;
    const entries = waiting;
    waiting = [];
    for (const listener of listeners) listener(entries);
  }, GATHER_MS);
}

async function follow(from: string, signal: AbortSignal, took: (cursor: string) => void): Promise<void> {
  const response = await fetch(address('_/changes', { since: from }), {
    headers: { Authorization: `Bearer ${credential() ?? ''}`, Accept: 'text/event-stream' },
    cache: 'no-store',
    signal,
  });
  if (!response.ok || !response.body) throw new ApiError(response.status, '', 'The feed was refused.');
  feedState.value = 'live';
  took(from);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const events = text.split('\n\n');
    text = events.pop() ?? '';
    for (const event of events) {
      const field = (name: string) => new RegExp(`^${name}: ?(.*)$`, 'm').exec(event)?.[1];
      const [id, data] = [field('id'), field('data')];
      if (field('event') !== 'change' || !data) continue;
      if (id) took(id);
      gather(JSON.parse(data) as Change);
    }
  }
}

/** Follows until told to stop. */
export function startFeed(): () => void {
  const stop = new AbortController();
  const pause = (ms: number) => new Promise((go) => setTimeout(go, ms));
  void (async () => {
    let from: string | undefined;
    let tries = 0;
    while (!stop.signal.aborted) {
      try {
        from ??= (await changes(THE_END, 1)).next;
        await follow(from, stop.signal, (cursor) => {
          from = cursor;
          tries = 0;
        });
      } catch (fault) {
        const status = fault instanceof ApiError ? fault.status : 0;
        if (status === 404 || status === 401) {
          feedState.value = 'off';
          return;
        }
      }
      if (stop.signal.aborted) return;
      feedState.value = 'lost';
      await pause(RETRY_MS[Math.min(tries++, RETRY_MS.length - 1)] ?? 1_000);
    }
  })();
  return () => {
    stop.abort();
    feedState.value = 'starting';
  };
}
