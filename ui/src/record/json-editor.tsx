// The content as text. What is no JSON object is said at once, with its line, and cannot be saved.

import { useSignal } from '@preact/signals';
import { useEffect, useId } from 'preact/hooks';
import type { JsonObject } from '../api/types';
import { same } from '../lib/diff';

function parse(text: string): JsonObject {
  const value = JSON.parse(text) as unknown;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('The content is an object: { … }');
  return value as JsonObject;
}

/** Browsers name a position; people count lines. */
function explain(fault: Error, text: string): string {
  const at = /position (\d+)/.exec(fault.message)?.[1];
  if (at === undefined || /line \d+/.test(fault.message)) return fault.message;
  return `${fault.message}, line ${text.slice(0, Number(at)).split('\n').length}`;
}

export function JsonEditor(
  { value, onChange, onBroken, readOnly = false, label = 'Content as JSON' }: {
    value: JsonObject;
    onChange: (value: JsonObject) => void;
    onBroken?: (broken: boolean) => void;
    readOnly?: boolean;
    label?: string;
  },
) {
  const text = useSignal(JSON.stringify(value, null, 2));
  const fault = useSignal('');
  const id = useId();
  useEffect(() => {
    // Another value from outside; what is being typed says the same already.
    try {
      if (same(parse(text.peek()), value)) return;
    } catch {
      if (fault.peek()) return;
    }
    text.value = JSON.stringify(value, null, 2);
    fault.value = '';
  }, [value]);
  useEffect(() => () => onBroken?.(false), []);
  return (
    <div class="field">
      <textarea
        class="mono json"
        aria-label={label}
        aria-invalid={Boolean(fault.value)}
        aria-describedby={id}
        spellcheck={false}
        readOnly={readOnly}
        rows={Math.min(30, Math.max(10, text.value.split('\n').length + 1))}
        value={text.value}
        onInput={(event) => {
          text.value = event.currentTarget.value;
          try {
            onChange(parse(text.value));
            fault.value = '';
          } catch (problem) {
            fault.value = explain(problem as Error, text.value);
          }
          onBroken?.(Boolean(fault.value));
        }}
        onKeyDown={(event) => {
          if (event.key !== 'Enter' || event.isComposing) return;
          // Keeps the indent of the line before.
          const area = event.currentTarget;
          const before = area.value.slice(0, area.selectionStart);
          const indent = /(?:^|\n)([ ]*)[^\n]*$/.exec(before)?.[1] ?? '';
          const deeper = /[[{]\s*$/.test(before) ? '  ' : '';
          event.preventDefault();
          area.setRangeText(`\n${indent}${deeper}`, area.selectionStart, area.selectionEnd, 'end');
          area.dispatchEvent(new Event('input', { bubbles: true }));
        }}
      />
      <p id={id} class={fault.value ? 'fault' : 'hint'} role={fault.value ? 'alert' : undefined}>
        {fault.value || (readOnly ? 'As it was then.' : 'Valid JSON. A key left out is absent; null stays null.')}
      </p>
    </div>
  );
}
