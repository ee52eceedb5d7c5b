// The stack's addresses, one function each.

import { address, call, credential, refusal, send, unreachable } from './client';
import type {
  Action, Association, Changes, ConsoleAnswer, Decision, Discovery, Health, IssuedToken, JsonObject, NewTypeCheck, Page,
  Permission, Query, RequestEntry, Role, Sample, Schema, Settings, Snapshot, Stats, StackRecord, Token, TypeCheck, TypeInfo,
  User, UserSession,
} from './types';

const record = (id: string, rest = '') => `records/${encodeURIComponent(id)}${rest}`;

export const discovery = () => call<Discovery>('.well-known/stack');
export const health = () => call<Health>('health', { as: null });
export const stats = (as?: string) => call<Stats>('_/stats', as ? { as } : {});
export const spendOwnerLink = (secret: string) =>
  call<{ token: string; entityId: string }>('_/owner-link', { method: 'POST', body: { secret }, as: null });

export const query = (of: Query, asOf?: string, signal?: AbortSignal) =>
  call<Page>('records/query', {
    method: 'POST',
    body: asOf ? { ...of, as_of: asOf } : of,
    ...(signal ? { signal } : {}),
  });
export const getRecord = (id: string, asOf?: string) =>
  call<StackRecord>(record(id), { query: { as_of: asOf } });
export const createRecord = (body: {
  typeId: string;
  content: JsonObject;
  parentId?: string;
  permissions?: Permission[];
  associations?: Association[];
}) => call<StackRecord>('records', { method: 'POST', body });
export const patchRecord = (id: string, patch: JsonObject, ifMatch: number) =>
  call<StackRecord>(record(id), { method: 'PATCH', body: patch, ifMatch });
export const migrateRecord = (id: string, toTypeId: string, content: JsonObject, ifMatch: number) =>
  call<StackRecord>(record(id, '/migrate'), { method: 'POST', body: { toTypeId, content }, ifMatch });
export const deleteRecord = (id: string, ifMatch?: number) =>
  call<StackRecord>(record(id), {
    method: 'DELETE',
    representation: true,
    ...(ifMatch === undefined ? {} : { ifMatch }),
  });
export const purgeRecord = (id: string) => call<void>(record(id), { method: 'DELETE', query: { hard: 'true' } });
export const undeleteRecord = (id: string) => call<StackRecord>(record(id, '/undelete'), { method: 'POST' });
export const restoreRecord = (id: string, version: number, ifMatch: number) =>
  call<StackRecord>(record(id, `/restore/${version}`), { method: 'POST', ifMatch });
export const versions = (id: string) => call<Snapshot[]>(record(id, '/versions'));
export const setPermissions = (id: string, permissions: Permission[], ifMatch: number) =>
  call<StackRecord>(record(id, '/permissions'), {
    method: 'PUT', body: { permissions }, ifMatch, representation: true,
  });
export const associate = (id: string, association: Association) =>
  call<StackRecord>(record(id, '/associations'), { method: 'POST', body: association, representation: true });
export const dissociate = (id: string, association: Association) =>
  call<StackRecord>(record(id, '/associations/delete'), { method: 'POST', body: association, representation: true });
export const explain = (recordId: string, action: Action, principal?: string, subject?: string) =>
  call<Decision>('_/explain', { query: { record: recordId, action, principal, subject } });

export const types = () => call<TypeInfo[]>('types');
export const registerType = (body: {
  id: string;
  name: string;
  schema: Schema;
  schemaHash: string;
  migratesFrom?: string;
}) => call<TypeInfo>('types', { method: 'POST', body });

export const tokens = () => call<{ tokens: Token[] }>('tokens').then((list) => list.tokens);
export const issueToken = (body: { entityId?: string; onBehalfOf?: string; label?: string; expiresAt?: string }) =>
  call<IssuedToken>('tokens', { method: 'POST', body });
export const revokeToken = (id: string) => call<void>(`tokens/${encodeURIComponent(id)}`, { method: 'DELETE' });

