// The shapes of the stack protocol that these pages use.

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

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

export interface TypeInfo {
  id: string;
  baseId: string;
  version: number;
  name: string;
  schema: Schema;
  schemaHash: string;
  createdAt: string;
  migratesFrom?: string;
  search?: boolean;
}

export type Association =
  | { kind: 'tag'; label: string }
  | { kind: 'attachment'; label: string; fileId: string }
  | { kind: 'relationship'; label: string; recordId: string };

export type Permission =
  | { access: 'public' }
  | { access: 'entity'; entityId: string; read: boolean; write: boolean }
  | { access: 'group'; groupId: string; read: boolean; write: boolean; role?: 'admin' };

export interface StackRecord {
  id: string;
  typeId: string;
  createdAt: string;
  updatedAt: string;
  content: JsonObject;
  version: number;
  parentId?: string;
  entityId?: string;
  appId?: string;
  principalId?: string;
  deletedAt?: string;
  permissions?: Permission[];
  associations?: Association[];
}

export interface Snapshot {
  version: number;
  typeId: string;
  content: JsonObject;
  updatedAt: string;
  entityId?: string;
  associations: Association[];
  permissions?: Permission[];
}

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

export interface Token {
  id: string;
  principalId: string;
  subjectId: string;
  label: string | null;
  createdAt: string;
  expiresAt: string | null;
}
export interface IssuedToken extends Token {
  token: string;
}

export interface Discovery {
  version: string;
  entityId: string;
  timezone?: string;
  capabilities: { maxAttachmentBytes: number; maxContentBytes: number };
}

export interface Health {
  status: 'ok' | 'error';
  version: string;
  uptime: number;
}

export interface Stats {
  types: { typeId: string; records: number; deletedRecords: number }[];
  records: number;
  deletedRecords: number;
  versions: number;
  changes: number;
  associations: number;
  files: number;
  fileBytes: number;
  tokens: number;
  databaseBytes: number;
  freeBytes: number;
  walBytes: number;
  lastTx: number;
  memoryBytes?: number;
}

export type Action = 'read' | 'update' | 'delete' | 'permit' | 'purge';
export interface Decision {
  allowed: boolean;
  rule: string;
}
export interface Fault {
  path: string;
  message: string;
}
