// The explorer: lists the operations of the OpenAPI document and sends requests to them.
// Text reaches the page as text nodes only; the token stays in this tab's sessionStorage.
"use strict";

const TOKEN = "cairn.docs.token";
const SHOWN_CHARS_MAX = 200_000;
const DEPTH_MAX = 6;
const METHODS = ["get", "post", "put", "patch", "delete"];

const byId = (id) => document.getElementById(id);

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function pretty(value) {
  return element("pre", {}, JSON.stringify(value, null, 2));
}

function resolve(api, schema) {
  const name = schema?.$ref?.match(/^#\/components\/schemas\/(.+)$/)?.[1];
  return name ? (api.components?.schemas?.[name] ?? {}) : (schema ?? {});
}

// A value that fits a schema, to start from.
function sample(api, raw, depth = 0) {
  const schema = resolve(api, raw);
  if (depth > DEPTH_MAX) return null;
  if ("example" in schema) return schema.example;
  if ("default" in schema) return schema.default;
  if ("const" in schema) return schema.const;
  if (schema.enum) return schema.enum[0];
  const choice = schema.oneOf ?? schema.anyOf ?? schema.allOf;
  if (choice?.length) return sample(api, choice[0], depth + 1);
  const kind = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  if (kind === "array") return schema.items ? [sample(api, schema.items, depth + 1)] : [];
  if (kind === "object" || schema.properties) {
    const required = schema.required ?? Object.keys(schema.properties ?? {});
    return Object.fromEntries(
      required.map((name) => [name, sample(api, schema.properties?.[name], depth + 1)]),
    );
  }
  return { string: "", integer: 0, number: 0, boolean: false }[kind] ?? null;
}

function kindOf(schema) {
  if (schema?.enum) return schema.enum.join(" | ");
  const kind = [].concat(schema?.type ?? "any").join(" | ");
  const from = schema?.minimum, to = schema?.maximum;
  if (from !== undefined && to !== undefined) return `${kind}, ${from} to ${to}`;
  return kind;
}

function parameters(operation, inputs) {
  const rows = (operation.parameters ?? []).map((parameter) => {
    const input = element("input", { "aria-label": parameter.name, spellcheck: "false" });
    inputs.push({ parameter, input });
    const about = [kindOf(parameter.schema), parameter.in, parameter.required ? "required" : null];
    return element(
      "tr",
      {},
      element("td", {}, element("code", {}, parameter.name)),
      element("td", {}, input),
      element("td", { class: "quiet" }, about.filter(Boolean).join(", ")),
      element("td", { class: "quiet" }, parameter.description ?? ""),
    );
  });
  return rows.length ? [element("h3", {}, "Parameters"), element("table", {}, ...rows)] : [];
}

// Fields for the body, and a function that makes the body of what is in them.
function requestBody(api, operation) {
  const [type, media] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
  if (!type) return { parts: [], make: () => ({}) };
  const title = element("h3", {}, `Body, ${type}`);
  if (type.startsWith("multipart/")) {
    const fields = Object.entries(resolve(api, media.schema).properties ?? {}).map(([name, schema]) => {
      const file = schema.format === "binary";
      const input = element("input", { type: file ? "file" : "text", "aria-label": name });
      return { name, file, input };
    });
    const rows = fields.map(({ name, input }) =>
      element("tr", {}, element("td", {}, element("code", {}, name)), element("td", {}, input)));
    const make = () => {
      const form = new FormData();
      for (const { name, file, input } of fields) {
        if (file && input.files.length) form.append(name, input.files[0]);
        else if (!file && input.value) form.append(name, input.value);
      }
      return { body: form };
    };
    return { parts: [title, element("table", {}, ...rows)], make };
  }
  if (!type.includes("json")) {
    const input = element("input", { type: "file", "aria-label": "body" });
    const make = () => {
      const file = input.files[0];
      return file ? { body: file, headers: { "Content-Type": file.type || type } } : {};
    };
    return { parts: [title, input], make };
  }
  const text = element("textarea", { "aria-label": "body", spellcheck: "false" });
  text.value = JSON.stringify(media.example ?? sample(api, media.schema), null, 2);
  const schema = element("details", {}, element("summary", {}, "Schema"), pretty(resolve(api, media.schema)));
  const make = () =>
    text.value.trim() ? { body: text.value, headers: { "Content-Type": type } } : {};
  return { parts: [title, text, schema], make };
}

function responses(api, operation) {
  const parts = [element("h3", {}, "Answers")];
  for (const [status, response] of Object.entries(operation.responses ?? {})) {
    const [type, media] = Object.entries(response.content ?? {})[0] ?? [];
    const line = [status, response.description, type].filter(Boolean).join("  ");
    if (!media) {
      parts.push(element("div", {}, element("code", {}, line)));
      continue;
    }
    const shown = "example" in media ? media.example : resolve(api, media.schema);
    parts.push(element("details", {}, element("summary", {}, element("code", {}, line)), pretty(shown)));
  }
  return parts;
}

function address(path, inputs) {
  const query = new URLSearchParams();
  const headers = {};
  let out = path;
  for (const { parameter, input } of inputs) {
    const { name } = parameter;
    if (parameter.in === "path") {
      if (!input.value) throw new Error(`${name} is needed`);
      // A parameter at the end may span segments.
      const spans = path.endsWith(`{${name}}`);
      const parts = spans ? input.value.split("/") : [input.value];
      out = out.replace(`{${name}}`, parts.map(encodeURIComponent).join("/"));
    } else if (input.value && parameter.in === "query") query.append(name, input.value);
    else if (input.value && parameter.in === "header") headers[name] = input.value;
  }
  const text = query.toString();
  return { url: text ? `${out}?${text}` : out, headers };
}

// Reads an answer as it arrives, so that event streams show their events.
async function read(response, show) {
  const type = response.headers.get("content-type") ?? "";
  const isText = /json|text|xml|event-stream/.test(type);
  if (!isText || !response.body) {
    const bytes = (await response.arrayBuffer()).byteLength;
    return bytes ? `${bytes} bytes of ${type}` : "";
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    text += value;
    if (text.length > SHOWN_CHARS_MAX) {
      await reader.cancel();
      return `${text.slice(0, SHOWN_CHARS_MAX)}\n…`;
    }
    show(text);
  }
  if (!type.includes("json")) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function sender(method, path, inputs, make) {
  const output = element("pre", { hidden: "" });
  const show = (text) => {
    output.hidden = false;
    output.textContent = text;
  };
  let running = null;
  const button = element("button", { type: "button", onclick: send }, "Send");
  async function send() {
    if (running) {
      running.abort();
      return;
    }
    running = new AbortController();
    button.textContent = "Stop";
    let head = "";
    try {
      const { url, headers } = address(path, inputs);
      const made = make();
      const token = byId("token").value.trim();
      const all = { ...headers, ...made.headers };
      if (token) all.Authorization = `Bearer ${token}`;
      const started = performance.now();
      const response = await fetch(url, {
        method: method.toUpperCase(), headers: all, body: made.body,
        credentials: "omit", redirect: "manual", cache: "no-store", signal: running.signal,
      });
      const ms = Math.round(performance.now() - started);
      head = `${response.status} ${response.statusText} in ${ms} ms\n\n`;
      show(head);
      show(head + await read(response, (text) => show(head + text)));
    } catch (error) {
      if (error.name !== "AbortError") show(`${head}${error.message}`);
    } finally {
      running = null;
      button.textContent = "Send";
    }
  }
  return [element("p", {}, button), output];
}

function details(api, { method, path, operation }) {
  const line = element(
    "summary",
    {},
    element("span", { class: "method" }, method.toUpperCase()),
    element("code", {}, path),
    element("span", { class: "quiet" }, operation.summary ?? ""),
  );
  const made = element("details", {}, line);
  // Made when it is first opened: the list is long.
  made.addEventListener("toggle", () => {
    if (made.children.length > 1) return;
    const inputs = [];
    const body = requestBody(api, operation);
    const needs = (operation.security ?? []).some((one) => Object.keys(one).length);
    const open = (operation.security ?? []).some((one) => !Object.keys(one).length);
    const who = needs ? (open ? "A token is optional." : "Needs a token.") : "Needs no token.";
    made.append(element(
      "div",
      { class: "body" },
      element("p", { class: "quiet" }, `${operation.operationId}. ${operation.description ?? ""} ${who}`),
      ...parameters(operation, inputs),
      ...body.parts,
      ...sender(method, path, inputs, body.make),
      ...responses(api, operation),
    ));
  });
  return made;
}

function list(api) {
  const all = [];
  for (const [path, item] of Object.entries(api.paths ?? {})) {
    for (const method of METHODS.filter((method) => item[method])) {
      const operation = item[method];
      const face = operation.tags?.[0] ?? "";
      const text = `${method} ${path} ${operation.summary} ${operation.operationId}`.toLowerCase();
      const entry = { method, path, operation, face, text };
      entry.shown = details(api, entry);
      all.push(entry);
    }
  }
  const groups = (api.tags ?? []).map((tag) => {
    const entries = all.filter((entry) => entry.face === tag.name);
    const title = element("h2", {}, `${tag.name} `, element("small", {}, tag.description ?? ""));
    const section = element("section", {}, title, ...entries.map((entry) => entry.shown));
    return { name: tag.name, entries, section };
  });
  byId("list").replaceChildren(...groups.map((group) => group.section));
  const face = byId("face");
  face.append(...groups.map((group) => element("option", { value: group.name }, group.name)));
  // The address picks the face that the page opens with.
  if (location.pathname.startsWith("/api/") && groups.some((group) => group.name === "live")) {
    face.value = "live";
  }
  const update = () => {
    const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const group of groups) {
      let any = false;
      for (const entry of group.entries) {
        const fits = (!face.value || face.value === group.name)
          && words.every((word) => entry.text.includes(word));
        entry.shown.hidden = !fits;
        any ||= fits;
      }
      group.section.hidden = !any;
    }
  };
  byId("filter").addEventListener("input", update);
  face.addEventListener("change", update);
  update();
}

async function start() {
  const token = byId("token");
  token.value = sessionStorage.getItem(TOKEN) ?? "";
  token.addEventListener("input", () => sessionStorage.setItem(TOKEN, token.value.trim()));
  try {
    const response = await fetch("/_/openapi.json", { credentials: "omit" });
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    list(await response.json());
  } catch (error) {
    byId("state").textContent = `The document could not be read: ${error.message}`;
  }
}

start();
