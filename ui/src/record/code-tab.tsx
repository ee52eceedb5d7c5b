// The same record from a terminal and from JavaScript.

import type { StackRecord } from '../api/types';
import { curl, javascript } from '../lib/record';
import { Code } from '../parts/basics';
import { asOf } from '../router';

export function CodeTab({ record }: { record: StackRecord }) {
  const path = `records/${record.id}`;
  const past = asOf.value ? `?as_of=${encodeURIComponent(asOf.value)}` : '';
  const [field, value] = Object.entries(record.content).find(([, one]) => one !== null) ?? ['title', 'text'];
  const patch = { [field]: value };
  return (
    <div class="stacked">
      <p class="hint">Set <code>CAIRN_TOKEN</code> to a token of yours first.</p>
      <h3>Read it</h3>
      <Code text={curl(path + past)} />
      {!asOf.value && (
        <>
          <h3>Change a field, if it is still version {record.version}</h3>
          <Code text={curl(path, 'PATCH', patch, record.version)} />
          <h3>Its earlier versions</h3>
          <Code text={curl(`${path}/versions`)} />
        </>
      )}
      <h3>JavaScript</h3>
      <Code text={javascript(path + past)} />
      {!asOf.value && <Code text={javascript(path, 'PATCH', patch, record.version)} />}
    </div>
  );
}
