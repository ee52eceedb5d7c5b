// The as-of clock: choose a past moment, and every page shows the stack as it was then.

import { useSignal } from '@preact/signals';
import { useRef } from 'preact/hooks';
import { asOf, goWith } from '../router';
import { stats } from '../state/catalog';
import { Button, Field } from './basics';
import { Icon } from './icons';

const STEPS: [string, number][] = [
  ['5 minutes ago', 300], ['An hour ago', 3_600], ['Yesterday', 86_400], ['A week ago', 604_800],
];

export function AsOfClock() {
  const menu = useRef<HTMLDivElement>(null);
  const moment = useSignal('');
  const tx = useSignal('');
  const travel = (to: string | undefined) => {
    menu.current?.hidePopover();
    goWith({ at: to });
  };
  return (
    <>
      <button type="button" class={`button ${asOf.value ? 'on' : 'quiet'}`} popoverTarget="as-of" title="Look at the past">
        <Icon name="clock" />
        <span class="wide-only">{asOf.value ? 'In the past' : 'Now'}</span>
      </button>
      <div id="as-of" class="menu" popover="auto" ref={menu} role="dialog" aria-label="Look at the past">
        <p class="hint">Every page shows the stack as it was at that moment, and changes nothing.</p>
        <div class="steps">
          {STEPS.map(([label, seconds]) => (
            <Button key={label} onClick={() => travel(new Date(Date.now() - seconds * 1_000).toISOString())}>{label}</Button>
          ))}
        </div>
        <form onSubmit={(event) => {
          event.preventDefault();
          if (moment.value) travel(new Date(moment.value).toISOString());
        }}>
          <Field label="At a moment">
            {(attributes) => (
              <div class="row">
                <input {...attributes} type="datetime-local" step="1" required value={moment.value} onInput={(e) => (moment.value = e.currentTarget.value)} />
                <Button type="submit">Go</Button>
              </div>
            )}
          </Field>
        </form>
        <form onSubmit={(event) => {
          event.preventDefault();
          travel(tx.value.trim());
        }}>
          <Field label="After a transaction" hint={stats.value ? `The newest is ${stats.value.lastTx}.` : undefined}>
            {(attributes) => (
              <div class="row">
                <input {...attributes} inputMode="numeric" pattern="[0-9]+" required value={tx.value} onInput={(e) => (tx.value = e.currentTarget.value)} />
                <Button type="submit">Go</Button>
              </div>
            )}
          </Field>
        </form>
        {asOf.value && <Button kind="primary" onClick={() => travel(undefined)}>Back to now</Button>}
      </div>
    </>
  );
}
