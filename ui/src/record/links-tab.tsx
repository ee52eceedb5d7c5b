// What a record points at, and what points at it.

import { useSignal } from '@preact/signals';
import { associate, dissociate, getRecord, query, upload } from '../api/stack';
import type { Association, StackRecord } from '../api/types';
import { titleOf } from '../lib/record';
import { Button, Loading, Problem } from '../parts/basics';
import { Icon } from '../parts/icons';
import { Preview } from '../parts/preview';
import { useLoaded } from '../parts/use';
import { asOf, href } from '../router';
import { countAgain, typeById } from '../state/catalog';
import { complain } from '../state/notices';

const IN_ROWS_MAX = 50;

export function LinksTab(
  { record, readOnly, onChanged }: { record: StackRecord; readOnly: boolean; onChanged: (record: StackRecord) => void },
) {
  const tag = useSignal('');
  const label = useSignal('');
  const target = useSignal('');
  const inward = useLoaded(() => query({ filter: { relatedTo: { recordId: record.id } }, limit: IN_ROWS_MAX }, asOf.value), [record.id, asOf.value]);
  const all = record.associations ?? [];
  const add = (one: Association) => associate(record.id, one).then(onChanged, complain);
  const remove = (one: Association) => dissociate(record.id, one).then(onChanged, complain);
  const tags = all.filter((one) => one.kind === 'tag');
  const relations = all.filter((one) => one.kind === 'relationship');
  const files = all.filter((one) => one.kind === 'attachment');
  return (
    <div class="stacked">
      <section aria-label="Tags">
        <h3>Tags</h3>
        <div class="chips">
          {tags.map((one) => readOnly
            ? <span class="chip" key={one.label}>{one.label}</span>
            : <button type="button" class="chip" key={one.label} aria-label={`Remove the tag ${one.label}`} onClick={() => remove(one)}>{one.label}<Icon name="close" /></button>)}
          {tags.length === 0 && <span class="hint">None.</span>}
        </div>
        {!readOnly && (
          <form class="row" onSubmit={(event) => {
            event.preventDefault();
            if (tag.value.trim()) void add({ kind: 'tag', label: tag.value.trim() });
            tag.value = '';
          }}>
            <input aria-label="New tag" placeholder="new tag" value={tag.value} onInput={(event) => (tag.value = event.currentTarget.value)} />
            <Button type="submit" icon="plus" disabled={!tag.value.trim()}>Add tag</Button>
          </form>
        )}
      </section>
      <section aria-label="Points at">
        <h3>Points at</h3>
        <ul class="lines">
          {relations.map((one) => (
            <li key={one.label + one.recordId}>
              <Target label={one.label} id={one.recordId} />
              {!readOnly && <Button kind="quiet" icon="close" aria-label={`Remove the link ${one.label} to ${one.recordId}`} onClick={() => remove(one)} />}
            </li>
          ))}
        </ul>
        {relations.length === 0 && <p class="hint">No other record.</p>}
        {!readOnly && (
          <form class="row" onSubmit={(event) => {
            event.preventDefault();
            void add({ kind: 'relationship', label: label.value.trim(), recordId: target.value.trim() });
            target.value = '';
          }}>
            <input aria-label="What the link is called" placeholder="label" required value={label.value} onInput={(event) => (label.value = event.currentTarget.value)} />
            <input aria-label="Id of the record it points at" class="mono" placeholder="record id" required value={target.value} onInput={(event) => (target.value = event.currentTarget.value)} />
            <Button type="submit" icon="plus">Link</Button>
          </form>
        )}
      </section>
      <section aria-label="Pointed at by">
        <h3>Pointed at by</h3>
        <Problem of={inward.fault.value} />
        {!inward.data.value && !inward.fault.value && <Loading />}
        {inward.data.value?.records.length === 0 && <p class="hint">No record points here.</p>}
        <ul class="lines">
          {inward.data.value?.records.map((one) => {
            const labels = (one.associations ?? []).flatMap((link) => link.kind === 'relationship' && link.recordId === record.id ? [link.label] : []);
            return <li key={one.id}><RecordLink record={one} note={labels.join(', ')} /></li>;
          })}
        </ul>
        {inward.data.value?.cursor && <p class="hint">The first {IN_ROWS_MAX} are shown.</p>}
      </section>
      <section aria-label="Files">
        <h3>Files</h3>
        {files.map((one) => (
          <div class="file-line" key={one.label + one.fileId}>
            <span><strong>{one.label}</strong></span>
            <Preview fileId={one.fileId} />
            {!readOnly && <Button kind="quiet" icon="close" aria-label={`Remove the file ${one.label} from the record`} onClick={() => remove(one)} />}
          </div>
        ))}
        {files.length === 0 && <p class="hint">None.</p>}
        {!readOnly && (
          <label class="button pick-file">
            <Icon name="plus" />Attach a file
            <input
              type="file"
              onChange={async (event) => {
                const input = event.currentTarget;
                const file = input.files?.[0];
                input.value = '';
                if (!file) return;
                try {
                  const stored = await upload(file, () => {});
                  countAgain();
                  await add({ kind: 'attachment', label: file.name, fileId: String(stored.content['fileId']) });
                } catch (problem) {
                  complain(problem);
                }
              }}
            />
          </label>
        )}
      </section>
    </div>
  );
}

function RecordLink({ record, note }: { record: StackRecord; note: string }) {
  return (
    <a href={href(['data', record.typeId.replace(/@\d+$/, '')], { record: record.id, tab: 'links' })}>
      <strong>{titleOf(record)}</strong>
      <small>{note} · {typeById(record.typeId)?.name ?? record.typeId}</small>
    </a>
  );
}

function Target({ label, id }: { label: string; id: string }) {
  const found = useLoaded(() => (id.startsWith('did:') ? Promise.resolve(null) : getRecord(id, asOf.value)), [id, asOf.value]);
  if (found.data.value) return <RecordLink record={found.data.value} note={label} />;
  return <span><strong class="mono">{id}</strong> <small>{label}{found.fault.value ? ' · cannot be shown: gone, or not there yet' : ''}</small></span>;
}
