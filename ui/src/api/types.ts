// The shapes that these pages use: those of the server's own document, with names, and more exact where the document
// cannot be (a permission is one of three shapes, a field one of nine kinds).

import type { Bodies, Json, JsonObject, Replies } from './generated';

export type { Json, JsonObject };

export type Kind =
  | 'string' | 'text' | 'number' | 'boolean' | 'date'
  | 'record-ref' | 'file-ref' | 'array' | 'object';

export interface FieldDef {
  kind: Kind;
  required?: boolean;
  indexed?: boolean;
  unique?: boolean;
  items?: FieldDef;
  properties?: Schema;
}
export type Schema = { [name: string]: FieldDef };

export type TypeInfo = Omit<Replies['types.get'], 'schema'> & { schema: Schema };

export type Association =
  | { kind: 'tag'; label: string }
  | { kind: 'attachment'; label: string; fileId: string }
  | { kind: 'relationship'; label: string; recordId: string };

export type Permission =
  | { access: 'public' }
  | { access: 'entity'; entityId: string; read: boolean; write: boolean }
  | { access: 'group'; groupId: string; read: boolean; write: boolean; role?: 'admin' };

interface Exactly {
  permissions?: Permission[];
  associations?: Association[];
}
export type StackRecord = Omit<Replies['records.get'], keyof Exactly> & Exactly;
type AnySnapshot = Replies['records.versions'][number];
export type Snapshot = Omit<AnySnapshot, keyof Exactly> & { associations: Association[]; permissions?: Permission[] };

export interface Page {
  records: StackRecord[];
  cursor: string | null;
}

export type SortField = 'createdAt' | 'updatedAt' | 'version';
export type Direction = 'asc' | 'desc';

export interface Filter {
  typeId?: string | string[];
  tags?: string[];
  search?: string;
  content?: { [field: string]: null | boolean | number | string };
  relatedTo?: { recordId: string; label?: string };
  attachmentFileId?: string;
  includeDeleted?: boolean;
}

export interface Query {
  filter: Filter;
  sort?: { field: SortField; direction: Direction };
  limit?: number;
  cursor?: string | null;
}

export type Token = Replies['tokens.list']['tokens'][number];
export type IssuedToken = Replies['tokens.issue'] & { token: string };
export type Discovery = Replies['stack.discover'];
export type Health = Replies['health'];
export type Stats = Replies['stats.get'];
export type Action = 'read' | 'update' | 'delete' | 'permit' | 'purge';
export type Decision = Replies['access.explain'];

export type Change = Replies['changes']['changes'][number];
export type Changes = Replies['changes'];
export type Sample = Replies['metrics.get']['samples'][number];
export type Settings = Replies['settings.get'];
export type RequestEntry = Replies['requests.list']['requests'][number];
export type TypeCheck = Replies['types.check'];
export type NewTypeCheck = Bodies['types.check'];
export type User = Replies['users.list']['users'][number];
export type Role = User['role'];
export type ConsoleAnswer = Replies['console.query'];

/** Kept by the live face, whose document says only that these are objects. */
export interface UserSession {
  id: string;
  userId: string;
  device: string;
  ip: string;
  createdAt: string;
  lastUsedAt: string;
}

export interface Fault {
  path: string;
  message: string;
}
