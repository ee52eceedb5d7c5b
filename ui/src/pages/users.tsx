// Accounts: who may sign in by name and password, their roles and sessions.

import { useSignal } from '@preact/signals';
import { createUser, endSessions, updateUser, users, userSessions } from '../api/stack';
import type { Role, User, UserSession } from '../api/types';
import { plural } from '../lib/format';
import { Button, Confirm, Dialog, Empty, Field, Loading, Problem, Time } from '../parts/basics';
import { useLoaded } from '../parts/use';
import { asOf, goWith, place } from '../router';
import { countAgain } from '../state/catalog';
import { complain, say } from '../state/notices';

const ROLES: { id: Role; about: string }[] = [
  { id: 'admin', about: 'passes every rule' }, { id: 'editor', about: 'what the rules give' }, { id: 'viewer', about: 'the least' },
];
const PAGE_ROWS = 100;

/** All of them, page by page. */
async function everybody(): Promise<User[]> {
  const all: User[] = [];
  for (;;) {
    const page = await users(all.at(-1)?.id);
    all.push(...page);
    if (page.length < PAGE_ROWS) return all;
  }
}

export function Users() {
  const list = useLoaded(async () => {
    const [people, sessions] = await Promise.all([everybody(), userSessions()]);
    return { people, sessions };
  }, []);
  const shutting = useSignal<User | null>(null);
  const looking = useSignal<string | null>(null);
  const readOnly = asOf.value !== undefined;
  const making = place.value.params.get('new') !== null && !readOnly;
  const sessionsOf = (id: string): UserSession[] => list.data.value?.sessions.filter((one) => one.userId === id) ?? [];
  const change = async (user: User, body: Parameters<typeof updateUser>[1], done: string) => {
    try {
      await updateUser(user.id, body);
      await list.again();
      say(done, { label: 'Undo', run: async () => {
        await updateUser(user.id, { role: user.role, disabled: user.disabled });
        await list.again();
      } });
    } catch (problem) {
      complain(problem);
    }
  };
  const people = list.data.value?.people;
  return (
    <section aria-label="Users">
      <div class="row end">{!readOnly && <Button kind="primary" icon="plus" onClick={() => goWith({ new: '1' })}>New user</Button>}</div>
      <Problem of={list.fault.value} />
      {!people && !list.fault.value && <Loading />}
      {people?.length === 0 && <Empty icon="access" title="No users"><p>People make accounts with POST /api/auth/signup, or you make them here.</p></Empty>}
      {people && people.length > 0 && (
        <div class="scroll card" tabIndex={0} role="group" aria-label="List of users">
          <table class="list">
            <thead><tr><th scope="col">Name</th><th scope="col">Role</th><th scope="col">Made</th><th scope="col">Sessions</th><th scope="col">State</th><th><span class="unseen">Actions</span></th></tr></thead>
            <tbody>
              {people.map((user) => {
                const open = sessionsOf(user.id);
                return (
                  <tr key={user.id}>
                    <th scope="row">{user.email}<small> {user.displayName}</small><small class="mono below">{user.id}</small></th>
                    <td>
                      <select aria-label={`Role of ${user.email}`} disabled={readOnly} value={user.role} onChange={(event) => change(user, { role: event.currentTarget.value as Role }, `${user.email} is ${event.currentTarget.value} now.`)}>
                        {ROLES.map((one) => <option key={one.id} value={one.id} title={one.about}>{one.id}</option>)}
                      </select>
                    </td>
                    <td><Time at={user.createdAt} /></td>
                    <td>{open.length ? <button type="button" class="textual" onClick={() => (looking.value = user.id)}>{plural(open.length, 'session')}</button> : <span class="hint">none</span>}</td>
                    <td>{user.disabled ? <strong class="off">shut out</strong> : <span class="yes">may sign in</span>}{user.mfaEnabled && <small> · second factor</small>}</td>
                    <td>{!readOnly && (user.disabled
                      ? <Button onClick={() => change(user, { disabled: false }, `${user.email} may sign in again.`)}>Let in</Button>
                      : <Button onClick={() => (shutting.value = user)}>Shut out</Button>)}
                    </td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      )}
      {making && <NewUser onClose={() => goWith({ new: undefined }, true)} onMade={(user) => {
        goWith({ new: undefined }, true);
        say(`${user.email} may sign in.`);
        countAgain();
        void list.again();
      }} />}
      {shutting.value && (
        <Confirm title={`Shut ${shutting.value.email} out?`} label="Shut out" onClose={() => (shutting.value = null)} onYes={async () => {
          if (shutting.value) await change(shutting.value, { disabled: true }, `${shutting.value.email} is shut out.`);
        }}>
          <p>Every session ends at once, open connections too. What the account wrote stays.</p>
        </Confirm>
      )}
      {looking.value && (
        <Dialog title="Sessions" wide onClose={() => (looking.value = null)} actions={!readOnly && (
          <Button kind="danger" onClick={async () => {
            try {
              await endSessions(looking.value ?? '');
              looking.value = null;
              say('The sessions are ended.');
              await list.again();
            } catch (problem) {
              complain(problem);
            }
          }}>End all of them</Button>
        )}>
          <table class="list">
            <thead><tr><th scope="col">Device</th><th scope="col">Address</th><th scope="col">Began</th><th scope="col">Last used</th></tr></thead>
            <tbody>{sessionsOf(looking.value).map((one) => <tr key={one.id}><th scope="row">{one.device}</th><td class="mono">{one.ip}</td><td><Time at={one.createdAt} /></td><td><Time at={one.lastUsedAt} /></td></tr>)}</tbody>
          </table>
        </Dialog>
      )}
    </section>
  );
}

function NewUser({ onClose, onMade }: { onClose: () => void; onMade: (user: User) => void }) {
  const email = useSignal('');
  const password = useSignal('');
  const name = useSignal('');
  const role = useSignal<Role>('editor');
  const fault = useSignal<unknown>(null);
  const busy = useSignal(false);
  return (
    <Dialog title="New user" onClose={onClose} actions={
      <>
        <Button onClick={onClose}>Cancel</Button>
        <Button kind="primary" type="submit" form="new-user" disabled={busy.value}>Make the account</Button>
      </>
    }>
      <form id="new-user" onSubmit={async (event) => {
        event.preventDefault();
        busy.value = true;
        try {
          onMade(await createUser({ email: email.value.trim(), password: password.value, role: role.value, ...(name.value.trim() ? { displayName: name.value.trim() } : {}) }));
        } catch (problem) {
          fault.value = problem;
        }
        busy.value = false;
      }}>
        <Field label="E-mail">{(attributes) => <input {...attributes} type="email" required autocomplete="off" value={email.value} onInput={(event) => (email.value = event.currentTarget.value)} />}</Field>
        <Field label="Password" hint="15 characters or more are good; at least 8. Tell it to the person, who can change it.">
          {(attributes) => <input {...attributes} type="password" required minLength={8} autocomplete="new-password" value={password.value} onInput={(event) => (password.value = event.currentTarget.value)} />}
        </Field>
        <Field label="Name">{(attributes) => <input {...attributes} value={name.value} onInput={(event) => (name.value = event.currentTarget.value)} />}</Field>
        <Field label="Role">
          {(attributes) => (
            <select {...attributes} value={role.value} onChange={(event) => (role.value = event.currentTarget.value as Role)}>
              {ROLES.map((one) => <option key={one.id} value={one.id}>{one.id}: {one.about}</option>)}
            </select>
          )}
        </Field>
        <Problem of={fault.value} />
      </form>
    </Dialog>
  );
}
