// A small client of Cairn's live protocol: accounts over HTTP, everything else over one WebSocket.
//
// Knows tokens, reconnecting, live queries and presence. Knows nothing of the page or of todos: copy this file into a
// program of your own. The wire is described in docs/live.md.

const BACKOFF_FIRST_MS = 500;
const BACKOFF_MAX_MS = 15_000;
// The server pings every 30 s, so silence this long means that the connection is dead.
const SILENCE_MAX_MS = 75_000;
// An access token is renewed when it has less than this left.
const TOKEN_SPARE_MS = 30_000;
// Writes that may wait for a connection.
const WAITING_MAX = 100;

/** What the server refused, or why it could not be asked. `code` is one of the protocol's, or `OFFLINE`. */
export class LiveError extends Error {
  constructor({ code = "INTERNAL", message = "Something went wrong", details = [] } = {}) {
    super(message);
    this.code = code;
    this.details = details;
  }
}

/** A result after a difference: removed rows go, changed fields change, added rows come, then the order is the one told. */
export function applyDiff(rows, diff) {
  const gone = new Set(diff.removed);
  const next = new Map();
  for (const row of rows) if (!gone.has(row.id)) next.set(row.id, row);
  for (const { $unset = [], ...changes } of diff.updated) {
    const row = { ...next.get(changes.id), ...changes };
    for (const field of $unset) delete row[field];
    next.set(row.id, row);
  }
  for (const row of diff.added) next.set(row.id, row);
  return diff.order ? diff.order.map((id) => next.get(id)) : [...next.values()];
}

