// One record beside the grid: form, JSON, timeline, links, access, and the lines to do the same from code.

import type { ComponentChildren } from 'preact';
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { ApiError } from '../api/client';
import { createRecord, deleteRecord, getRecord, purgeRecord, undeleteRecord } from '../api/stack';
import type { JsonObject, StackRecord } from '../api/types';
import { titleOf } from '../lib/record';
import { same } from '../lib/diff';
import { Button, Confirm, Loading, Problem, Tabs, Time } from '../parts/basics';
import { Icon } from '../parts/icons';
import { useLoaded } from '../parts/use';
import { asOf, goWith, place } from '../router';
import { announce, onChanged } from '../state/changed';
import { onFeed } from '../state/feed';
import { countAgain, type Collection } from '../state/catalog';
import { complain, say } from '../state/notices';
import { session } from '../state/session';
import { AccessTab } from './access-tab';
import { CodeTab } from './code-tab';
import { ConflictDialog, type Conflict } from './conflict';
import { ContentForm } from './form';
import { JsonEditor } from './json-editor';
import { LinksTab } from './links-tab';
import { saveContent } from './save';
import { Timeline } from './timeline';

interface Props {
  id: string;
  collection: Collection;
  onClose: () => void;
  onCreated: (id: string) => void;
}

export function RecordPanel(props: Props) {
  return props.id === 'new' ? <NewRecord {...props} /> : <OneRecord {...props} />;
}

function Panel({ title, note, onClose, children, actions }: {
  title: string;
  note: ComponentChildren;
  onClose: () => void;
  children: ComponentChildren;
  actions?: ComponentChildren;
}) {
  const ref = useRef<HTMLElement>(null);
  useEffect(() => ref.current?.focus(), []);
  return (
    <section
      ref={ref}
      class="panel"
      tabIndex={-1}
      aria-label={title}
      onKeyDown={(event) => {
        const target = event.target as HTMLElement;
        if (event.key === 'Escape' && !target.closest('dialog, [popover], textarea')) onClose();
      }}
    >
      <header>
        <div>
          <h2>{title}</h2>
          <p class="hint">{note}</p>
        </div>
        <div class="row">
          {actions}
          <Button kind="quiet" icon="close" aria-label="Close the record" onClick={onClose} />
        </div>
      </header>
      {children}
    </section>
  );
}

function NewRecord({ collection, onClose, onCreated }: Props) {
  const typeId = useSignal(place.value.params.get('type') ?? collection.types.at(-1)?.id ?? '');
  const draft = useSignal<JsonObject>({});
  const json = useSignal(false);
  const fault = useSignal<unknown>(null);
  const busy = useSignal(false);
  const type = collection.types.find((one) => one.id === typeId.value);
  const save = async () => {
    busy.value = true;
    try {
      const made = await createRecord({ typeId: typeId.value, content: draft.value });
      announce(made);
      countAgain();
      say(`“${titleOf(made)}” was created.`, {
        label: 'Undo',
        run: async () => {
          announce(await deleteRecord(made.id, made.version));
          countAgain();
        },
      });
      onCreated(made.id);
    } catch (problem) {
      fault.value = problem;
    }
    busy.value = false;
  };
  return (
    <Panel title={`New ${collection.name}`} note={typeId.value} onClose={onClose}>
      <div class="panel-body">
        {collection.types.length > 1 && (
          <label>Type
            <select value={typeId.value} onChange={(event) => (typeId.value = event.currentTarget.value)}>
              {collection.types.map((one) => <option key={one.id}>{one.id}</option>)}
            </select>
          </label>
        )}
        <label class="check"><input type="checkbox" checked={json.value} onChange={(event) => (json.value = event.currentTarget.checked)} />Write it as JSON</label>
        {json.value
          ? <JsonEditor value={draft.value} onChange={(value) => (draft.value = value)} />
          : <ContentForm schema={type?.schema ?? {}} content={draft.value} onChange={(content) => (draft.value = content)} faults={fault.value} />}
        <Problem of={fault.value} />
      </div>
      <footer>
        <Button onClick={onClose}>Cancel</Button>
        <Button kind="primary" disabled={busy.value} onClick={save}>Create</Button>
      </footer>
    </Panel>
  );
}

const TABS = [
  { id: 'form', label: 'Form' },
  { id: 'json', label: 'JSON' },
  { id: 'history', label: 'History' },
  { id: 'links', label: 'Links' },
  { id: 'access', label: 'Access' },
  { id: 'code', label: 'Code' },
] as const;
type Tab = (typeof TABS)[number]['id'];