/** What registering it would mean. */
export const checkType = (body: NewTypeCheck) => call<TypeCheck>('_/types/check', { method: 'POST', body });

export const changes = (since: string | number, limit?: number) =>
  call<Changes>('_/changes', { query: { since: String(since), limit: limit === undefined ? undefined : String(limit) } });
export const metrics = () => call<{ everySeconds: number; samples: Sample[] }>('_/metrics');
export const requests = (slow: boolean) =>
  call<{ requests: RequestEntry[] }>('_/requests', { query: { slow: slow ? 'true' : undefined, limit: '500' } }).then((one) => one.requests);
export const settings = () => call<Settings>('_/settings');
export const advice = () => call<{ advice: string[] }>('_/doctor').then((one) => one.advice);
export const consoleQuery = (body: { query: JsonObject; as_of?: string }, signal?: AbortSignal) =>
  call<ConsoleAnswer>('_/query', { method: 'POST', body, ...(signal ? { signal } : {}) });

export const users = (after?: string) => call<{ users: User[] }>('_/users', { query: { after } }).then((one) => one.users);
export const createUser = (body: { email: string; password: string; displayName?: string; role?: Role }) =>
  call<User>('_/users', { method: 'POST', body });
export const updateUser = (id: string, body: { role?: Role; disabled?: boolean; displayName?: string | null }) =>
  call<User>(`_/users/${encodeURIComponent(id)}`, { method: 'PATCH', body });
export const endSessions = (id: string) =>
  call<void>(`_/users/${encodeURIComponent(id)}/sessions`, { method: 'DELETE' });
export const userSessions = () =>
  call<{ sessions: UserSession[] }>('api/admin/sessions').then((one) => one.sessions);
export const rules = () => call<JsonObject>('api/admin/rules');
export const setRules = (body: JsonObject) => call<JsonObject>('api/admin/rules', { method: 'PUT', body });
export const removeRules = () => call<void>('api/admin/rules', { method: 'DELETE' });

export interface Backup {
  name: string;
  [key: string]: unknown;
}
const backup = (name: string, rest = '') => `_/backups/${encodeURIComponent(name)}${rest}`;
export const backups = () => call<{ backups: Backup[] } | Backup[]>('_/backups').then((one) => (Array.isArray(one) ? one : one.backups));
export const makeBackup = () => call<Backup>('_/backups', { method: 'POST', body: {} });
export const verifyBackup = (name: string) => call<JsonObject>(backup(name, '/verify'), { method: 'POST', body: {} });
export const restoreBackup = (name: string) => call<JsonObject>(backup(name, '/restore'), { method: 'POST', body: {} });
export const removeBackup = (name: string) => call<void>(backup(name), { method: 'DELETE' });
export const backupBytes = (name: string) => send(backup(name)).then((response) => response.blob());

export const fileBytes = (fileId: string, signal?: AbortSignal) =>
  send(`attachments/${fileId}`, signal ? { signal } : {}).then((response) => response.blob());
export const deleteFile = (fileId: string) => call<void>(`attachments/${fileId}`, { method: 'DELETE' });
export const collectGarbage = (body: { dryRun?: boolean; graceMs?: number }) =>
  call<{ deleted: string[]; reclaimedBytes: number }>('attachments/gc', { method: 'POST', body });

/** By XMLHttpRequest, which alone tells how much has been sent. */
export function upload(file: File, progress: (part: number) => void): Promise<StackRecord> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', address('attachments'));
    const token = credential();
    if (token) request.setRequestHeader('Authorization', `Bearer ${token}`);
    request.setRequestHeader('Content-Type', file.type || 'application/octet-stream');
    request.setRequestHeader('Content-Disposition', `attachment; filename*=UTF-8''${encodeURIComponent(file.name)}`);
    request.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
    request.onerror = () => reject(unreachable());
    request.onload = () =>
      request.status < 300
        ? resolve(JSON.parse(request.responseText) as StackRecord)
        : reject(refusal(request.status, request.responseText));
    request.send(file);
  });
}
