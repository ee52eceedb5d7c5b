# The commands of this repository. `just` without a name lists them.

_default:
    @just --list

# Everything that must hold before a change lands; the machine that merges runs the same line.
gate:
    .ci/run

# The tests alone.
test:
    cargo test --locked

# The benchmark against the release build (about half an hour; `just bench --quick`: two minutes).
bench *ARGS:
    cargo build --release --locked --bin cairn --example bench
    target/release/examples/bench --check goals.json {{ARGS}}

# The admin UI: build it into assets/ and test it in a browser.
ui:
    .ci/run ui
