// Files: dropped in, looked at, removed; and the sweep of what nothing refers to, looked at before it runs.

import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { collectGarbage, deleteFile, query, upload } from '../api/stack';
import type { StackRecord } from '../api/types';
import { bytes, plural } from '../lib/format';
import { curl } from '../lib/record';
import { Button, Code, Confirm, Dialog, Empty, Loading, Problem, Time } from '../parts/basics';
import { Icon } from '../parts/icons';
import { Download, Preview } from '../parts/preview';
import { asOf, goWith, href, hrefWith, place } from '../router';
import { countAgain } from '../state/catalog';
import { say } from '../state/notices';
import { session } from '../state/session';
import { useLoaded } from '../parts/use';

const PAGE_ROWS = 60;

interface Sending {
  id: number;
  name: string;
  part: number;
  fault?: string;
}

const text = (record: StackRecord, field: string) => String(record.content[field] ?? '');
const nameOf = (record: StackRecord) => text(record, 'filename') || `${text(record, 'fileId').slice(0, 12)}…`;

export function FilesPage() {
  const rows = useSignal<StackRecord[] | null>(null);
  const cursor = useSignal<string | null>(null);
  const fault = useSignal<unknown>(null);
  const sending = useSignal<Sending[]>([]);
  const over = useSignal(false);
  const sweeping = useSignal(false);
  const last = useRef(0);
  const input = useRef<HTMLInputElement>(null);
  const past = asOf.value;
  const words = place.value.params.get('q') ?? undefined;

  const load = async (from: string | null) => {
    try {
      const page = await query({ filter: { typeId: '_attachment@1', ...(words ? { search: words } : {}) }, limit: PAGE_ROWS, cursor: from }, past);
      rows.value = from ? [...(rows.value ?? []), ...page.records] : page.records;
      cursor.value = page.cursor;
      fault.value = null;
    } catch (problem) {
      fault.value = problem;
    }
  };
  useEffect(() => void load(null), [past, words]);

  const send = async (files: Iterable<File>) => {
    for (const file of files) {
      const id = ++last.current;
      const put = (change: Partial<Sending>) => (sending.value = sending.value.map((one) => (one.id === id ? { ...one, ...change } : one)));
      sending.value = [...sending.value, { id, name: file.name, part: 0 }];
      try {
        await upload(file, (part) => put({ part }));
        sending.value = sending.value.filter((one) => one.id !== id);
        say(`“${file.name}” is stored.`);
      } catch (problem) {
        put({ fault: problem instanceof Error ? problem.message : String(problem) });
      }
    }
    countAgain();
    await load(null);
  };
  const open = rows.value?.find((one) => one.id === place.value.params.get('file'));
  return (
    <div
      class={`page files ${over.value ? 'over' : ''}`}
      onDragOver={(event) => {
        if (past || !event.dataTransfer?.types.includes('Files')) return;
        event.preventDefault();
        over.value = true;
      }}
      onDragLeave={(event) => {
        if (!event.currentTarget.contains(event.relatedTarget as Node | null)) over.value = false;
      }}
      onDrop={(event) => {
        event.preventDefault();
        over.value = false;
        if (!past && event.dataTransfer) void send([...event.dataTransfer.files]);
      }}
    >
      <header class="page-head">
        <div>
          <h1>Files</h1>
          <p class="hint">The same bytes are stored once. At most {bytes(session.value?.stack.capabilities.maxAttachmentBytes ?? 0)} each.</p>
        </div>
        <div class="row">
          {session.value?.owner && !past && <Button onClick={() => (sweeping.value = true)}>Unused files…</Button>}
          {!past && <Button kind="primary" icon="plus" onClick={() => input.current?.click()}>Upload</Button>}
          <input ref={input} type="file" multiple hidden aria-label="Files to upload" onChange={(event) => {
            const chosen = [...(event.currentTarget.files ?? [])];
            event.currentTarget.value = '';
            void send(chosen);
          }} />
        </div>
      </header>
      <div class="filters" role="search">
        <div class="search">
          <Icon name="search" />
          <input type="search" aria-label="Search files" placeholder="name or media type" value={words ?? ''} onChange={(event) => goWith({ q: event.currentTarget.value.trim() || undefined })} />
        </div>
      </div>
      <Problem of={fault.value} />
      {sending.value.map((one) => (
        <div class="sending" key={one.id} role="status">
          <span>{one.name}</span>
          {one.fault
            ? <><span class="fault">{one.fault}</span><Button kind="quiet" icon="close" aria-label={`Dismiss ${one.name}`} onClick={() => (sending.value = sending.value.filter((other) => other.id !== one.id))} /></>
            : <progress max={1} value={one.part} aria-label={`Sending ${one.name}`} />}
        </div>
      ))}
      {!rows.value && !fault.value && <Loading />}
      {rows.value?.length === 0 && (
        <Empty icon="files" title={words ? 'No file fits' : 'No files yet'}>
          <p>{past ? 'There were none at that moment.' : 'Drop files anywhere on this page, or choose them.'}</p>
        </Empty>
      )}
      <ul class="gallery">
        {rows.value?.map((record) => (
          <li key={record.id}>
            <a href={hrefWith({ file: record.id })}>
              <Thumb record={record} />
              <strong>{nameOf(record)}</strong>
              <small>{text(record, 'mimeType')} · {bytes(Number(record.content['size'] ?? 0))}</small>
            </a>
          </li>
        ))}
      </ul>
      {cursor.value && <Button onClick={() => load(cursor.value)}>Show more</Button>}
      {open && <OneFile record={open} onClose={() => goWith({ file: undefined })} onGone={() => {
        goWith({ file: undefined });
        countAgain();
        void load(null);
      }} />}
      {sweeping.value && <Sweep onClose={() => (sweeping.value = false)} onDone={() => {
        countAgain();
        void load(null);
      }} />}
    </div>
  );
}

