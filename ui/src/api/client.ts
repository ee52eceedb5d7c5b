// One way to the server: base address, credential, refusals as errors with a sentence in them.

import type { Fault } from './types';

// The pages live at <root>/_/; the protocols start at <root>/, whatever prefix a proxy puts before it.
export const root = new URL('..', new URL('./', location.href.split('#')[0]));

const CODES: Record<number, string> = {
  401: 'You are signed out.',
  403: 'You are not allowed to do this.',
  404: 'It does not exist, or is gone.',
  413: 'That is larger than this server accepts.',
  503: 'The server is busy. Try again in a moment.',
  507: 'The disk is full.',
};

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly faults: Fault[] = [],
    readonly actualVersion?: number,
  ) {
    super(message);
  }
}

interface Refusal {
  error?: {
    code?: string;
    message?: string;
    /** `field` on the live face. */
    details?: { path?: string; field?: string; message: string }[];
    schemaDrift?: { violations: Fault[] };
    versionConflict?: { actualVersion: number };
  };
}

export function refusal(status: number, text: string): ApiError {
  let body: Refusal = {};
  try {
    body = JSON.parse(text) as Refusal;
  } catch {
    // Not one of ours: a proxy, or nothing at all.
  }
  const error = typeof body.error === 'object' ? body.error : {};
  const said = error.message ? error.message.charAt(0).toUpperCase() + error.message.slice(1) : '';
  const plain = status === 403 || status === 401 ? CODES[status] : said || CODES[status];
  return new ApiError(
    status,
    error.code ?? '',
    plain ?? `The server answered ${status}.`,
    error.details?.map((one) => ({ path: one.path ?? one.field ?? '', message: one.message })) ?? error.schemaDrift?.violations ?? [],
    error.versionConflict?.actualVersion,
  );
}

export const unreachable = () =>
  new ApiError(0, 'unreachable', 'The server does not answer. Is it running?');

let token: string | null = null;
let onSignedOut: () => void = () => {};

export function useCredential(value: string | null, signedOut: () => void): void {
  token = value;
  onSignedOut = signedOut;
}
export const credential = () => token;

export interface Ask {
  method?: string;
  body?: unknown;
  ifMatch?: number;
  query?: Record<string, string | undefined>;
  representation?: boolean;
  signal?: AbortSignal;
  /** Instead of the credential of this session; `null` sends none. */
  as?: string | null;
}

export function address(path: string, query: Ask['query'] = {}): string {
  const url = new URL(path, root);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) url.searchParams.set(name, value);
  }
  return url.href;
}

export async function send(path: string, ask: Ask = {}): Promise<Response> {
  const headers: Record<string, string> = {};
  const bearer = ask.as === undefined ? token : ask.as;
  if (bearer) headers['Authorization'] = `Bearer ${bearer}`;
  if (ask.body !== undefined) headers['Content-Type'] = 'application/json';
  if (ask.ifMatch !== undefined) headers['If-Match'] = `"${ask.ifMatch}"`;
  if (ask.representation) headers['Prefer'] = 'return=representation';
  let response: Response;
  try {
    response = await fetch(address(path, ask.query), {
      method: ask.method ?? 'GET',
      headers,
      cache: 'no-store',
      ...(ask.body === undefined ? {} : { body: JSON.stringify(ask.body) }),
      ...(ask.signal ? { signal: ask.signal } : {}),
    });
  } catch (fault) {
    if (fault instanceof DOMException && fault.name === 'AbortError') throw fault;
    throw unreachable();
  }
  if (!response.ok) {
    const error = refusal(response.status, await response.text());
    if (response.status === 401 && ask.as === undefined && token) onSignedOut();
    throw error;
  }
  return response;
}

export async function call<T>(path: string, ask: Ask = {}): Promise<T> {
  const response = await send(path, ask);
  const text = await response.text();
  return (text ? JSON.parse(text) : undefined) as T;
}
