// Access: tokens, users, grants over whole types, groups, rules, and the simulator.

import { useSignal } from '@preact/signals';
import {
  associate, createRecord, deleteRecord, dissociate, issueToken, query, revokeToken, tokens, undeleteRecord,
} from '../api/stack';
import type { IssuedToken, StackRecord, Token } from '../api/types';
import { shortDid, when } from '../lib/format';
import { Button, Code, Confirm, copy, Dialog, Empty, Field, Loading, Problem, Tabs, Time } from '../parts/basics';
import { useLoaded } from '../parts/use';
import { asOf, go, goWith, place } from '../router';
import { collections, countAgain } from '../state/catalog';
import { complain, say } from '../state/notices';
import { session } from '../state/session';
import { lazy } from '../parts/lazy';
import { Simulator } from './simulator';
import { Users } from './users';

const Rules = lazy(() => import('./rules').then((module) => module.Rules));

type Tab = 'tokens' | 'users' | 'grants' | 'groups' | 'rules' | 'simulator';
const TABS: { id: Tab; label: string }[] = [
  { id: 'tokens', label: 'Tokens' }, { id: 'users', label: 'Users' }, { id: 'grants', label: 'Grants' },
  { id: 'groups', label: 'Groups' }, { id: 'rules', label: 'Rules' }, { id: 'simulator', label: 'Simulator' },
];
const DID = 'did:[a-z0-9]+:[A-Za-z0-9._:%\\-]+';

export function AccessPage() {
  const tab = TABS.find((one) => one.id === place.value.path[1])?.id ?? 'tokens';
  return (
    <div class="page">
      <header class="page-head">
        <div>
          <h1>Access</h1>
          <p class="hint">Records are private to the owner until a record’s own permissions, a grant, or a group says otherwise.</p>
        </div>
      </header>
      <Tabs label="Access" tabs={TABS} current={tab} onPick={(to) => go(['access', to])} />
      <div role="tabpanel" aria-label={tab}>
        {tab === 'tokens' && <Tokens />}
        {tab === 'grants' && <Grants />}
        {tab === 'groups' && <Groups />}
        {tab === 'users' && <Users />}
        {tab === 'rules' && <Rules />}
        {tab === 'simulator' && <Simulator />}
      </div>
    </div>
  );
}

