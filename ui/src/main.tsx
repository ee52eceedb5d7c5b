// The start: find out who is signed in, then show the pages.

import { render } from 'preact';
import { useEffect } from 'preact/hooks';
import { door, enter, session } from './state/session';
import { Notices } from './parts/notices';
import { SignIn } from './pages/sign-in';
import { Shell } from './shell';
import './styles/base.css';
import './styles/parts.css';
import './styles/pages.css';

function App() {
  useEffect(() => void enter(), []);
  return (
    <>
      {session.value ? <Shell key={session.value.token} /> : door.value && <SignIn message={door.value.message} />}
      <Notices />
    </>
  );
}

const mount = document.getElementById('app');
if (mount) {
  mount.replaceChildren();
  render(<App />, mount);
}
