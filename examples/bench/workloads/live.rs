//! The live face over HTTP: signing in beside other requests, and nested queries over many rows.

use std::sync::Arc;

use anyhow::{Result, anyhow, ensure};
use serde_json::json;

use super::fanout::{api_request, mutate_request, sign_up};
use super::{Bench, reads_of};
use crate::load::{self, Expect, Order, Plan, Requests};
use crate::target::Instance;

pub const PASSWORD: &str = "quartz-lantern-7-orchard";
/// Accounts that sign in, and connections that do so at once.
const ACCOUNTS: usize = 16;
const SIGN_IN_CONNECTIONS: usize = 8;
/// Connections that read records meanwhile.
const READERS: usize = 16;
/// Records they read.
const RECORDS: u64 = 5_000;
/// Rows behind nested queries, and who they belong to.
const POSTS: usize = 100_000;
const AUTHORS: usize = 1_000;
/// Operations in one transaction while they are made.
const FILL_OPS: usize = 500;
const FILL_CONNECTIONS: usize = 4;
/// Rows a nested query asks for.
const PAGE: usize = 20;
/// Different queries of each kind.
const QUERIES: usize = 200;

/// `sign-in`, `read-beside-sign-in`.
pub fn sign_in(bench: &mut Bench) -> Result<()> {
    let mut instance = bench.own_cairn()?;
    instance.fill("create", RECORDS, 1000)?;
    let reads = Arc::new(reads_of(&instance, "read", instance.ids("create")?)?);
    let mut requests = Requests::new(Order::InTurn, Expect::NewId("/accessToken".to_owned()));
    for n in 0..ACCOUNTS {
        let name = format!("user{n}");
        let token = sign_up(&instance.address, &name)?;
        let body = json!({ "email": format!("{name}@example.org"), "password": PASSWORD });
        requests.push(&api_request(&instance, &token, "/api/auth/signin", &body));
    }
    let requests = Arc::new(requests);
    for _ in 0..bench.options.rounds {
        let alone = bench.load(&instance, &reads, READERS, None)?;
        bench.results.add_run(crate::CAIRN, "read-before-sign-in", READERS, &alone);
        let (signed, beside) = std::thread::scope(|scope| {
            let reads = scope.spawn(|| bench.load(&instance, &reads, READERS, None));
            let signed = bench.load(&instance, &requests, SIGN_IN_CONNECTIONS, None);
            (signed, reads.join().map_err(|_| anyhow!("the reading thread panicked")))
        });
        bench.results.add_run(crate::CAIRN, "sign-in", SIGN_IN_CONNECTIONS, &signed?);
        bench.results.add_run(crate::CAIRN, "read-beside-sign-in", READERS, &beside??);
    }
    Ok(())
}

/// `nested-query`: authors with their posts, posts with their author, over 100,000 posts.
pub fn nested(bench: &mut Bench) -> Result<()> {
    let instance = bench.own_cairn()?;
    let token = sign_up(&instance.address, "nested")?;
    let posts = (POSTS as u64).min(bench.options.records) as usize;
    fill(&instance, &token, posts)?;
    // A page of authors, each with the newest of a hundred posts: two queries inside, whatever the page.
    let down = |n: usize| {
        let posts = json!({ "$order": { "n": "desc" }, "$limit": 5 });
        let skip = n * PAGE % AUTHORS;
        json!({ "authors": { "$order": { "name": "asc" }, "$limit": PAGE, "$offset": skip, "posts": posts } })
    };
    // A page of one author's posts, each with the author.
    let up = |n: usize| {
        let author = format!("a{}", n * 37 % AUTHORS);
        json!({ "posts": { "$where": { "authorId": author }, "$limit": PAGE, "author": {} } })
    };
    /// A name, what is measured, and the query of a round.
    type Measured<'a> = (&'a str, &'a str, &'a dyn Fn(usize) -> serde_json::Value);
    let queries: [Measured<'_>; 2] =
        [("nested-down", "/authors", &down), ("nested-up", "/posts", &up)];
    for (name, rows, query) in queries {
        let mut requests = Requests::new(Order::Random, Expect::Rows(rows.to_owned(), PAGE));
        for n in 0..QUERIES {
            requests.push(&api_request(&instance, &token, "/api/query", &query(n)));
        }
        let requests = Arc::new(requests);
        for connections in [1, 4] {
            for _ in 0..bench.options.rounds {
                let run = bench.load(&instance, &requests, connections, None)?;
                bench.results.add_run(crate::CAIRN, name, connections, &run);
            }
        }
    }
    Ok(())
}

fn fill(instance: &Instance, token: &str, posts: usize) -> Result<()> {
    let authors: Vec<_> = (0..AUTHORS)
        .map(|n| {
            let data = json!({ "name": format!("Author {n:04}"), "town": format!("t{}", n % 50) });
            json!({ "op": "insert", "entity": "authors", "id": format!("a{n}"), "data": data })
        })
        .collect();
    let posts: Vec<_> = (0..posts)
        .map(|n| {
            let (author, title) = (format!("a{}", n % AUTHORS), format!("Post {n}"));
            let data = json!({ "title": title, "authorId": author, "n": n, "open": n % 3 == 0 });
            json!({ "op": "insert", "entity": "posts", "id": format!("p{n}"), "data": data })
        })
        .collect();
    for rows in [authors, posts] {
        let mut requests = Requests::new(Order::InTurn, Expect::Nothing);
        for ops in rows.chunks(FILL_OPS) {
            requests.push(&mutate_request(instance, token, ops));
        }
        let total = requests.len();
        let outcome = load::run(Plan {
            address: instance.address.clone(),
            requests: Arc::new(requests),
            connections: FILL_CONNECTIONS,
            threads: 1,
            warm_up: std::time::Duration::ZERO,
            measure: std::time::Duration::ZERO,
            requests_max: total,
            pid: None,
        })?;
        ensure!(outcome.count == total as u64, "{} of {total} batches were made", outcome.count);
    }
    Ok(())
}
