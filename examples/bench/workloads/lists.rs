//! Pages of 50: by an indexed field, the newest, and from far down a cursor.

use anyhow::{Context, Result, ensure};

use super::{Bench, PAGE_ROWS, Visit, lists_of};
use crate::adapter::text_at;
use crate::document;
use crate::target::Instance;

/// How many positions `list-deep` continues from.
const CURSORS_MAX: usize = 200;

/// `list-indexed`, `list-newest`, `list-deep`.
pub fn run(bench: &mut Bench) -> Result<()> {
    let records = bench.options.records;
    let mut visits = Vec::new();
    for (n, instance) in bench.fleet().iter().enumerate() {
        if instance.has("list-indexed") {
            let authors = (0..document::authors(records)).map(|author| format!("u{author}"));
            // An author has 100 on average; ask for few enough that chance cannot void the run.
            let requests = lists_of(instance, "list-indexed", "author", authors, PAGE_ROWS / 2)?;
            visits.push(Visit::new(n, instance, "list-indexed", requests));
        }
        if instance.has("list-newest") {
            let once = [String::new()];
            let requests = lists_of(instance, "list-newest", "", once, PAGE_ROWS)?;
            visits.push(Visit::new(n, instance, "list-newest", requests));
        }
        if instance.has("list-deep") && bench.wanted("list-deep") {
            let cursors = walk(instance)?;
            let requests = lists_of(instance, "list-deep", "cursor", cursors, PAGE_ROWS)?;
            visits.push(Visit::new(n, instance, "list-deep", requests));
        }
    }
    let connections = bench.options.connections.clone();
    bench.alternate(&connections, &visits);
    Ok(())
}

/// Walks the whole list in large pages; the cursors of its deeper half, but the last.
fn walk(instance: &Instance) -> Result<Vec<String>> {
    let pointer = instance.request("list-walk")?.cursor.clone().context("list-walk: no cursor")?;
    let mut cursors = Vec::new();
    let mut answer = instance.ask("list-walk-first", &[])?.json()?;
    // The last page has no cursor.
    while let Ok(cursor) = text_at(&answer, &pointer) {
        answer = instance.ask("list-walk", &[("cursor", &cursor)])?.json()?;
        cursors.push(cursor);
    }
    cursors.pop();
    let mut deep = cursors.split_off(cursors.len() / 2);
    ensure!(!deep.is_empty(), "the list is too short to have depth");
    deep.truncate(CURSORS_MAX);
    Ok(deep)
}
