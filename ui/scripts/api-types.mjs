// The types of the server's addresses, written from its own OpenAPI document, so that pages and server cannot drift:
//   cairn openapi --compact | node scripts/api-types.mjs > src/api/generated.ts
// Each operation gives Bodies['records.create'] and Replies['records.create'] (its first success with a body).
import { readFileSync } from 'node:fs';

const document = JSON.parse(readFileSync(0, 'utf8'));
const key = (name) => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name));

function type(schema, depth) {
  if (schema === true || schema === undefined || Object.keys(schema).length === 0) return 'Json';
  if (schema.$ref) return type(schema.$ref.split('/').slice(1).reduce((part, name) => part[name], document), depth);
  if ('const' in schema) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(' | ');
  const several = schema.oneOf ?? schema.anyOf;
  if (several) return [...new Set(several.map((one) => type(one, depth)))].join(' | ');
  if (Array.isArray(schema.type)) {
    return [...new Set(schema.type.map((one) => (one === 'null' ? 'null' : type({ ...schema, type: one }, depth))))].join(' | ');
  }
  switch (schema.type) {
    case 'string': return 'string';
    case 'integer':
    case 'number': return 'number';
    case 'boolean': return 'boolean';
    case 'null': return 'null';
    case 'array': return `Array<${type(schema.items, depth)}>`;
    case 'object': break;
    default: return 'Json';
  }
  const properties = Object.entries(schema.properties ?? {});
  if (properties.length === 0) return 'JsonObject';
  const indent = '  '.repeat(depth + 1);
  const required = schema.required ?? [];
  const lines = properties.map(([name, one]) => `${indent}${key(name)}${required.includes(name) ? '' : '?'}: ${type(one, depth + 1)};`);
  return `{\n${lines.join('\n')}\n${'  '.repeat(depth)}}`;
}

const json = (content) => content?.['application/json']?.schema;
const [bodies, replies] = [[], []];
for (const path of Object.keys(document.paths).sort()) {
  for (const operation of Object.values(document.paths[path])) {
    const body = json(operation.requestBody?.content);
    if (body) bodies.push(`  ${JSON.stringify(operation.operationId)}: ${type(body, 1)};`);
    const success = Object.keys(operation.responses).sort().find((status) => status < '300' && json(operation.responses[status].content));
    if (success) replies.push(`  ${JSON.stringify(operation.operationId)}: ${type(json(operation.responses[success].content), 1)};`);
  }
}
console.log(`// Written by scripts/api-types.mjs from what \`cairn openapi\` prints. Not to be edited.

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

/** What an operation takes. */
export interface Bodies {
${bodies.join('\n')}
}

/** What an operation answers. */
export interface Replies {
${replies.join('\n')}
}`);