function OneRecord({ id, collection, onClose }: Props) {
  const past = asOf.value;
  const loaded = useLoaded(() => getRecord(id, past), [id, past]);
  const draft = useSignal<JsonObject | null>(null);
  const broken = useSignal(false);
  const fault = useSignal<unknown>(null);
  const busy = useSignal(false);
  const conflict = useSignal<Conflict | null>(null);
  const purging = useSignal(false);
  const record = loaded.data.value;

  const take = (next: StackRecord) => {
    loaded.data.value = next;
    draft.value = null;
    fault.value = null;
    announce(next);
  };
  // An edit in the grid's cells arrives here; a draft that is being written stays, and meets it when saved.
  useEffect(() => onChanged((other) => {
    if (other !== 'many' && other.id === id && other !== loaded.data.peek() && draft.peek() === null) loaded.data.value = other;
  }), [id]);

  // What others do shows too, unless something is being written: that meets it when it is saved.
  useEffect(() => onFeed((entries) => {
    const seen = loaded.data.peek();
    if (past !== undefined || draft.peek() !== null || !seen) return;
    if (entries.some((one) => one.id === id && one.version > seen.version)) void loaded.again();
  }), [id, past]);

  if (!record) {
    return (
      <Panel title={id} note={collection.name} onClose={onClose}>
        <div class="panel-body">{loaded.fault.value ? <Problem of={loaded.fault.value} /> : <Loading />}</div>
      </Panel>
    );
  }
  const readOnly = past !== undefined;
  const tabs = TABS.filter((tab) => !readOnly || ['form', 'json', 'links', 'code'].includes(tab.id));
  const asked = place.value.params.get('tab') as Tab | null;
  const tab: Tab = tabs.some((one) => one.id === asked) && asked ? asked : 'form';
  const type = collection.types.find((one) => one.id === record.typeId);
  const content = draft.value ?? record.content;
  const edited = draft.value !== null && !same(draft.value, record.content);

  const save = async () => {
    busy.value = true;
    try {
      take(await saveContent(record, content));
      say('Saved.');
    } catch (problem) {
      if (problem instanceof ApiError && problem.status === 412) conflict.value = { seen: record, mine: content };
      else fault.value = problem;
    }
    busy.value = false;
  };
  const undelete = async () => {
    take(await undeleteRecord(id));
    countAgain();
  };
  const remove = async () => {
    try {
      take(await deleteRecord(id, record.version));
      countAgain();
      say(`“${titleOf(record)}” was deleted.`, { label: 'Undo', run: undelete });
    } catch (problem) {
      complain(problem);
    }
  };
  return (
    <Panel
      title={titleOf(record)}
      onClose={onClose}
      note={<><code>{record.id}</code> · {record.typeId} · version {record.version} · <Time at={record.updatedAt} /></>}
      actions={!readOnly && !record.deletedAt && <Button kind="quiet" icon="trash" aria-label="Delete" title="Delete" onClick={remove} />}
    >
      {record.deletedAt && (
        <div class="past" role="status">
          <Icon name="trash" />
          <span>Deleted <Time at={record.deletedAt} />.</span>
          {!readOnly && <Button onClick={() => undelete().catch(complain)}>Bring it back</Button>}
          {!readOnly && session.value?.owner && <Button kind="danger" onClick={() => (purging.value = true)}>Remove for good</Button>}
        </div>
      )}
      <Tabs label="Views of the record" tabs={[...tabs]} current={tab} onPick={(next) => goWith({ tab: next === 'form' ? undefined : next }, true)} />
      <div class="panel-body" role="tabpanel" aria-label={tab}>
        {tab === 'form' && (
          <ContentForm schema={type?.schema ?? {}} content={content} seen={record.content} readOnly={readOnly} faults={fault.value} onChange={(next) => (draft.value = next)} />
        )}
        {tab === 'json' && (
          <JsonEditor value={content} readOnly={readOnly} onChange={(next) => (draft.value = next)} onBroken={(is) => (broken.value = is)} />
        )}
        {tab === 'history' && <Timeline record={record} onChanged={take} onConflict={() => void loaded.again()} />}
        {tab === 'links' && <LinksTab record={record} readOnly={readOnly} onChanged={take} />}
        {tab === 'access' && <AccessTab record={record} onChanged={take} />}
        {tab === 'code' && <CodeTab record={record} />}
        {(tab === 'form' || tab === 'json') && <Problem of={fault.value} />}
      </div>
      {(edited || broken.value) && !readOnly && (
        <footer>
          <span class="hint">Not saved yet</span>
          <Button onClick={() => {
            draft.value = null;
            broken.value = false;
            fault.value = null;
          }}>Discard</Button>
          <Button kind="primary" disabled={busy.value || broken.value || !edited} onClick={save}>Save</Button>
        </footer>
      )}
      {conflict.value && (
        <ConflictDialog of={conflict.value} onClose={() => (conflict.value = null)} onSaved={(next) => {
          conflict.value = null;
          take(next);
        }} />
      )}
      {purging.value && (
        <Confirm
          title="Remove for good?"
          label="Remove for good"
          onClose={() => (purging.value = false)}
          onYes={async () => {
            await purgeRecord(id);
            countAgain();
            announce('many');
            onClose();
          }}
        >
          <p>The record, its links and its whole history are removed. This cannot be undone.</p>
        </Confirm>
      )}
    </Panel>
  );
}
