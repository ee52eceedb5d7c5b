// A form from the schema. A field has a value, is null, or is absent, and says which.

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { ApiError } from '../api/client';
import type { FieldDef, Json, JsonObject, Kind, Schema } from '../api/types';
import { fromText, kindOfValue, toText } from '../lib/schema';
import { same } from '../lib/diff';
import { Button, Field, Value } from '../parts/basics';
import { Preview } from '../parts/preview';

interface Props {
  schema: Schema;
  content: JsonObject;
  seen?: JsonObject;
  readOnly?: boolean;
  faults?: unknown;
  onChange: (content: JsonObject) => void;
}

export function ContentForm({ schema, content, seen, readOnly = false, faults, onChange }: Props) {
  const name = useSignal('');
  const extra = Object.keys(content).filter((field) => !(field in schema));
  const set = (field: string, value: Json | undefined) => {
    const next = { ...content };
    if (value === undefined) delete next[field];
    else next[field] = value;
    onChange(next);
  };
  const told = (field: string) =>
    faults instanceof ApiError ? faults.faults.find((one) => one.path === field || one.path.startsWith(`${field}.`) || one.path.startsWith(`${field}[`))?.message : undefined;
  const row = (field: string, definition: FieldDef, declared: boolean) => (
    <FieldRow
      key={field}
      name={field}
      definition={definition}
      declared={declared}
      value={field in content ? content[field] : undefined}
      edited={seen !== undefined && !same(seen[field], content[field])}
      readOnly={readOnly}
      fault={told(field)}
      onSet={(value) => set(field, value)}
    />
  );
  return (
    <div class="form">
      {Object.entries(schema).map(([field, definition]) => row(field, definition, true))}
      {extra.map((field) => row(field, { kind: kindOfValue(content[field] ?? null) }, false))}
      {Object.keys(schema).length + extra.length === 0 && <p class="hint">The type declares no fields: any may be added.</p>}
      {!readOnly && (
        <form class="row add" onSubmit={(event) => {
          event.preventDefault();
          const field = name.value.trim();
          if (field && !(field in content)) set(field, '');
          name.value = '';
        }}>
          <input aria-label="Name of another field" placeholder="another field" value={name.value} onInput={(event) => (name.value = event.currentTarget.value)} />
          <Button type="submit" icon="plus" disabled={!name.value.trim()}>Add</Button>
        </form>
      )}
    </div>
  );
}

const START: Record<Kind, Json> = {
  string: '', text: '', number: 0, boolean: false, date: '', 'record-ref': '', 'file-ref': '', array: [], object: {},
};

function FieldRow(
  { name, definition, declared, value, edited, readOnly, fault, onSet }: {
    name: string;
    definition: FieldDef;
    declared: boolean;
    value: Json | undefined;
    edited: boolean;
    readOnly: boolean;
    fault: string | undefined;
    onSet: (value: Json | undefined) => void;
  },
) {
  const kind = definition.kind;
  // What is being typed, while it is not a value of the kind.
  const typed = useSignal<{ text: string; fault: string } | null>(null);
  useEffect(() => {
    typed.value = null;
  }, [kind]);
  const state = value === undefined ? 'absent' : value === null ? 'null' : 'value';
  const note = [kind === 'array' ? `list of ${definition.items?.kind ?? 'anything'}` : kind, definition.required && 'required', definition.unique && 'unique', !declared && 'not in the type'].filter(Boolean).join(' · ');
  const input = (text: string) => {
    try {
      onSet(fromText(kind, text));
      typed.value = null;
    } catch (problem) {
      typed.value = { text, fault: (problem as Error).message };
    }
  };
  const text = typed.value?.text ?? (value === undefined || value === null ? '' : toText(value));
  const tall = kind === 'text' || kind === 'array' || kind === 'object' || text.includes('\n');
  // A value of another kind than the type says (an open field) is edited as what it is.
  return (
    <div class={`form-row ${edited ? 'edited' : ''}`}>
      <Field label={<>{name} <small>{note}</small></>} fault={typed.value?.fault ?? fault}>
        {(attributes) => readOnly ? <div {...attributes} class="shown" tabIndex={0}><Value of={value} long /></div> : state !== 'value' && !typed.value ? (
          <button
            {...attributes}
            type="button"
            class={`hollow ${state}`}
            onClick={(event) => {
              const row = event.currentTarget.closest('.form-row');
              onSet(START[kind]);
              requestAnimationFrame(() => row?.querySelector<HTMLElement>('input, textarea, select')?.focus());
            }}
          >
            {state}<span> — give it a value</span>
          </button>
        ) : kind === 'boolean' ? (
          <select {...attributes} value={text} onChange={(event) => input(event.currentTarget.value)}>
            <option value="true">true</option>
            <option value="false">false</option>
          </select>
        ) : tall ? (
          <textarea {...attributes} class={kind === 'text' ? '' : 'mono'} rows={Math.min(14, Math.max(3, text.split('\n').length + 1))} spellcheck={kind === 'text'} value={text} onInput={(event) => input(event.currentTarget.value)} />
        ) : (
          <input
            {...attributes}
            type="text"
            autocomplete="off"
            inputMode={kind === 'number' ? 'decimal' : 'text'}
            class={kind === 'file-ref' || kind === 'record-ref' ? 'mono' : ''}
            placeholder={kind === 'date' ? '2024-01-31 or 2024-01-31T09:30:00Z' : kind === 'string' ? 'empty text' : ''}
            value={text}
            onInput={(event) => input(event.currentTarget.value)}
          />
        )}
      </Field>
      {!readOnly && (
        <div class="becomes" role="group" aria-label={`${name} becomes`}>
          {state !== 'null' && <button type="button" class="textual" onClick={() => { typed.value = null; onSet(null); }}>null</button>}
          {state !== 'absent' && <button type="button" class="textual" onClick={() => { typed.value = null; onSet(undefined); }}>absent</button>}
        </div>
      )}
      {kind === 'file-ref' && typeof value === 'string' && value && <Preview fileId={value} />}
    </div>
  );
}
