// The explorer: reads the OpenAPI document of this server and lets one try its addresses.
// Text reaches the page as text nodes only. The token stays in this tab's sessionStorage.
"use strict";

const list = document.getElementById("list");
const find = document.getElementById("find");
const face = document.getElementById("face");
const token = document.getElementById("token");
const KEY = "cairn.docs.token";

function make(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

const pretty = (value) => JSON.stringify(value, null, 2);

function operations(document) {
  const all = [];
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      all.push({ path, method: method.toUpperCase(), operation, face: operation.tags[0] });
    }
  }
  return all;
}

function parameters(operation) {
  const rows = operation.parameters.map((parameter) =>
    make("tr", {},
      make("td", {}, make("code", {}, parameter.name)),
      make("td", {}, parameter.in + (parameter.required ? ", required" : "")),
      make("td", {}, parameter.description || "")));
  if (!rows.length) return [];
  return [make("h3", {}, "Parameters"), make("table", {}, make("tbody", {}, ...rows))];
}

function body(operation) {
  const content = operation.requestBody && Object.entries(operation.requestBody.content)[0];
  if (!content) return [];
  const [type, { schema, example }] = content;
  const parts = [make("h3", {}, "Body, " + type)];
  if (example !== undefined) parts.push(make("pre", {}, pretty(example)));
  if (type === "application/json") {
    parts.push(make("details", {}, make("summary", {}, "Schema"), make("pre", {}, pretty(schema))));
  }
  return parts;
}

function answers(operation) {
  const rows = Object.entries(operation.responses).map(([status, answer]) =>
    make("tr", {}, make("td", {}, status), make("td", {}, answer.description)));
  const parts = [make("h3", {}, "Answers"), make("table", {}, make("tbody", {}, ...rows))];
  for (const answer of Object.values(operation.responses)) {
    const content = answer.content && Object.values(answer.content)[0];
    if (content && content.example !== undefined) parts.push(make("pre", {}, pretty(content.example)));
  }
  return parts;
}

function trial({ path, method, operation }) {
  const fields = operation.parameters.filter((p) => p.in !== "header").map((parameter) => {
    const input = make("input", { placeholder: parameter.name, "aria-label": parameter.name });
    return { parameter, input };
  });
  const content = operation.requestBody && Object.entries(operation.requestBody.content)[0];
  const text = content && content[0] === "application/json"
    ? make("textarea", { "aria-label": "JSON body", spellcheck: "false" }) : null;
  if (text) text.value = pretty(content[1].example === undefined ? {} : content[1].example);
  const file = content && !text ? make("input", { type: "file", "aria-label": "body" }) : null;
  const out = make("pre", { hidden: "" });
  async function send() {
    let address = path;
    const query = new URLSearchParams();
    for (const { parameter, input } of fields) {
      if (parameter.in === "path") {
        address = address.replace("{" + parameter.name + "}", encodeURIComponent(input.value));
      } else if (input.value !== "") query.append(parameter.name, input.value);
    }
    if (query.size) address += "?" + query;
    const headers = {};
    if (token.value) headers.Authorization = "Bearer " + token.value;
    const options = { method, headers };
    if (text) {
      options.body = text.value;
      headers["Content-Type"] = "application/json";
    } else if (file && file.files[0]) options.body = file.files[0];
    out.hidden = false;
    out.textContent = "…";
    try {
      const started = performance.now();
      const reply = await fetch(address, options);
      const took = Math.round(performance.now() - started);
      let shown = await reply.text();
      try { shown = pretty(JSON.parse(shown)); } catch { /* not JSON: as it is */ }
      out.textContent = `${method} ${address}\n${reply.status} ${reply.statusText}, ${took} ms\n\n${shown.slice(0, 100000)}`;
      out.classList.toggle("bad", !reply.ok);
    } catch (error) {
      out.textContent = "The server did not answer: " + error.message;
      out.classList.add("bad");
    }
  }
  const parts = [make("h3", {}, "Try it")];
  if (fields.length) parts.push(make("div", { class: "row" }, ...fields.map((f) => f.input)));
  if (text) parts.push(text);
  if (file) parts.push(file);
  parts.push(make("div", { class: "row" }, make("button", { type: "button", onclick: send }, "Send")), out);
  return parts;
}

function entry(item) {
  const inside = make("div", { class: "inside" });
  const details = make("details", { id: item.operation.operationId },
    make("summary", {},
      make("strong", { class: "method" }, item.method), make("code", {}, item.path),
      make("span", {}, item.operation.summary || "")),
    inside);
  details.addEventListener("toggle", () => {
    if (!details.open || inside.childNodes.length) return;
    inside.append(...parameters(item.operation), ...body(item.operation), ...answers(item.operation),
      ...trial(item));
  });
  return details;
}

function show(all, tags) {
  const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = all.filter((item) => {
    const text = `${item.method} ${item.path} ${item.operation.summary}`.toLowerCase();
    return (!face.value || item.face === face.value) && words.every((word) => text.includes(word));
  });
  const parts = [];
  for (const tag of tags) {
    const own = wanted.filter((item) => item.face === tag.name);
    if (own.length) parts.push(make("h2", {}, `${tag.name} (${own.length})`), make("p", {}, tag.description), ...own.map(entry));
  }
  if (!parts.length) parts.push(make("p", {}, "Nothing matches. Clear the filter to see every address."));
  list.replaceChildren(...parts);
}

async function start() {
  token.value = sessionStorage.getItem(KEY) || "";
  token.addEventListener("change", () => sessionStorage.setItem(KEY, token.value));
  try {
    const reply = await fetch("/_/openapi.json");
    const document_ = await reply.json();
    const all = operations(document_);
    for (const tag of document_.tags) face.append(make("option", { value: tag.name }, tag.name));
    if (location.pathname.startsWith("/api/") && document_.tags.some((t) => t.name === "live")) face.value = "live";
    const again = () => show(all, document_.tags);
    find.addEventListener("input", again);
    face.addEventListener("change", again);
    again();
    const open = location.hash && document.getElementById(location.hash.slice(1));
    if (open) { open.open = true; open.scrollIntoView(); }
  } catch (error) {
    list.replaceChildren(make("p", { class: "bad" }, "The document could not be read: " + error.message));
  }
}

start();
