// Backups: make one, check it, keep a copy, go back to it.

import { useSignal } from '@preact/signals';
import { ApiError } from '../api/client';
import { backupBytes, backups, makeBackup, removeBackup, restoreBackup, verifyBackup, type Backup } from '../api/stack';
import { bytes, plural } from '../lib/format';
import { Button, Code, Confirm, Empty, Loading, Problem, Time } from '../parts/basics';
import { download } from '../lib/table-files';
import { useLoaded } from '../parts/use';
import { asOf } from '../router';
import { complain, say } from '../state/notices';

const text = (of: Backup, ...names: string[]) => names.map((name) => of[name]).find((value): value is string => typeof value === 'string');
const number = (of: Backup, ...names: string[]) => names.map((name) => of[name]).find((value): value is number => typeof value === 'number');

/** Work that takes long goes on after its answer. */
const running = (answer: unknown) => Boolean((answer as Partial<Backup> | undefined)?.['running']);

function found(name: string, answer: unknown): string {
  if (running(answer)) return `${name} is being checked.`;
  if ((answer as Backup)['sound'] === false) throw new Error(`${name} is damaged. Do not rely on it.`);
  return `${name} is whole.`;
}

export function BackupsPage() {
  const list = useLoaded(backups, []);
  const busy = useSignal('');
  const removing = useSignal<Backup | null>(null);
  const restoring = useSignal<Backup | null>(null);
  const readOnly = asOf.value !== undefined;
  const none = list.fault.value instanceof ApiError && [404, 405].includes(list.fault.value.status);
  const act = async (what: string, work: () => Promise<unknown>, done: (answer: unknown) => string) => {
    busy.value = what;
    try {
      say(done(await work()));
    } catch (problem) {
      complain(problem);
    }
    await list.again();
    busy.value = '';
  };
  return (
    <div class="page">
      <header class="page-head">
        <div><h1>Backups</h1><p class="hint">A backup is a whole stack file, as it was at one moment, checked before it gets its name.</p></div>
        {!none && !readOnly && (
          <Button kind="primary" icon="plus" disabled={busy.value !== ''} onClick={() => act('make', makeBackup, (answer) => (running(answer) ? 'The backup is being made. It is listed once it is checked.' : 'The backup is made and checked.'))}>
            {busy.value === 'make' ? 'Making it…' : 'Back up now'}
          </Button>
        )}
      </header>
      {none ? (
        <Empty icon="backups" title="This server makes no backups itself">
          <p>An export made while it is stopped holds every record, version and file.</p>
          <Code text="cairn export --file stack.cairn > stack.ndjson" />
        </Empty>
      ) : <Problem of={list.fault.value} />}
      {!list.data.value && !list.fault.value && <Loading />}
      {list.data.value?.length === 0 && <Empty icon="backups" title="No backup yet"><p>The first one takes seconds.</p></Empty>}
      {list.data.value && list.data.value.length > 0 && (
        <div class="scroll card" tabIndex={0} role="group" aria-label="List of backups">
          <table class="list">
            <thead><tr><th scope="col">Backup</th><th scope="col">Made</th><th scope="col">Size</th><th scope="col">Holds</th><th scope="col">Checked</th><th><span class="unseen">Actions</span></th></tr></thead>
            <tbody>
              {list.data.value.map((one) => {
                const [made, checked] = [text(one, 'createdAt', 'created_at', 'at'), text(one, 'verifiedAt', 'verified_at')];
                const [size, records] = [number(one, 'bytes', 'size', 'fileBytes'), number(one, 'records')];
                return (
                  <tr key={one.name}>
                    <th scope="row"><code>{one.name}</code></th>
                    <td>{made && <Time at={made} />}</td>
                    <td class="figure">{size !== undefined && bytes(size)}</td>
                    <td>{records !== undefined && plural(records, 'record')}</td>
                    <td>{one['sound'] === false ? <strong class="off">damaged</strong> : checked ? <span class="yes"><Time at={checked} /></span> : one['verified'] === true ? <span class="yes">yes</span> : <span class="hint">–</span>}</td>
                    <td>
                      <div class="row">
                        <Button disabled={busy.value !== ''} onClick={() => act(`verify ${one.name}`, () => verifyBackup(one.name), (answer) => found(one.name, answer))}>{busy.value === `verify ${one.name}` ? 'Checking…' : 'Check'}</Button>
                        <Button disabled={busy.value !== ''} onClick={() => act(`get ${one.name}`, async () => download(one.name, 'application/octet-stream', [await backupBytes(one.name)]), () => `${one.name} is downloaded.`)}>Download</Button>
                        {!readOnly && <Button disabled={busy.value !== ''} onClick={() => (restoring.value = one)}>Restore</Button>}
                        {!readOnly && <Button kind="quiet" icon="trash" aria-label={`Delete ${one.name}`} onClick={() => (removing.value = one)} />}
                      </div>
                    </td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      )}
      {removing.value && (
        <Confirm title={`Delete ${removing.value.name}?`} label="Delete" onClose={() => (removing.value = null)} onYes={async () => {
          if (removing.value) await removeBackup(removing.value.name);
          say('The backup is deleted.');
          await list.again();
        }}>
          <p>The file is removed. This cannot be undone.</p>
        </Confirm>
      )}
      {restoring.value && (
        <Confirm title={`Go back to ${restoring.value.name}?`} label="Restore" onClose={() => (restoring.value = null)} onYes={async () => {
          if (restoring.value) await restoreBackup(restoring.value.name);
          say('The backup takes the place of the file. The server opens it again.');
        }}>
          <p>The backup is checked, then takes the place of the file, and the server opens it again. What was written after it is not in it; the tokens of then apply.</p>
        </Confirm>
      )}
    </div>
  );
}
