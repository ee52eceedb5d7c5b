// Two people with two browsers and one list: they stay in step, over reloads and a restart of the server.

import assert from "node:assert/strict";
import path from "node:path";
import { after, before, test } from "node:test";
import { Server, launch, picture, repository } from "./stage.mjs";
import { applyDiff } from "../../examples/todo/live.js";

const PASSWORD = "quartz-lantern-7-orchard";
const WAIT_MS = 15_000;

let server;
let browser;

before(async () => {
  server = await Server.start("--public", path.join(repository, "examples/todo"));
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.close();
});

/** Somebody with a browser of their own. */
class Person {
  constructor(name) {
    this.name = name;
    this.problems = [];
  }

  static async arrive(name, options = {}) {
    const person = new Person(name);
    person.context = await browser.newContext(options);
    const page = (person.page = await person.context.newPage());
    page.setDefaultTimeout(WAIT_MS);
    page.on("pageerror", (error) => person.problems.push(error.message));
    page.on("console", (message) => message.type() === "error" && person.problems.push(message.text()));
    await page.goto(server.url);
    return person;
  }

  async signUp() {
    const { page } = this;
    await page.getByRole("button", { name: "Sign up" }).click();
    await page.getByLabel("Name").fill(this.name);
    await page.getByLabel("Email").fill(`${this.name.toLowerCase()}@example.com`);
    await page.getByLabel("Password").fill(PASSWORD);
    await page.locator("#sign [type=submit]").click();
    await this.isLive();
  }

  async isLive() {
    await this.page.locator("body[data-state=live]").waitFor();
  }

  async add(title) {
    await this.page.getByLabel("What is to be done").fill(title);
    await this.page.keyboard.press("Enter");
  }

  row(title) {
    return this.page.locator("#todos li").filter({ has: this.page.getByText(title, { exact: true }) });
  }

  /** Waits until the list is this, in order; `[x]` in front is done. */
  async sees(...wanted) {
    const read = () =>
      this.page.locator("#todos li").evaluateAll((rows) =>
        rows.map((row) => {
          const done = row.querySelector("[type=checkbox]").checked ? "[x] " : "";
          return done + row.querySelector(".title").textContent;
        }),
      );
    await until(read, wanted, this.name);
  }

  async seesPeople(...wanted) {
    await until(async () => (await this.page.locator("#people li").allTextContents()).sort(), wanted.sort(), this.name);
  }
}

async function until(read, wanted, who) {
  const end = Date.now() + WAIT_MS;
  let found;
  do {
    found = await read();
    if (JSON.stringify(found) === JSON.stringify(wanted)) return;
    await new Promise((done) => setTimeout(done, 20));
  } while (Date.now() < end);
  assert.deepEqual(found, wanted, `what ${who} sees`);
}

test("a difference is applied exactly", () => {
  const rows = [{ id: "a", n: 1, m: 2 }, { id: "b", n: 2 }, { id: "c", n: 3 }];
  const diff = {
    added: [{ id: "d", n: 0 }],
    updated: [{ id: "a", n: 9, $unset: ["m"] }],
    removed: ["b"],
    order: ["d", "c", "a"],
  };
  assert.deepEqual(applyDiff(rows, diff), [{ id: "d", n: 0 }, { id: "c", n: 3 }, { id: "a", n: 9 }]);
  const empty = { added: [], updated: [], removed: [] };
  assert.deepEqual(applyDiff(rows, empty), rows);
  assert.deepEqual(applyDiff(rows, { ...empty, order: ["c", "b", "a"] }), [...rows].reverse());
});

