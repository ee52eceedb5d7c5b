// What the browser tests stand on: a Cairn of their own, and Chromium.
//
// Environment: CHROME_PATH (an executable of Chromium), CAIRN_BIN (default: the debug build),
// SCREENSHOTS (a folder; pictures are taken when it is given).

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

export const repository = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");

const binary = process.env.CAIRN_BIN ?? path.join(repository, "target/debug/cairn");
const ARGUMENTS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const START_WAIT_MS = 20_000;

/** One file, one address, served until `close`. */
export class Server {
  #folder;
  #child = null;
  #arguments;
  #listen = "127.0.0.1:0";

  static async start(...args) {
    const server = new Server();
    server.#arguments = args;
    server.#folder = await mkdtemp(path.join(tmpdir(), "cairn-browser-"));
    await server.start();
    return server;
  }

  /** Again after `stop`, on the same file and port. */
  async start() {
    const file = path.join(this.#folder, "stack.cairn");
    const ready = path.join(this.#folder, "ready.json");
    await rm(ready, { force: true });
    this.log = "";
    const args = ["serve", file, "--listen", this.#listen, "--ready-file", ready, ...this.#arguments];
    // Standard input is a pipe of ours: the server ends with this process, however that ends.
    const child = spawn(binary, [...args, "--exit-with-stdin"], { stdio: ["pipe", "ignore", "pipe"] });
    this.#child = child;
    child.stderr.on("data", (bytes) => (this.log += bytes));
    for (const started = Date.now(); ; await new Promise((done) => setTimeout(done, 20))) {
      const said = await readFile(ready, "utf8").catch(() => null);
      if (said) {
        ({ address: this.address, url: this.url } = JSON.parse(said));
        break;
      }
      if (child.exitCode !== null || Date.now() - started > START_WAIT_MS) {
        throw new Error(`${binary} did not start: ${this.log}`);
      }
    }
    this.#listen = this.address;
  }

  async stop() {
    const child = this.#child;
    this.#child = null;
    if (!child || child.exitCode !== null) return;
    child.kill("SIGTERM");
    const [code] = await once(child, "exit");
    if (code !== 0) throw new Error(`${binary} ended with ${code}: ${this.log}`);
  }

  async close() {
    await this.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

export function launch() {
  if (!process.env.CHROME_PATH) throw new Error("CHROME_PATH must name an executable of Chromium");
  return chromium.launch({ executablePath: process.env.CHROME_PATH, args: ARGUMENTS });
}

/** Keeps a picture of the page where the person who runs the test asked for pictures. */
export async function picture(page, name) {
  const folder = process.env.SCREENSHOTS;
  if (folder) await page.screenshot({ path: path.join(folder, `${name}.png`) });
}
