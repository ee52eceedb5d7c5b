// One collection: its rows, found and filtered, and the record beside them. All of it is in the address.

import { Empty, Loading } from '../parts/basics';
import { RecordPanel } from '../record/panel';
import { go, goWith, href, place } from '../router';
import { collections, types } from '../state/catalog';
import { count } from '../lib/format';
import { session } from '../state/session';
import { Rows } from './rows';

export function DataPage() {
  const [, base] = place.value.path;
  const record = place.value.params.get('record');
  if (!types.value) return <Loading />;
  if (!base) return <AllCollections />;
  const collection = collections.value.find((one) => one.base === base);
  if (!collection) {
    return (
      <Empty icon="data" title={`There is no collection ${base}`}>
        <a class="button" href={href(['data'])}>All collections</a>
      </Empty>
    );
  }
  return (
    <div class={`data ${record ? 'with-panel' : ''}`}>
      <Rows key={base} collection={collection} />
      {record && (
        <RecordPanel
          key={`${record} ${place.value.params.get('at')}`}
          id={record}
          collection={collection}
          onClose={() => goWith({ record: undefined, tab: undefined })}
          onCreated={(id) => go(['data', base], { record: id })}
        />
      )}
    </div>
  );
}

function AllCollections() {
  const own = collections.value.filter((one) => !one.system);
  const system = collections.value.filter((one) => one.system);
  return (
    <div class="page">
      <header class="page-head"><h1>Data</h1></header>
      {own.length === 0 && (
        <Empty icon="data" title="No collection yet">
          <p>Records need a type that says what they look like.</p>
          {session.value?.owner && <a class="button primary" href={href(['types', 'new'])}>New type</a>}
        </Empty>
      )}
      {[{ label: 'Yours', list: own }, { label: 'Of the system', list: system }].map(({ label, list }) => list.length > 0 && (
        <section key={label} class="card" aria-label={label}>
          <h2>{label}</h2>
          <ul class="lines">
            {list.map((one) => (
              <li key={one.base}>
                <a href={href(['data', one.base])}><strong>{one.name}</strong><small>{one.base}</small></a>
                {one.records !== null && <span>{count(one.records)}</span>}
              </li>
            ))}
          </ul>
        </section>
      ))}
    </div>
  );
}
