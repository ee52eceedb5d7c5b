// Saving a whole content as the smallest change that says it.

import { migrateRecord, patchRecord } from '../api/stack';
import type { JsonObject, StackRecord } from '../api/types';
import { fieldChanges } from '../lib/diff';

/**
 * A patch removes a field by `null`, so it cannot set one to null; moving the record to its own type
 * with the whole new content can.
 */
export function saveContent(seen: StackRecord, content: JsonObject): Promise<StackRecord> {
  const changes = fieldChanges(seen.content, content);
  if (changes.some((one) => one.how !== 'removed' && one.after === null)) {
    return migrateRecord(seen.id, seen.typeId, content, seen.version);
  }
  const patch: JsonObject = {};
  for (const one of changes) patch[one.field] = one.how === 'removed' ? null : one.after;
  return patchRecord(seen.id, patch, seen.version);
}