const THUMB_BYTES_MAX = 2 * 1024 * 1024;

function Thumb({ record }: { record: StackRecord }) {
  const type = text(record, 'mimeType');
  const small = Number(record.content['size'] ?? 0) <= THUMB_BYTES_MAX;
  if (type.startsWith('image/') && type !== 'image/svg+xml' && small) {
    return <div class="thumb"><Preview fileId={text(record, 'fileId')} mimeType={type} name="" /></div>;
  }
  return <div class="thumb"><Icon name="files" /><span>{/\.([a-z0-9]{1,6})$/i.exec(nameOf(record))?.[1] ?? type.split('/')[1]}</span></div>;
}

function OneFile({ record, onClose, onGone }: { record: StackRecord; onClose: () => void; onGone: () => void }) {
  const fileId = text(record, 'fileId');
  const deleting = useSignal(false);
  const users = useLoaded(() => query({ filter: { attachmentFileId: fileId, includeDeleted: true }, limit: 20 }), [fileId]);
  return (
    <Dialog
      title={nameOf(record)}
      wide
      onClose={onClose}
      actions={
        <>
          {session.value?.owner && !asOf.value && <Button kind="danger" icon="trash" onClick={() => (deleting.value = true)}>Delete</Button>}
          <Download fileId={fileId} name={text(record, 'filename') || fileId} />
        </>
      }
    >
      <Preview fileId={fileId} mimeType={text(record, 'mimeType')} size={Number(record.content['size'] ?? 0)} name={nameOf(record)} />
      <dl class="facts">
        <dt>Media type</dt><dd>{text(record, 'mimeType')}</dd>
        <dt>Size</dt><dd>{bytes(Number(record.content['size'] ?? 0))}</dd>
        <dt>Stored</dt><dd><Time at={record.createdAt} /></dd>
        <dt>SHA-256</dt><dd><code class="wrap">{fileId}</code></dd>
        <dt>Used by</dt>
        <dd>
          {users.data.value?.records.length === 0 && 'no record'}
          {users.data.value?.records.map((one) => (
            <a key={one.id} href={href(['data', one.typeId.replace(/@\d+$/, '')], { record: one.id })}>{one.id} </a>
          ))}
        </dd>
      </dl>
      <Code text={curl(`attachments/${fileId}`)} />
      {deleting.value && (
        <Confirm
          title={`Delete ${nameOf(record)}?`}
          label="Delete the file"
          onClose={() => (deleting.value = false)}
          onYes={async () => {
            await deleteFile(fileId);
            say(`“${nameOf(record)}” was deleted.`);
            onGone();
          }}
        >
          <p>Its bytes and everything recorded about them are removed. This cannot be undone.</p>
        </Confirm>
      )}
    </Dialog>
  );
}

function Sweep({ onClose, onDone }: { onClose: () => void; onDone: () => void }) {
  const young = useSignal(false);
  const body = young.value ? { graceMs: 0 } : {};
  const found = useLoaded(() => collectGarbage({ ...body, dryRun: true }), [young.value]);
  const fault = useSignal<unknown>(null);
  const run = async () => {
    try {
      const done = await collectGarbage(body);
      say(`${plural(done.deleted.length, 'file')} removed, ${bytes(done.reclaimedBytes)} free.`);
      onDone();
      onClose();
    } catch (problem) {
      fault.value = problem;
    }
  };
  const list = found.data.value;
  return (
    <Dialog
      title="Files that no record uses"
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="danger" disabled={!list?.deleted.length} onClick={run}>Remove {list ? plural(list.deleted.length, 'file') : ''}</Button>
        </>
      }
    >
      <label class="check"><input type="checkbox" checked={young.value} onChange={(event) => (young.value = event.currentTarget.checked)} />Also those stored within the last day</label>
      <Problem of={found.fault.value ?? fault.value} />
      {!list && !found.fault.value && <Loading />}
      {list && <p>{list.deleted.length === 0 ? 'Every file is in use, or too new to be swept.' : `${plural(list.deleted.length, 'file')}, ${bytes(list.reclaimedBytes)}. Nothing was removed yet.`}</p>}
      <ul class="plain">{list?.deleted.slice(0, 100).map((id) => <li key={id}><code class="wrap">{id}</code></li>)}</ul>
    </Dialog>
  );
}
