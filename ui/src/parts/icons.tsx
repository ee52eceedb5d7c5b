// Line drawings on a grid of 20, in the colour of the text beside them.

const SHAPES = {
  overview: 'M3 10.5 10 4l7 6.5M5 9v7h10V9M8.5 16v-4h3v4',
  data: 'M3 5h14M3 10h14M3 15h14M8 5v10',
  types: 'M4 4h5v5H4zM11 4h5v5h-5zM4 11h5v5H4zM11 13.5h5M13.5 11v5',
  files: 'M5 3h6l4 4v10H5zM11 3v4h4',
  access: 'M6.5 9V6.5a3.5 3.5 0 0 1 7 0V9M5 9h10v8H5zM10 12v2',
  console: 'M3 4h14v12H3zM6 8l2.5 2L6 12M10 12.5h4',
  backups: 'M4 6c0-1.4 2.7-2.5 6-2.5s6 1.1 6 2.5-2.7 2.5-6 2.5S4 7.4 4 6zM4 6v8c0 1.4 2.7 2.5 6 2.5s6-1.1 6-2.5V6M4 10c0 1.4 2.7 2.5 6 2.5s6-1.1 6-2.5',
  system: 'M3 14l4-5 3 3 4-6 3 4M3 17h14',
  warn: 'M10 3.5 17.5 16h-15zM10 8v4M10 13.8v.4',
  clock: 'M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM10 6v4l3 2',
  search: 'M9 4a5 5 0 1 0 0 10A5 5 0 0 0 9 4zM13 13l4 4',
  plus: 'M10 4v12M4 10h12',
  close: 'M5 5l10 10M15 5 5 15',
  copy: 'M7 7h9v9H7zM4 13V4h9',
  trash: 'M4 6h12M8 6V4h4v2M6 6l.7 10h6.6L14 6M8.5 9v4M11.5 9v4',
  back: 'M12 4l-6 6 6 6',
  next: 'M8 4l6 6-6 6',
  out: 'M8 4H4v12h4M8 10h8M13 7l3 3-3 3',
  link: 'M8.5 11.5a3 3 0 0 0 4.2 0l2.4-2.4a3 3 0 0 0-4.2-4.2L9.8 6M11.5 8.5a3 3 0 0 0-4.2 0l-2.4 2.4a3 3 0 0 0 4.2 4.2l1.1-1.1',
  up: 'M10 16V5M5.5 9.5 10 5l4.5 4.5',
  down: 'M10 4v11M5.5 10.5 10 15l4.5-4.5',
  restore: 'M4 10a6 6 0 1 0 2-4.5M4 4v3.5h3.5',
  theme: 'M10 3a7 7 0 1 0 0 14zM10 3a7 7 0 0 1 0 14',
  columns: 'M4 4h12v12H4zM8 4v12M12 4v12',
} as const;

export type IconName = keyof typeof SHAPES;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" aria-hidden="true">
      <path d={SHAPES[name]} />
    </svg>
  );
}

export function Logo() {
  return (
    <svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
      <ellipse cx="16" cy="26" rx="12" ry="4.6" />
      <ellipse cx="16.6" cy="17.6" rx="8.6" ry="3.9" />
      <ellipse cx="15.6" cy="10.2" rx="5.6" ry="3.3" />
      <ellipse cx="16.4" cy="4.4" rx="3" ry="2.2" />
    </svg>
  );
}
