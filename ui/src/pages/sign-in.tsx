// The door: a token, or the link that the server printed when it started.

import { useSignal } from '@preact/signals';
import { ApiError } from '../api/client';
import { spendOwnerLink } from '../api/stack';
import { Button, Field, Problem } from '../parts/basics';
import { Logo } from '../parts/icons';
import { signIn } from '../state/session';

export function SignIn({ message }: { message: string }) {
  const text = useSignal('');
  const busy = useSignal(false);
  const fault = useSignal<unknown>(null);
  const submit = async (event: Event) => {
    event.preventDefault();
    busy.value = true;
    fault.value = null;
    try {
      const link = /#owner-link=(.+)$/.exec(text.value.trim());
      if (link?.[1]) {
        const { token } = await spendOwnerLink(decodeURIComponent(link[1]));
        await signIn(token, true);
      } else {
        await signIn(text.value.trim());
      }
    } catch (problem) {
      const refused = problem instanceof ApiError && problem.status === 401;
      fault.value = refused ? 'This is not a token this server knows. It may have expired or been revoked.' : problem;
    }
    busy.value = false;
  };
  return (
    <main class="door">
      <form class="card" onSubmit={submit}>
        <Logo />
        <h1>Sign in to this stack</h1>
        {message && <div class="problem" role="alert"><p>{message}</p></div>}
        <Field
          label="Token"
          hint="Starting for the first time? Open the one-time link that the server printed, or paste it here."
        >
          {(attributes) => (
            <input
              {...attributes}
              type="password"
              autocomplete="off"
              spellcheck={false}
              required
              value={text.value}
              onInput={(event) => (text.value = event.currentTarget.value)}
            />
          )}
        </Field>
        <Problem of={fault.value} />
        <Button type="submit" kind="primary" disabled={busy.value || !text.value.trim()}>Sign in</Button>
        <p class="hint">The token stays in this tab and is forgotten when it closes.</p>
      </form>
    </main>
  );
}
