// The line above the grid: words, fields and tags in one text, which says the same as the chips and the address.
//   capital country=AL tag:seen "a phrase"

export interface Asked {
  q: string;
  where: string[];
  tags: string[];
}

// A field is a name and its value, quoted where it holds blanks. Quotes around the whole make it words to search for.
const PIECE = /([A-Za-z_][\w.-]*)=("(?:[^"\\]|\\.)*"|[^\s"]+)|tag:("(?:[^"\\]|\\.)*"|[^\s"]+)|"[^"]*"?|\S+/g;

function unquoted(text: string): string {
  if (!text.startsWith('"')) return text;
  try {
    return JSON.parse(text) as string;
  } catch {
    return text.slice(1, -1);
  }
}

/** `"12"` is the text of two digits, as in the address; other quotes only hold blanks together. */
function valueOf(text: string): string {
  const inner = unquoted(text);
  if (inner === text) return text;
  return /^(-?\d|true$|false$|null$|["[{])/.test(inner) ? text : inner;
}

export function parseText(text: string): Asked {
  const asked: Asked = { q: '', where: [], tags: [] };
  const words: string[] = [];
  for (const [whole, field, value, tag] of text.matchAll(PIECE)) {
    if (field !== undefined && value !== undefined) asked.where.push(`${field}=${valueOf(value)}`);
    else if (tag !== undefined) asked.tags.push(unquoted(tag));
    else words.push(whole);
  }
  asked.q = words.join(' ');
  return asked;
}

const quotedIfNeeded = (text: string) => (/^[^\s"]+$/.test(text) || /^"[^\s]*"$/.test(text) ? text : JSON.stringify(text));

export function textOf({ q, where, tags }: Asked): string {
  return [
    ...where.map((one) => {
      const at = one.indexOf('=');
      return `${one.slice(0, at)}=${quotedIfNeeded(one.slice(at + 1))}`;
    }),
    ...tags.map((one) => `tag:${quotedIfNeeded(one)}`),
    q,
  ].filter(Boolean).join(' ');
}