test("two browsers stay in step", async (t) => {
  const ada = await Person.arrive("Ada");
  const ben = await Person.arrive("Ben", { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  await picture(ada.page, "sign-in");

  await t.test("a refusal is said plainly", async () => {
    await ada.page.getByLabel("Email").fill("ada@example.com");
    await ada.page.getByLabel("Password").fill("not the right one");
    await ada.page.keyboard.press("Enter");
    await ada.page.getByRole("alert").filter({ hasText: /\w{4}/ }).waitFor();
    await picture(ada.page, "refused");
    // The browser's own line about the 401.
    ada.problems = ada.problems.filter((text) => !text.includes("401"));
  });

  await t.test("both sign up and see each other", async () => {
    await ada.signUp();
    await ada.page.getByText("Nothing to do").waitFor();
    await ben.signUp();
    await ada.seesPeople("Ada (you)", "Ben");
    await ben.seesPeople("Ada", "Ben (you)");
  });

  await t.test("what one does the other sees, in order", async () => {
    await ada.add("Milk");
    await ben.sees("Milk");
    await ben.add("Stones");
    await ada.add("Rope");
    await ada.sees("Rope", "Stones", "Milk");
    await ben.sees("Rope", "Stones", "Milk");
    await ben.row("Stones").getByRole("checkbox").check();
    await ada.sees("Rope", "Milk", "[x] Stones");
    await ada.row("Milk").getByRole("button", { name: "Delete" }).click();
    await ben.sees("Rope", "[x] Stones");
  });

  await t.test("renaming, by keyboard, while the other watches", async () => {
    await ada.row("Rope").getByRole("button", { name: "Rename" }).focus();
    await ada.page.keyboard.press("Enter");
    await ben.page.getByText("Ada is renaming this").waitFor();
    // A list that moves meanwhile takes neither focus nor text away.
    await ben.add("Lamp");
    await ada.page.getByText("Lamp", { exact: true }).waitFor();
    await ada.page.keyboard.type("Long rope");
    await picture(ada.page, "renaming");
    await ada.page.keyboard.press("Enter");
    await ben.sees("Lamp", "Long rope", "[x] Stones");
    await ada.page.getByRole("button", { name: "Rename Long rope" }).and(ada.page.locator(":focus")).waitFor();
  });

  await t.test("markup stays text", async () => {
    const nasty = "<img src=x onerror=\"document.title='owned'\"><b>bold</b>";
    await ben.add(nasty);
    await ada.sees(nasty, "Lamp", "Long rope", "[x] Stones");
    assert.equal(await ada.page.locator("#todos img, #todos b").count(), 0);
    await ada.row(nasty).getByRole("button", { name: "Delete" }).click();
    await ben.sees("Lamp", "Long rope", "[x] Stones");
  });

  await t.test("a reload goes on where it was", async () => {
    await ada.page.reload();
    await ada.sees("Lamp", "Long rope", "[x] Stones");
    await ada.seesPeople("Ada (you)", "Ben");
    for (const scheme of ["light", "dark"]) {
      for (const person of [ada, ben]) {
        await person.page.emulateMedia({ colorScheme: scheme });
        await picture(person.page, `list-${person.name.toLowerCase()}-${scheme}`);
      }
    }
  });

  await t.test("a restart of the server is survived", async () => {
    await server.stop();
    await ada.page.locator("body[data-state=offline]").waitFor();
    await picture(ada.page, "offline");
    // Said while nobody listens; it is kept.
    await ada.add("Written offline");
    await server.start();
    await ada.isLive();
    await ben.isLive();
    await ben.sees("Written offline", "Lamp", "Long rope", "[x] Stones");
    await ada.sees("Written offline", "Lamp", "Long rope", "[x] Stones");
    await ben.row("Lamp").getByRole("checkbox").check();
    await ada.page.getByRole("button", { name: "Clear 2 done" }).click();
    await ada.sees("Written offline", "Long rope");
    await ben.sees("Written offline", "Long rope");
    await ada.seesPeople("Ada (you)", "Ben");
  });

  await t.test("who was away asks for what changed since", async () => {
    const asked = [];
    await ben.context.setOffline(true);
    ben.page.on("websocket", (socket) => {
      socket.on("framesent", ({ payload }) => asked.push(JSON.parse(payload)));
      socket.on("framereceived", ({ payload }) => asked.push(JSON.parse(payload)));
    });
    await server.stop();
    await server.start();
    await ada.isLive();
    await ada.add("While Ben was away");
    await ada.sees("While Ben was away", "Written offline", "Long rope");
    await ben.context.setOffline(false);
    await ben.sees("While Ben was away", "Written offline", "Long rope");
    const subscribed = asked.find(({ type }) => type === "subscribe");
    assert.ok(subscribed.since > 0, "the last tx is named");
    const answer = asked.find(({ type, id }) => type?.startsWith("q-") && id === subscribed.id);
    assert.equal(answer.type, "q-diff");
    assert.equal(answer.since, subscribed.since);
    assert.deepEqual(answer.added.map(({ title }) => title), ["While Ben was away"]);
  });

  await t.test("signing out ends it", async () => {
    await ben.page.getByRole("button", { name: "Sign out" }).click();
    await ben.page.getByRole("heading", { name: "Sign in" }).waitFor();
    await ada.seesPeople("Ada (you)");
    await ben.page.reload();
    await ben.page.getByRole("heading", { name: "Sign in" }).waitFor();
  });

  // While the server is away the browser writes its own lines about refused connections.
  const expected = /ERR_CONNECTION_REFUSED|ERR_INTERNET_DISCONNECTED|WebSocket connection/;
  for (const person of [ada, ben]) {
    assert.deepEqual(person.problems.filter((text) => !expected.test(text)), [], person.name);
  }
});