/** 96 random bits. (`crypto.randomUUID` is missing on pages that come over plain HTTP from another machine.) */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function post(path, body, token) {
  let response;
  try {
    response = await fetch(path, {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        ...(token && { Authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify(body),
    });
  } catch {
    throw new LiveError({ code: "OFFLINE", message: "The server cannot be reached" });
  }
  if (response.status === 204) return {};
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new LiveError(answer.error);
  return answer;
}

/** Who is signed in, kept over reloads and shared by the tabs of a browser. */
export class Account {
  #key;

  constructor(key = "cairn") {
    this.#key = key;
  }

  get #kept() {
    try {
      return JSON.parse(localStorage.getItem(this.#key));
    } catch {
      return null;
    }
  }

  get user() {
    return this.#kept?.user ?? null;
  }

  #keep(answer, user) {
    const { accessToken, refreshToken, expiresAt } = { ...answer, ...answer.tokens };
    localStorage.setItem(this.#key, JSON.stringify({ user, accessToken, refreshToken, expiresAt }));
  }

  async signUp(email, password, displayName) {
    const answer = await post("/api/auth/signup", { email, password, displayName });
    this.#keep(answer, answer.user);
  }

  /** Null, or a function that takes the code of the second factor. */
  async signIn(email, password) {
    const answer = await post("/api/auth/signin", { email, password });
    if (answer.mfaRequired) {
      return async (code) => {
        const done = await post("/api/auth/mfa/verify", { mfaToken: answer.mfaToken, code });
        this.#keep(done, done.user ?? { email });
      };
    }
    this.#keep(answer, answer.user);
    return null;
  }

  async signOut() {
    const token = this.#kept?.accessToken;
    this.forget();
    // The session ends by itself when the server cannot be told.
    if (token) await post("/api/auth/signout", {}, token).catch(() => {});
  }

  forget() {
    localStorage.removeItem(this.#key);
  }

  /** An access token that is good for a while; null when nobody is signed in any more. */
  async token({ fresh = false } = {}) {
    const before = this.#kept?.accessToken;
    // A refresh token works once, and using it twice ends the session: tabs take turns.
    return this.#inTurn(async () => {
      const kept = this.#kept;
      if (!kept) return null;
      const renewedByOther = fresh && kept.accessToken !== before;
      if ((!fresh || renewedByOther) && kept.expiresAt - Date.now() > TOKEN_SPARE_MS) {
        return kept.accessToken;
      }
      try {
        this.#keep(await post("/api/auth/refresh", { refreshToken: kept.refreshToken }), kept.user);
      } catch (error) {
        if (error.code !== "UNAUTHENTICATED") throw error;
        this.forget();
        return null;
      }
      return this.#kept.accessToken;
    });
  }

  #inTurn(work) {
    return navigator.locks ? navigator.locks.request(`${this.#key}-refresh`, work) : work();
  }
}

/**
 * The connection. `onState("connecting" | "live" | "offline" | "signed-out", retryInMs)` tells how it is.
 *
 * Live queries and rooms outlive a lost connection: a query says where it stood (`since`) and gets what changed
 * meanwhile. A write whose answer was lost is sent again, so give every row an id of your own (`newId`).
 */
export class Live {
  #account;
  #onState;
  #socket = null;
  #ready = false;
  #stopped = false;
  #attempts = 0;
  #retry = 0;
  #silence = 0;
  #ids = 0;
  #queries = new Map();
  #writes = new Map();
  #rooms = new Map();

  constructor(account, onState) {
    this.#account = account;
    this.#onState = onState;
    addEventListener("online", this.#hurry);
    document.addEventListener("visibilitychange", this.#hurry);
    this.#connect();
  }

  /** `onRows(rows, diff)` after the first result (then `diff` is null) and after every change; ends with `onError`. */
  subscribe(query, onRows, onError) {
    const id = `q${++this.#ids}`;
    const entry = { id, query, entity: Object.keys(query)[0], onRows, onError, rows: [], tx: null };
    this.#queries.set(id, entry);
    if (this.#ready) this.#sendSubscribe(entry);
  }

  /** Resolves once the operations are on disk: all of them, or none and it rejects. */
  mutate(ops) {
    if (this.#stopped || this.#writes.size >= WAITING_MAX) {
      return Promise.reject(new LiveError({ code: "OFFLINE", message: "Not connected" }));
    }
    return new Promise((resolve, reject) => {
      const id = `m${++this.#ids}`;
      const entry = { id, ops, resolve, reject, sent: 0 };
      this.#writes.set(id, entry);
      if (this.#ready) this.#sendWrite(entry);
    });
  }

  /** Writes that have no answer yet. */
  get waiting() {
    return this.#writes.size;
  }

  /** `onPeers(peers, self)` whenever somebody comes, goes or tells something else about themselves. */
  enter(room, data, onPeers) {
    this.#rooms.set(room, { data, onPeers });
    if (this.#ready) this.#send({ type: "presence-enter", room, data });
  }

  tell(room, data) {
    const entry = this.#rooms.get(room);
    entry.data = { ...entry.data, ...data };
    if (this.#ready) this.#send({ type: "presence-update", room, data });
  }

  stop() {
    this.#stopped = true;
    clearTimeout(this.#retry);
    clearTimeout(this.#silence);
    removeEventListener("online", this.#hurry);
    document.removeEventListener("visibilitychange", this.#hurry);
    for (const { reject } of this.#writes.values()) {
      reject(new LiveError({ code: "OFFLINE", message: "Signed out before this was saved" }));
    }
    this.#writes.clear();
    this.#socket?.close();
  }

  async #connect({ fresh = false } = {}) {
    this.#onState("connecting");
    let token;
    try {
      token = await this.#account.token({ fresh });
    } catch {
      return this.#later();
    }
    if (this.#stopped) return;
    if (!token) return this.#signedOut();
    const socket = new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}/ws`);
    this.#socket = socket;
    this.#listen();
    let refused = false;
    socket.onopen = () => this.#send({ type: "auth", token });
    socket.onmessage = ({ data }) => {
      this.#listen();
      const message = JSON.parse(data);
      if (message.type === "auth-error") refused = true;
      else this.#receive(message);
    };
    socket.onclose = () => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      const wasReady = this.#ready;
      this.#ready = false;
      if (this.#stopped) return;
      for (const { onPeers } of this.#rooms.values()) onPeers([], null);
      // A token may have been revoked or the server's key renewed: once with a new one, then that is that.
      if (refused && fresh && !wasReady) this.#signedOut();
      else if (refused) this.#connect({ fresh: true });
      else this.#later();
    };
  }

  #signedOut() {
    this.#account.forget();
    this.stop();
    this.#onState("signed-out");
  }

  #later() {
    if (this.#stopped) return;
    const most = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** this.#attempts++);
    // Somewhere in the upper half, so that a server that comes back is not met by everybody at once.
    const wait = most * (0.5 + Math.random() / 2);
    this.#onState("offline", wait);
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#connect(), wait);
  }

  /** The network or the page is back: no need to wait. */
  #hurry = () => {
    if (this.#socket || this.#stopped || document.hidden || !this.#attempts) return;
    clearTimeout(this.#retry);
    this.#attempts = 0;
    this.#connect();
  };

  #listen() {
    clearTimeout(this.#silence);
    const socket = this.#socket;
    this.#silence = setTimeout(() => {
      // A close that the other side never answers can take minutes, so do not wait for it.
      socket.onclose?.();
      socket.onclose = socket.onmessage = null;
      socket.close();
    }, SILENCE_MAX_MS);
  }

  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #sendSubscribe({ id, query, tx }) {
    this.#send({ type: "subscribe", id, query, ...(tx !== null && { since: tx }) });
  }

  #sendWrite(entry) {
    entry.sent += 1;
    this.#send({ type: "mutate", id: entry.id, ops: entry.ops });
  }

  #receive(message) {
    switch (message.type) {
      case "auth-ok":
        this.#ready = true;
        this.#attempts = 0;
        for (const entry of this.#queries.values()) this.#sendSubscribe(entry);
        for (const [room, { data }] of this.#rooms) this.#send({ type: "presence-enter", room, data });
        for (const entry of this.#writes.values()) this.#sendWrite(entry);
        this.#onState("live");
        break;
      case "ping":
        this.#send({ type: "pong" });
        break;
      case "q-init":
        this.#apply(message, (entry) => message.data[entry.entity], null);
        break;
      case "q-diff":
        this.#apply(message, (entry) => applyDiff(entry.rows, message), message);
        break;
      case "mutate-ok":
        this.#answered(message.id)?.resolve(message);
        break;
      case "mutate-error": {
        const entry = this.#answered(message.id);
        // Made by the first try, whose answer was lost.
        const again = entry?.sent > 1 && message.error.code === "CONFLICT";
        if (again) entry.resolve(message);
        else entry?.reject(new LiveError(message.error));
        break;
      }
      case "presence-change":
        this.#rooms.get(message.room)?.onPeers(message.peers, message.self);
        break;
      case "error": {
        const query = this.#queries.get(message.id);
        this.#queries.delete(message.id);
        query?.onError(new LiveError(message.error));
        break;
      }
    }
  }

  #apply(message, rows, diff) {
    const entry = this.#queries.get(message.id);
    if (!entry) return;
    entry.rows = rows(entry);
    entry.tx = message.tx;
    entry.onRows(entry.rows, diff);
  }

  #answered(id) {
    const entry = this.#writes.get(id);
    this.#writes.delete(id);
    return entry;
  }
}
