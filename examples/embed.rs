//! A desktop-style program: its data lives in one file beside it, it reads and writes through the engine in process, and
//! serves the same file to its window (or to other programs) while it runs.
//!
//!     cargo run --example embed
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::net::TcpListener;

use cairn::Cairn;
use cairn::engine::{NewRecord, NewTypeInput, Query};
use serde_json::{Map, Value, json};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let cairn = Cairn::open(folder.path().join("notes.cairn"))?;
    let (engine, owner) = (cairn.engine(), cairn.engine().owner_caller());

    // A program has a runtime of its own; the engine needs no particular one.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let note = NewTypeInput {
            id: "com.example/note@1".into(),
            name: "Note".into(),
            schema: object(json!({ "text": { "kind": "text", "required": true } })),
            schema_hash: None,
            migrates_from: None,
            search: None,
        };
        engine.register_type(&owner, note).await?;
        let new = NewRecord {
            type_id: "com.example/note@1".into(),
            content: object(json!({ "text": "Buy oat milk" })),
            ..NewRecord::default()
        };
        let made = engine.create(&owner, new).await?;
        engine.update(&owner, &made.id, object(json!({ "text": "Buy milk" })), None).await?;
        let undone = engine.restore(&owner, &made.id, 1, None).await?;
        println!("version {} says: {}", undone.version, undone.content);

        let found = Query { search: Some("milk".into()), ..Query::default() };
        println!("found {}", engine.query(&owner, found).await?.records.len());
        Ok::<_, cairn::engine::Error>(())
    })?;

    // The same file over HTTP, on a free port of this machine.
    let serving = cairn.serve(TcpListener::bind("127.0.0.1:0")?)?;
    println!("serving at {}", serving.url());
    // … the window runs here …
    serving.stop();
    cairn.close();
    Ok(())
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
