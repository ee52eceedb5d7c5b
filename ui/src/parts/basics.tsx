// Small parts that every page is made of.

import type { ComponentChildren, JSX } from 'preact';
import { useSignal } from '@preact/signals';
import { useEffect, useId, useRef } from 'preact/hooks';
import type { Fault, Json } from '../api/types';
import { ApiError } from '../api/client';
import { ago, when } from '../lib/format';
import { say } from '../state/notices';
import { Icon, type IconName } from './icons';

export function Button(
  { kind = '', icon, children, ...rest }: { kind?: '' | 'primary' | 'danger' | 'quiet'; icon?: IconName } & JSX.IntrinsicElements['button'],
) {
  return (
    <button type="button" {...rest} class={`button ${kind} ${children ? '' : 'square'} ${rest.class ?? ''}`}>
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}

/** A native modal dialog; Escape and a click beside it close it. */
export function Dialog(
  { title, onClose, children, actions, wide }: {
    title: string;
    onClose: () => void;
    children: ComponentChildren;
    actions?: ComponentChildren;
    wide?: boolean;
  },
) {
  const ref = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    const dialog = ref.current;
    const before = document.activeElement;
    dialog?.showModal();
    return () => {
      dialog?.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={ref}
      class={wide ? 'wide' : ''}
      aria-labelledby={heading}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onMouseDown={(event) => event.target === ref.current && onClose()}
    >
      <div class="dialog-box">
        <header>
          <h2 id={heading}>{title}</h2>
          <Button kind="quiet" icon="close" aria-label="Close" onClick={onClose} />
        </header>
        <div class="dialog-body">{children}</div>
        {actions && <footer>{actions}</footer>}
      </div>
    </dialog>
  );
}

export function Confirm(
  { title, children, label, onYes, onClose }: {
    title: string;
    children: ComponentChildren;
    label: string;
    onYes: () => unknown;
    onClose: () => void;
  },
) {
  const busy = useSignal(false);
  const fault = useSignal<unknown>(null);
  const run = async () => {
    busy.value = true;
    try {
      await onYes();
      onClose();
    } catch (problem) {
      fault.value = problem;
      busy.value = false;
    }
  };
  return (
    <Dialog
      title={title}
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="danger" disabled={busy.value} onClick={run}>{label}</Button>
        </>
      }
    >
      {children}
      <Problem of={fault.value} />
    </Dialog>
  );
}

/** A refusal in words, with the fields it is about. */
export function Problem({ of }: { of: unknown }) {
  if (!of) return null;
  const faults: Fault[] = of instanceof ApiError ? of.faults : [];
  return (
    <div class="problem" role="alert">
      <p>{of instanceof Error ? of.message : String(of)}</p>
      {faults.length > 0 && (
        <ul>{faults.map((one) => <li key={one.path}>{one.path && <code>{one.path}</code>} {one.message}</li>)}</ul>
      )}
    </div>
  );
}

export function Empty({ icon, title, children }: { icon: IconName; title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <Icon name={icon} />
      <h2>{title}</h2>
      {children}
    </div>
  );
}

export function Loading() {
  return <p class="loading" role="status">Loading…</p>;
}

export function Time({ at }: { at: string }) {
  return <time dateTime={at} title={when(at)}>{ago(at)}</time>;
}

export async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Not given to pages over plain HTTP; the older way still is.
    const area = document.createElement('textarea');
    area.value = text;
    (document.querySelector('dialog[open]') ?? document.body).append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
  say('Copied.');
}

export function Code({ text, label = 'Copy' }: { text: string; label?: string }) {
  return (
    <div class="code">
      <pre tabIndex={0}><code>{text}</code></pre>
      <Button kind="quiet" icon="copy" aria-label={label} title={label} onClick={() => copy(text)} />
    </div>
  );
}

/** A value as it is: null, absent, empty, false and 0 look different. */
export function Value({ of, long }: { of: Json | undefined; long?: boolean }) {
  if (of === undefined) return <span class="value absent">absent</span>;
  if (of === null) return <span class="value null">null</span>;
  if (of === '') return <span class="value empty-text">empty text</span>;
  if (typeof of === 'string') return <span class="value text">{of}</span>;
  if (typeof of === 'number') return <span class="value number">{String(of)}</span>;
  if (typeof of === 'boolean') return <span class={`value bool ${of}`}>{String(of)}</span>;
  return <span class="value json">{long ? JSON.stringify(of, null, 2) : JSON.stringify(of)}</span>;
}

export function Field(
  { label, hint, fault, children }: {
    label: ComponentChildren;
    hint?: ComponentChildren;
    fault?: string | undefined;
    children: (attributes: { id: string; 'aria-describedby'?: string; 'aria-invalid'?: boolean }) => ComponentChildren;
  },
) {
  const id = useId();
  const described = fault || hint ? `${id}-about` : undefined;
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children({ id, ...(described ? { 'aria-describedby': described } : {}), ...(fault ? { 'aria-invalid': true } : {}) })}
      {described && <p id={described} class={fault ? 'fault' : 'hint'}>{fault || hint}</p>}
    </div>
  );
}

/** Tabs by the keyboard's arrows, as people expect of tabs. */
export function Tabs<T extends string>(
  { label, tabs, current, onPick }: { label: string; tabs: { id: T; label: string }[]; current: T; onPick: (id: T) => void },
) {
  const step = (event: KeyboardEvent) => {
    const by = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
    if (!by) return;
    event.preventDefault();
    const at = tabs.findIndex((tab) => tab.id === current);
    const next = tabs[(at + by + tabs.length) % tabs.length];
    if (!next) return;
    onPick(next.id);
    const list = event.currentTarget as HTMLElement;
    requestAnimationFrame(() => list.querySelector<HTMLElement>('[aria-selected="true"]')?.focus());
  };
  return (
    <div class="tabs" role="tablist" aria-label={label} onKeyDown={step}>
      {tabs.map((tab) => (
        <button
          type="button"
          role="tab"
          key={tab.id}
          aria-selected={tab.id === current}
          tabIndex={tab.id === current ? 0 : -1}
          onClick={() => onPick(tab.id)}
        >
          {tab.label}
        </button>
      ))}
    </div>
  );
}
