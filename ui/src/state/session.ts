// Who is signed in. The credential is in this tab's sessionStorage only.

import { signal } from '@preact/signals';
import { ApiError, useCredential } from '../api/client';
import { discovery, spendOwnerLink, stats } from '../api/stack';
import type { Discovery } from '../api/types';

const KEY = 'cairn.token';

export interface Session {
  token: string;
  /** Acts as the owner of the stack, alone. */
  owner: boolean;
  stack: Discovery;
  /** Just came by the one-time link. */
  welcome: boolean;
}

export const session = signal<Session | null>(null);
/** Why the sign-in page is shown; `null` while looking. */
export const door = signal<{ message: string } | null>(null);

function close(message: string): void {
  sessionStorage.removeItem(KEY);
  useCredential(null, () => {});
  session.value = null;
  door.value = { message };
}

export const signOut = () => close('');

/** Tries a credential; the server says whether it is one, and whose. */
export async function signIn(token: string, welcome = false): Promise<void> {
  let owner = true;
  try {
    await stats(token);
  } catch (fault) {
    if (!(fault instanceof ApiError) || fault.status !== 403) throw fault;
    owner = false;
  }
  const stack = await discovery();
  sessionStorage.setItem(KEY, token);
  useCredential(token, () => close('You were signed out: the token expired or was revoked.'));
  session.value = { token, owner, stack, welcome };
}

/** At the start: a link in the fragment, a token kept in this tab, or the sign-in page. */
export async function enter(): Promise<void> {
  const link = /^#owner-link=(.+)$/.exec(location.hash);
  try {
    if (link?.[1]) {
      // A secret must not stay in the address, nor in the browser's history.
      history.replaceState(null, '', '#/');
      const { token } = await spendOwnerLink(decodeURIComponent(link[1]));
      return await signIn(token, true);
    }
    const kept = sessionStorage.getItem(KEY);
    if (kept) return await signIn(kept);
    door.value = { message: '' };
  } catch (fault) {
    const refused = fault instanceof ApiError && fault.status === 401;
    if (refused && link) {
      close('This link was used already, or a newer one was printed. Start the server again for a fresh link.');
    } else if (refused) {
      close('You were signed out: the token expired or was revoked.');
    } else {
      door.value = { message: fault instanceof Error ? fault.message : String(fault) };
    }
  }
}
