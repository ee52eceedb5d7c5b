// The page: a todo list that everybody who is signed in sees and changes together.
//
// Text from the server goes into text nodes and input values only, never into markup.

import { Account, Live, newId } from "./live.js";

const ROOM = "todos";
const LIMIT = 500;
// What is open first, then what came last. The server sends the order with every difference.
const QUERY = { todos: { $order: { done: "asc", createdAt: "desc" }, $limit: LIMIT } };

const $ = (id) => document.getElementById(id);
const account = new Account("cairn-todo");
let live = null;
let rows = [];
let peers = [];
let self = null;
const elements = new Map();

// ---- signing in -----------------------------------------------------------------------------

const sign = $("sign");
let signingUp = false;
let answerCode = null;

function showSign() {
  $("list").hidden = true;
  $("me").hidden = true;
  $("state").textContent = "";
  sign.hidden = false;
  setSigningUp(false);
  sign.elements.email.focus();
}

function setSigningUp(is) {
  signingUp = is;
  const verb = is ? "Sign up" : "Sign in";
  sign.querySelector("h2").textContent = verb;
  sign.querySelector("[type=submit]").textContent = verb;
  $("name-field").hidden = !is;
  sign.elements.name.required = is;
  sign.elements.password.autocomplete = is ? "new-password" : "current-password";
  $("other-text").textContent = is ? "Have an account?" : "No account yet?";
  $("other").textContent = is ? "Sign in" : "Sign up";
  setCode(null);
}

function setCode(answer) {
  answerCode = answer;
  $("code-field").hidden = !answer;
  sign.elements.code.required = Boolean(answer);
  sign.elements.code.value = "";
  if (answer) sign.elements.code.focus();
}

$("other").addEventListener("click", () => {
  problem(null);
  setSigningUp(!signingUp);
  (signingUp ? sign.elements.name : sign.elements.email).focus();
});

sign.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = sign.querySelector("[type=submit]");
  button.disabled = true;
  problem(null);
  try {
    const { email, password, code, name } = sign.elements;
    if (answerCode) await answerCode(code.value);
    else if (signingUp) await account.signUp(email.value, password.value, name.value.trim());
    else {
      const next = await account.signIn(email.value, password.value);
      if (next) return setCode(next);
    }
    password.value = "";
    start();
  } catch (error) {
    problem(error);
    // A wrong code may be tried again; a challenge that is used up starts over.
    if (answerCode && error.code === "UNAUTHENTICATED") setCode(null);
  } finally {
    button.disabled = false;
  }
});

$("sign-out").addEventListener("click", async () => {
  live?.stop();
  live = null;
  await account.signOut();
  showSign();
});

// ---- the connection -------------------------------------------------------------------------

function myName() {
  const user = account.user;
  return user?.displayName || user?.email?.split("@")[0] || "Somebody";
}

function start() {
  sign.hidden = true;
  $("list").hidden = false;
  $("me").hidden = false;
  $("my-name").textContent = myName();
  rows = [];
  $("loading").hidden = false;
  live = new Live(account, onState);
  live.subscribe(QUERY, onRows, problem);
  live.enter(ROOM, { name: myName() }, onPeers);
}

function onState(state, wait) {
  document.body.dataset.state = state;
  const seconds = Math.max(1, Math.round(wait / 1000));
  const waiting = live?.waiting ? `, ${live.waiting} not saved yet` : "";
  $("state").textContent = {
    live: "Live",
    connecting: "Connecting…",
    offline: `Offline${waiting}. Trying again in ${seconds} s`,
    "signed-out": "",
  }[state];
  if (state === "signed-out") {
    live = null;
    showSign();
    problem({ message: "Your session has ended. Please sign in again." });
  }
}

/** Sends operations; what went wrong is shown. Whether they were saved. */
async function save(...ops) {
  try {
    await live.mutate(ops.map((op) => ({ entity: "todos", ...op })));
    return true;
  } catch (error) {
    problem(error.code === "NOT_FOUND" ? { message: "Somebody has deleted that meanwhile." } : error);
    render();
    return false;
  }
}

function problem(error) {
  const box = $("problem");
  const said = (error?.details ?? []).map(({ message }) => message).filter(Boolean);
  box.hidden = !error;
  box.querySelector("p").textContent = error ? [error.message, ...said].join(": ") : "";
}

$("problem").querySelector("button").addEventListener("click", () => problem(null));

// ---- the list -------------------------------------------------------------------------------

function onRows(next, diff) {
  const before = new Map(rows.map((row) => [row.id, row]));
  rows = next;
  $("loading").hidden = true;
  render();
  // For who cannot see the list move. A whole list or a long absence is not news.
  if (!diff || diff.since) return;
  const told = [
    ...diff.added.map(({ title }) => `${title} added`),
    ...diff.removed.map((id) => `${before.get(id)?.title} removed`),
    ...diff.updated
      .filter((change) => "done" in change)
      .map(({ id, done }) => `${before.get(id)?.title} ${done ? "done" : "open again"}`),
  ];
  if (told.length) $("news").textContent = told.slice(0, 3).join(", ");
}