function Tokens() {
  const list = useLoaded(tokens, []);
  const secret = useSignal<IssuedToken | null>(null);
  const revoking = useSignal<Token | null>(null);
  const readOnly = asOf.value !== undefined;
  const owner = session.value?.stack.entityId;
  const making = place.value.params.get('new') !== null && !readOnly;
  const who = (did: string) => (did === owner ? 'the owner' : shortDid(did));
  return (
    <section aria-label="Tokens">
      <div class="row end">{!readOnly && <Button kind="primary" icon="plus" onClick={() => goWith({ new: '1' })}>New token</Button>}</div>
      <Problem of={list.fault.value} />
      {!list.data.value && !list.fault.value && <Loading />}
      {list.data.value?.length === 0 && <Empty icon="access" title="No tokens"><p>A token lets a program or a person in. Its secret is shown once.</p></Empty>}
      {list.data.value && list.data.value.length > 0 && (
        <div class="scroll card" tabIndex={0} role="group" aria-label="List of tokens">
          <table class="list">
            <thead><tr><th scope="col">Label</th><th scope="col">Acts as</th><th scope="col">May</th><th scope="col">Made</th><th scope="col">Expires</th><th><span class="unseen">Revoke</span></th></tr></thead>
            <tbody>
              {list.data.value.map((one) => (
                <tr key={one.id}>
                  <th scope="row">{one.label ?? <span class="hint">no label</span>}<small class="mono"> {one.id}</small></th>
                  <td title={one.principalId}>{who(one.principalId)}{one.subjectId !== one.principalId && <> for {who(one.subjectId)}</>}</td>
                  <td>{one.principalId === owner && one.subjectId === owner ? 'everything' : 'what is granted and shared'}</td>
                  <td><Time at={one.createdAt} /></td>
                  <td>{one.expiresAt ? <>{Date.parse(one.expiresAt) <= Date.now() && <strong class="off">expired </strong>}<Time at={one.expiresAt} /></> : 'never'}</td>
                  <td>{!readOnly && <Button onClick={() => (revoking.value = one)}>Revoke</Button>}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {making && <NewToken onClose={() => goWith({ new: undefined }, true)} onMade={(made) => {
        goWith({ new: undefined }, true);
        secret.value = made;
        countAgain();
        void list.again();
      }} />}
      {secret.value && (
        <Dialog title="The new token" onClose={() => (secret.value = null)} actions={
          <>
            <Button icon="copy" onClick={() => secret.value && copy(secret.value.token)}>Copy the token</Button>
            <Button kind="primary" onClick={() => (secret.value = null)}>I have kept it</Button>
          </>
        }>
          <p>This is the only time it is shown. Whoever has it acts as {who(secret.value.principalId)}{secret.value.expiresAt && ` until ${when(secret.value.expiresAt)}`}.</p>
          <Code text={secret.value.token} label="Copy the token itself" />
        </Dialog>
      )}
      {revoking.value && (
        <Confirm
          title={`Revoke ${revoking.value.label ?? revoking.value.id}?`}
          label="Revoke"
          onClose={() => (revoking.value = null)}
          onYes={async () => {
            if (revoking.value) await revokeToken(revoking.value.id);
            say('The token is revoked.');
            countAgain();
            await list.again();
          }}
        >
          <p>Whatever uses it stops working at once. If it is the one of this tab, you will be signed out.</p>
        </Confirm>
      )}
    </section>
  );
}

const LIFETIMES: { label: string; days: number | null }[] = [
  { label: 'in a day', days: 1 }, { label: 'in 30 days', days: 30 }, { label: 'in a year', days: 365 }, { label: 'never', days: null },
];

function NewToken({ onClose, onMade }: { onClose: () => void; onMade: (made: IssuedToken) => void }) {
  const label = useSignal('');
  const principal = useSignal('');
  const subject = useSignal('');
  const lifetime = useSignal('30');
  const fault = useSignal<unknown>(null);
  const submit = async (event: Event) => {
    event.preventDefault();
    try {
      const days = lifetime.value === '' ? null : Number(lifetime.value);
      onMade(await issueToken({
        ...(label.value.trim() ? { label: label.value.trim() } : {}),
        ...(principal.value.trim() ? { entityId: principal.value.trim() } : {}),
        ...(subject.value.trim() ? { onBehalfOf: subject.value.trim() } : {}),
        ...(days ? { expiresAt: new Date(Date.now() + days * 86_400_000).toISOString() } : {}),
      }));
    } catch (problem) {
      fault.value = problem;
    }
  };
  return (
    <Dialog title="New token" onClose={onClose} actions={
      <>
        <Button onClick={onClose}>Cancel</Button>
        <Button kind="primary" type="submit" form="new-token">Make the token</Button>
      </>
    }>
      <form id="new-token" onSubmit={submit}>
        <Field label="Label" hint="What it is for: “backup script”, “Ada’s phone”">
          {(attributes) => <input {...attributes} value={label.value} onInput={(event) => (label.value = event.currentTarget.value)} />}
        </Field>
        <Field label="Acts as" hint="An identity (did:…). Empty: you, the owner, with all rights.">
          {(attributes) => <input {...attributes} class="mono" pattern={DID} placeholder="did:…" value={principal.value} onInput={(event) => (principal.value = event.currentTarget.value)} />}
        </Field>
        <Field label="On behalf of" hint="Optional: for whom it acts. It may then do only what both may.">
          {(attributes) => <input {...attributes} class="mono" pattern={DID} placeholder="did:…" value={subject.value} onInput={(event) => (subject.value = event.currentTarget.value)} />}
        </Field>
        <Field label="Expires">
          {(attributes) => (
            <select {...attributes} value={lifetime.value} onChange={(event) => (lifetime.value = event.currentTarget.value)}>
              {LIFETIMES.map((one) => <option key={one.label} value={one.days ?? ''}>{one.label}</option>)}
            </select>
          )}
        </Field>
        <Problem of={fault.value} />
      </form>
    </Dialog>
  );
}

const VERBS = ['create', 'read-own', 'read-any', 'update-own', 'update-any', 'delete-own', 'delete-any'];
const LISTED_MAX = 500;

/** Soft, so that it can be taken back. */
async function removeWithUndo(record: StackRecord, what: string, again: () => Promise<void>): Promise<void> {
  try {
    await deleteRecord(record.id, record.version);
    await again();
    countAgain();
    say(`${what} was removed.`, {
      label: 'Undo',
      run: async () => {
        await undeleteRecord(record.id);
        await again();
        countAgain();
      },
    });
  } catch (problem) {
    complain(problem);
  }
}

function Grants() {
  const list = useLoaded(() => query({ filter: { typeId: '_grant@1' }, limit: LISTED_MAX }, asOf.value), [asOf.value]);
  const making = useSignal(false);
  const readOnly = asOf.value !== undefined;
  return (
    <section aria-label="Grants">
      <div class="row end">{!readOnly && <Button kind="primary" icon="plus" onClick={() => (making.value = true)}>New grant</Button>}</div>
      <Problem of={list.fault.value} />
      {!list.data.value && !list.fault.value && <Loading />}
      {list.data.value?.records.length === 0 && <Empty icon="access" title="No grants"><p>A grant lets somebody, or everybody who is signed in, work with all records of a collection.</p></Empty>}
      {list.data.value && list.data.value.records.length > 0 && (
        <div class="scroll card" tabIndex={0} role="group" aria-label="List of grants">
          <table class="list">
            <thead><tr><th scope="col">Collection</th><th scope="col">Who</th>{VERBS.map((verb) => <th scope="col" key={verb}>{verb}</th>)}<th><span class="unseen">Remove</span></th></tr></thead>
            <tbody>
              {list.data.value.records.map((one) => {
                const actions = Array.isArray(one.content['actions']) ? one.content['actions'] : [];
                const grantee = one.content['granteeEntityId'];
                return (
                  <tr key={one.id}>
                    <th scope="row">{String(one.content['typeId'])}</th>
                    <td title={String(grantee ?? '')}>{typeof grantee === 'string' ? shortDid(grantee) : 'everybody signed in'}</td>
                    {VERBS.map((verb) => <td key={verb}>{actions.includes(verb) ? <strong class="yes">yes</strong> : <span class="hint">–</span>}</td>)}
                    <td>{!readOnly && <Button kind="quiet" icon="trash" aria-label={`Remove the grant over ${String(one.content['typeId'])}`} onClick={() => removeWithUndo(one, 'The grant', list.again)} />}</td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      )}
      {making.value && <NewGrant onClose={() => (making.value = false)} onMade={() => {
        making.value = false;
        countAgain();
        void list.again();
      }} />}
    </section>
  );
}

function NewGrant({ onClose, onMade }: { onClose: () => void; onMade: () => void }) {
  const own = collections.value.filter((one) => !['_grant', '_config', '_app'].includes(one.base));
  const base = useSignal(own.find((one) => !one.system)?.base ?? own[0]?.base ?? '');
  const everybody = useSignal(false);
  const grantee = useSignal('');
  const verbs = useSignal<string[]>(['read-any']);
  const fault = useSignal<unknown>(null);
  const submit = async (event: Event) => {
    event.preventDefault();
    try {
      await createRecord({
        typeId: '_grant@1',
        content: { typeId: base.value, actions: verbs.value, ...(everybody.value ? {} : { granteeEntityId: grantee.value.trim() }) },
      });
      onMade();
    } catch (problem) {
      fault.value = problem;
    }
  };
  return (
    <Dialog title="New grant" onClose={onClose} actions={
      <>
        <Button onClick={onClose}>Cancel</Button>
        <Button kind="primary" type="submit" form="new-grant" disabled={verbs.value.length === 0}>Grant</Button>
      </>
    }>
      <form id="new-grant" onSubmit={submit}>
        <Field label="Over all records of">
          {(attributes) => (
            <select {...attributes} value={base.value} onChange={(event) => (base.value = event.currentTarget.value)}>
              {own.map((one) => <option key={one.base} value={one.base}>{one.name} ({one.base})</option>)}
            </select>
          )}
        </Field>
        <label class="check"><input type="checkbox" checked={everybody.value} onChange={(event) => (everybody.value = event.currentTarget.checked)} />To everybody who is signed in</label>
        {!everybody.value && (
          <Field label="To">
            {(attributes) => <input {...attributes} class="mono" required pattern={DID} placeholder="did:…" value={grantee.value} onInput={(event) => (grantee.value = event.currentTarget.value)} />}
          </Field>
        )}
        <fieldset>
          <legend>They may</legend>
          {VERBS.map((verb) => (
            <label class="check" key={verb}>
              <input
                type="checkbox"
                checked={verbs.value.includes(verb)}
                onChange={(event) => (verbs.value = VERBS.filter((other) => (other === verb ? event.currentTarget.checked : verbs.value.includes(other))))}
              />
              {verb}
            </label>
          ))}
        </fieldset>
        <Problem of={fault.value} />
      </form>
    </Dialog>
  );
}

function Groups() {
  const list = useLoaded(() => query({ filter: { typeId: '_group@1' }, limit: LISTED_MAX }, asOf.value), [asOf.value]);
  const name = useSignal('');
  const readOnly = asOf.value !== undefined;
  return (
    <section aria-label="Groups">
      {!readOnly && (
        <form class="row end" onSubmit={(event) => {
          event.preventDefault();
          createRecord({ typeId: '_group@1', content: { name: name.value.trim() } }).then(() => {
            name.value = '';
            countAgain();
            return list.again();
          }, complain);
        }}>
          <input aria-label="Name of the new group" placeholder="new group" required value={name.value} onInput={(event) => (name.value = event.currentTarget.value)} />
          <Button kind="primary" type="submit" icon="plus">Add group</Button>
        </form>
      )}
      <Problem of={list.fault.value} />
      {!list.data.value && !list.fault.value && <Loading />}
      {list.data.value?.records.length === 0 && <Empty icon="access" title="No groups"><p>A record can be shared with a group; who is in it can change later.</p></Empty>}
      {list.data.value?.records.map((group) => (
        <Group key={group.id} group={group} readOnly={readOnly} again={list.again} />
      ))}
    </section>
  );
}

function Group({ group, readOnly, again }: { group: StackRecord; readOnly: boolean; again: () => Promise<void> }) {
  const did = useSignal('');
  const role = useSignal<'member' | 'admin'>('member');
  const owner = session.value?.stack.entityId;
  const members = (group.associations ?? []).filter((one) => one.kind === 'relationship');
  return (
    <section class="card" aria-label={String(group.content['name'])}>
      <header class="page-head">
        <h2>{String(group.content['name'])} <small class="mono">{group.id}</small></h2>
        {!readOnly && <Button kind="quiet" icon="trash" aria-label={`Remove the group ${String(group.content['name'])}`} onClick={() => removeWithUndo(group, 'The group', again)} />}
      </header>
      <ul class="lines">
        {members.map((one) => one.kind === 'relationship' && (
          <li key={one.label + one.recordId}>
            <span title={one.recordId}><strong>{one.recordId === owner ? 'the owner' : shortDid(one.recordId)}</strong> <small>{one.label}</small></span>
            {!readOnly && <Button kind="quiet" icon="close" aria-label={`Remove ${one.recordId} as ${one.label}`} onClick={() => dissociate(group.id, one).then(again, complain)} />}
          </li>
        ))}
      </ul>
      {!readOnly && (
        <form class="row" onSubmit={(event) => {
          event.preventDefault();
          associate(group.id, { kind: 'relationship', label: role.value, recordId: did.value.trim() }).then(() => {
            did.value = '';
            return again();
          }, complain);
        }}>
          <input aria-label="Identity to add" class="mono" required pattern={DID} placeholder="did:…" value={did.value} onInput={(event) => (did.value = event.currentTarget.value)} />
          <select aria-label="As" value={role.value} onChange={(event) => (role.value = event.currentTarget.value as 'member' | 'admin')}>
            <option value="member">member</option>
            <option value="admin">admin</option>
          </select>
          <Button type="submit" icon="plus">Add</Button>
        </form>
      )}
    </section>
  );
}
