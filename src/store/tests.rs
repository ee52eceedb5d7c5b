//! The store under pressure: full queues, deadlines, threads that are held. No clock, no sleep: channels say when.

use std::sync::mpsc;

use super::*;

struct Stand {
    store: Store,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

fn stand(options: &Options) -> Stand {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("a.cairn"), options).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    Stand { store, runtime, _folder: folder }
}

/// Something that a thread runs until it is let go, and the news that it runs.
fn held() -> (impl FnOnce() + Send, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (runs, running) = mpsc::channel();
    let (go, going) = mpsc::channel::<()>();
    let hold = move || {
        runs.send(()).unwrap();
        // Ends when the sender is dropped.
        let _ = going.recv();
    };
    (hold, running, go)
}

/// S57, T4: a writer that is held fills its queue; the next unit is refused at once, reading goes on, and when the writer goes
/// on everybody who waited is answered.
#[test]
fn a_full_queue_of_writes_refuses_and_recovers() {
    let s = stand(&Options::default());
    let (hold, running, go) = held();
    let submit = |work: Box<dyn FnOnce() + Send>| {
        s.store.inner.writer.submit(false, None, move |_| {
            work();
            Ok::<_, StoreError>(())
        })
    };
    let mut waiting = vec![submit(Box::new(hold)).unwrap()];
    running.recv().unwrap();
    for _ in 0..QUEUE_UNITS_MAX {
        waiting.push(submit(Box::new(|| {})).unwrap());
    }
    assert!(matches!(submit(Box::new(|| {})), Err(StoreError::Busy)));
    assert!(matches!(submit(Box::new(|| {})), Err(StoreError::Busy)));
    s.store.read(|view| view.counts()).unwrap();
    drop(go);
    for answer in waiting {
        answer.blocking_recv().unwrap().unwrap();
    }
    submit(Box::new(|| {})).unwrap().blocking_recv().unwrap().unwrap();
}

/// S57: query threads that are busy fill their queue; the next query is refused at once, reads by id and writes go on.
#[test]
fn a_full_queue_of_queries_refuses_and_recovers() {
    let s = stand(&Options { query_threads: 1, ..Options::default() });
    let (hold, running, go) = held();
    let (store, busy) = (&s.store, QUERY_QUEUE_MAX);
    s.runtime.block_on(async {
        let mut queries = tokio::task::JoinSet::new();
        let first = store.clone();
        queries.spawn(async move {
            first
                .query(move |_| {
                    hold();
                    Ok::<_, StoreError>(())
                })
                .await
        });
        tokio::task::yield_now().await;
        running.recv().unwrap();
        let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        for _ in 0..busy {
            let store = store.clone();
            let asked = Arc::clone(&asked);
            queries.spawn(async move {
                // The query is in line when this task waits for the first time.
                asked.fetch_add(1, Ordering::Relaxed);
                store.query(|_| Ok::<_, StoreError>(())).await
            });
        }
        while asked.load(Ordering::Relaxed) < busy {
            tokio::task::yield_now().await;
        }
        let refused = store.query(|_| Ok::<_, StoreError>(())).await;
        assert!(matches!(refused, Err(StoreError::Busy)), "{refused:?}");
        store.read(|view| view.counts()).unwrap();
        store.write(|unit| unit.set_meta_text("a", "b")).await.unwrap();
        drop(go);
        while let Some(answer) = queries.join_next().await {
            answer.unwrap().unwrap();
        }
        store.query(|_| Ok::<_, StoreError>(())).await.unwrap();
    });
}

/// S57: a query that would never end is ended by its deadline, and its thread and connection serve the next one.
#[test]
fn an_endless_query_meets_its_deadline() {
    let deadline = Duration::from_millis(20);
    let s = stand(&Options { query_threads: 1, query_deadline: deadline, ..Options::default() });
    for _ in 0..2 {
        let ended = s.runtime.block_on(s.store.query(|view| {
            let count = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
            Ok::<i64, StoreError>(view.prepare(count)?.query_row([], |row| row.get(0))?)
        }));
        assert!(matches!(ended, Err(StoreError::Deadline)), "{ended:?}");
        s.runtime.block_on(s.store.query(|view| view.last_rid())).unwrap();
    }
}

/// S23: a panic in a unit is its own; a panic of one who follows commits ends the writer, which is told and refuses from then on.
#[test]
fn no_silently_dead_writer() {
    let s = stand(&Options::default());
    let ended =
        s.store.write_blocking(|_| -> Result<()> { panic!("a unit that panics, on purpose") });
    assert!(matches!(ended, Err(StoreError::Closed)), "{ended:?}");
    s.store.write_blocking(|unit| unit.set_meta_text("a", "b")).unwrap();
    s.store
        .write_blocking(|unit| {
            unit.after_commit(|| panic!("what follows a commit panics, on purpose"));
            unit.set_meta_text("a", "c")
        })
        .unwrap_err();
    s.runtime.block_on(s.store.unsafe_to_go_on());
    let refused = s.store.write_blocking(|unit| unit.set_meta_text("a", "d"));
    assert!(matches!(refused, Err(StoreError::Unflushed)), "{refused:?}");
    assert_eq!(s.store.read(|view| view.meta_text("a")).unwrap().as_deref(), Some("c"));
}

/// S67: SQLite's own "full" (here by a bound on pages): the unit is taken back whole, reading goes on, and so does writing.
#[test]
fn a_full_file_refuses_whole_units() {
    let s = stand(&Options::default());
    let set = |sql: &'static str| {
        s.store.write_blocking(move |unit| {
            Ok::<i64, StoreError>(unit.prepare(sql)?.query_row([], |row| row.get(0))?)
        })
    };
    set("PRAGMA max_page_count = 1").unwrap();
    let long = "x".repeat(1 << 20);
    let text = long.clone();
    let refused = s.store.write_blocking(move |unit| {
        unit.set_meta_text("first", "1")?;
        unit.set_meta_text("long", &text)
    });
    assert!(matches!(refused, Err(StoreError::Full)), "{refused:?}");
    let there = |key: &'static str| s.store.read(|view| view.meta_text(key)).unwrap();
    assert_eq!((there("first"), there("long")), (None, None));
    set("PRAGMA max_page_count = 1000000").unwrap();
    s.store.write_blocking(move |unit| unit.set_meta_text("long", &long)).unwrap();
    assert!(there("long").is_some());
}

/// What a unit may have to take back outgrows memory: it goes on in a temporary file. SQLite writes what it kept in memory in
/// one piece there, of which the system's call takes the low 17 bits of its length: with 4 MiB kept, that was nothing, and the
/// unit was told that the disk is full.
#[test]
fn a_unit_that_changes_many_pages_is_not_refused() {
    let s = stand(&Options::default());
    let size = 256 * 1024;
    s.store
        .write_blocking(move |unit| {
            for number in 0..40 {
                let bytes = vec![u8::try_from(number).unwrap_or(0); size];
                unit.put_blob(&format!("{number}"), &bytes)?;
            }
            Ok::<_, StoreError>(())
        })
        .unwrap();
    s.store
        .write_blocking(move |unit| {
            unit.overwriting(|unit| {
                unit.connection
                    .execute("UPDATE blob_chunk SET bytes = zeroblob(length(bytes))", [])?;
                Ok::<_, StoreError>(())
            })
        })
        .unwrap();
}