function render() {
  const list = $("todos");
  const focused = document.activeElement;
  const wanted = new Set(rows.map(({ id }) => id));
  for (const [id, element] of elements) {
    if (wanted.has(id)) continue;
    if (element.contains(focused)) (element.nextElementSibling?.querySelector("input") ?? $("add").elements.title).focus();
    element.remove();
    elements.delete(id);
  }
  let place = list.firstElementChild;
  for (const row of rows) {
    const element = elements.get(row.id) ?? makeRow(row.id);
    update(element, row);
    if (element === place) place = place.nextElementSibling;
    else list.insertBefore(element, place);
  }
  // An element that is moved loses the focus.
  if (focused?.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });

  const done = rows.filter((row) => row.done).length;
  $("empty").hidden = rows.length > 0 || !$("loading").hidden;
  $("foot").hidden = rows.length === 0;
  $("left").textContent = `${rows.length - done} left${rows.length === LIMIT ? ` of the first ${LIMIT}` : ""}`;
  $("clear").hidden = done === 0;
  $("clear").textContent = `Clear ${done} done`;
  document.title = rows.length - done ? `(${rows.length - done}) Todos` : "Todos";
}

function makeRow(id) {
  const element = $("row").content.firstElementChild.cloneNode(true);
  elements.set(id, element);
  const find = (selector) => element.querySelector(selector);
  const edit = find(".edit");
  const box = find("[type=checkbox]");
  const row = () => rows.find((row) => row.id === id);

  const setEditing = (is) => {
    element.classList.toggle("editing", is);
    edit.hidden = !is;
    if (is) {
      edit.elements.title.value = row().title;
      edit.elements.title.select();
      edit.elements.title.focus();
    } else {
      find(".rename").focus();
    }
    live?.tell(ROOM, { editing: is ? id : null });
  };

  box.addEventListener("change", () => save({ op: "merge", id, data: { done: box.checked } }));
  find(".rename").addEventListener("click", () => setEditing(true));
  find(".delete").addEventListener("click", () => save({ op: "delete", id }));
  find(".cancel").addEventListener("click", () => setEditing(false));
  edit.addEventListener("keydown", ({ key }) => key === "Escape" && setEditing(false));
  edit.addEventListener("submit", async (event) => {
    event.preventDefault();
    const title = edit.elements.title.value.trim();
    if (!title) return;
    if (title === row()?.title || (await save({ op: "merge", id, data: { title } }))) setEditing(false);
  });
  return element;
}

function update(element, row) {
  const find = (selector) => element.querySelector(selector);
  // Anybody may write anything into a row: show what is not text as text.
  const title = String(row.title ?? "");
  element.dataset.id = row.id;
  element.classList.toggle("done", row.done === true);
  find("[type=checkbox]").checked = row.done === true;
  set(find(".title"), title);
  const editor = peers.find(({ id, data }) => id !== self && data.editing === row.id);
  set(find(".by"), editor ? `${editor.data.name} is renaming this` : row.by ? `by ${row.by}` : "");
  find(".rename").setAttribute("aria-label", `Rename ${title}`);
  find(".delete").setAttribute("aria-label", `Delete ${title}`);
}

/** Unchanged text is left alone: a selection in it survives. */
function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

$("add").addEventListener("submit", async (event) => {
  event.preventDefault();
  const { title } = event.target.elements;
  const text = title.value.trim();
  if (!text) return;
  title.value = "";
  const saved = await save({ op: "insert", id: newId(), data: { title: text, done: false, by: myName() } });
  // Nothing typed is lost, unless the next thing is being typed already.
  if (!saved && !title.value) title.value = text;
});

$("clear").addEventListener("click", () => {
  save(...rows.filter((row) => row.done).map(({ id }) => ({ op: "delete", id })));
});

// ---- who is here ----------------------------------------------------------------------------

function onPeers(now, me) {
  peers = now;
  self = me;
  // Somebody with two tabs is here once.
  const people = new Map(now.map((peer) => [peer.userId, peer]));
  const mine = now.find(({ id }) => id === me)?.userId;
  $("people").replaceChildren(
    ...[...people.values()].map(({ userId, data }) => {
      const item = document.createElement("li");
      const name = String(data.name ?? "Somebody");
      item.textContent = userId === mine ? `${name} (you)` : name;
      return item;
    }),
  );
  render();
}

// ---------------------------------------------------------------------------------------------

// Signed out or in in another tab.
addEventListener("storage", () => {
  if (live && !account.user) {
    live.stop();
    live = null;
    showSign();
  } else if (!live && account.user) {
    start();
  }
});

if (account.user) start();
else showSign();
