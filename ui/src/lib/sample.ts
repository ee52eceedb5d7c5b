// Something to look at in an empty stack: books and the notes of a reader.

import type { JsonObject, Schema } from '../api/types';

const BOOKS: [string, string, number, string, number | null][] = [
  ['The Left Hand of Darkness', 'Ursula K. Le Guin', 1969, 'novel', 5], ['A Pattern Language', 'Christopher Alexander', 1977, 'architecture', 5],
  ['Invisible Cities', 'Italo Calvino', 1972, 'novel', 4], ['The Sense of Style', 'Steven Pinker', 2014, 'language', 4],
  ['The Peregrine', 'J. A. Baker', 1967, 'nature', 5], ['Kindred', 'Octavia E. Butler', 1979, 'novel', 5],
  ['Thinking in Systems', 'Donella Meadows', 2008, 'science', 4], ['The Summer Book', 'Tove Jansson', 1972, 'novel', null],
  ['Braiding Sweetgrass', 'Robin Wall Kimmerer', 2013, 'nature', null], ['The Design of Everyday Things', 'Don Norman', 1988, 'design', 3],
  ['Pedro Páramo', 'Juan Rulfo', 1955, 'novel', 5], ['The Order of Time', 'Carlo Rovelli', 2017, 'science', 3],
];

export const SAMPLE: { id: string; name: string; schema: Schema; records: JsonObject[] }[] = [
  {
    id: 'com.example/book@1',
    name: 'Book',
    schema: {
      title: { kind: 'string', required: true },
      author: { kind: 'string', required: true, indexed: true },
      year: { kind: 'number' },
      subject: { kind: 'string', indexed: true },
      stars: { kind: 'number' },
      finished: { kind: 'boolean' },
    },
    records: BOOKS.map(([title, author, year, subject, stars]) => ({ title, author, year, subject, stars, finished: stars !== null })),
  },
  {
    id: 'com.example/reading-note@1',
    name: 'Reading note',
    schema: { title: { kind: 'string' }, body: { kind: 'text' }, on: { kind: 'date' } },
    records: [
      { title: 'Why paths meet where they do', body: 'Look at the worn grass before the plan is drawn.', on: '2024-03-02' },
      { title: '', body: 'A note without a title: empty is not the same as absent.', on: '2024-03-05' },
      { body: 'This one has no title at all.', on: null },
    ],
  },
];
