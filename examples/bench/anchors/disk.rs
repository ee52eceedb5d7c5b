//! Anchors inside this process: the disk, and SQLite without a server around it.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use tokio::sync::oneshot;

use super::{BATCH_MAX, create, execute, insert, new_id};
use crate::document::{self, Random};
use crate::histogram::Histogram;

const SYNCS: u64 = 1000;
/// Pieces of a blob, as Cairn stores them.
const CHUNK_BYTES: usize = 256 * 1024;
/// One transaction per so many chunks.
const CHUNKS_PER_COMMIT: u64 = 32;

/// Median time of writing 4 KiB and `fdatasync`, in microseconds.
pub fn fdatasync_us(dir: &Path) -> Result<f64> {
    let path = dir.join("fdatasync");
    let mut file = File::create(&path)?;
    let mut times = Histogram::default();
    for n in 0..SYNCS {
        file.seek(SeekFrom::Start(n % 512 * 4096))?;
        let start = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        times.add(start.elapsed().as_nanos() as u64);
    }
    std::fs::remove_file(path)?;
    Ok(times.quantile_us(0.5))
}

struct Job {
    id: String,
    content: String,
    done: oneshot::Sender<()>,
}

/// Inserts a second with one writer thread and `submitters` that wait for their commit.
pub fn group_commit(
    dir: &Path,
    synchronous: &str,
    submitters: u64,
    measure: Duration,
) -> Result<f64> {
    let dir = tempfile::tempdir_in(dir)?;
    let connection = create(&dir.path().join("group.db"), synchronous)?;
    let (jobs, queue) = mpsc::sync_channel::<Job>(4096);
    let writer = std::thread::spawn(move || -> Result<()> {
        let mut done = Vec::with_capacity(BATCH_MAX);
        while let Ok(first) = queue.recv() {
            execute(&connection, "BEGIN IMMEDIATE")?;
            let mut next = Some(first);
            while let Some(job) = next.take() {
                insert(&connection, &job.id, &job.content)?;
                done.push(job.done);
                if done.len() < BATCH_MAX {
                    next = queue.try_recv().ok();
                }
            }
            execute(&connection, "COMMIT")?;
            for done in done.drain(..) {
                let _ = done.send(());
            }
        }
        Ok(())
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let tasks = tokio::task::LocalSet::new();
    let count = Rc::new(std::cell::Cell::new(0_u64));
    let end = Instant::now() + measure;
    for seed in 0..submitters {
        let (jobs, count) = (jobs.clone(), Rc::clone(&count));
        tasks.spawn_local(async move {
            let mut random = Random::new(seed + 1);
            while Instant::now() < end {
                let content = document::document(&mut random, count.get(), 1000);
                let (done, committed) = oneshot::channel();
                let job = Job { id: new_id(&mut random), content, done };
                if jobs.send(job).is_err() || committed.await.is_err() {
                    return;
                }
                count.set(count.get() + 1);
            }
        });
    }
    runtime.block_on(tasks);
    drop(jobs);
    writer.join().map_err(|_| anyhow!("the writer panicked"))??;
    Ok(count.get() as f64 / measure.as_secs_f64())
}

/// MiB a second written as rows of 256 KiB, checkpoint included.
pub fn chunk_rows(dir: &Path, bytes: u64) -> Result<f64> {
    let dir = tempfile::tempdir_in(dir)?;
    let connection = rusqlite::Connection::open(dir.path().join("chunks.db"))?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -8192;
         CREATE TABLE chunk (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);",
    )?;
    let mut random = Random::new(3);
    let chunk: Vec<u8> = (0..CHUNK_BYTES / 8).flat_map(|_| random.next().to_le_bytes()).collect();
    let start = Instant::now();
    let chunks = bytes / CHUNK_BYTES as u64;
    for n in 0..chunks {
        if n % CHUNKS_PER_COMMIT == 0 {
            execute(&connection, "BEGIN IMMEDIATE")?;
        }
        connection.prepare_cached("INSERT INTO chunk (bytes) VALUES (?1)")?.execute([&chunk])?;
        if n % CHUNKS_PER_COMMIT == CHUNKS_PER_COMMIT - 1 || n + 1 == chunks {
            execute(&connection, "COMMIT")?;
        }
    }
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(bytes as f64 / f64::from(1 << 20) / start.elapsed().as_secs_f64())
}
