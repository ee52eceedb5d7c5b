//! A gigabyte going in and out, and what other writes feel meanwhile.
//!
//! A server that takes less in one piece gets several. Every piece is different, so that nothing is
//! stored once only, and its hash is known before the clock starts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use ring::digest::{Context as Digest, SHA256};

use super::{Bench, creates_of};
use crate::adapter::text_at;
use crate::anchors;
use crate::document::Random;
use crate::http::Client;
use crate::process::Usage;
use crate::target::Instance;

const MIB: u64 = 1 << 20;
/// Memory is sampled this often while a blob moves.
const SAMPLE_EVERY: Duration = Duration::from_millis(10);
/// Connections that insert beside an upload.
const INSERTERS: usize = 16;
/// The insert run beside an upload lasts at least this long.
const BESIDE_LEAST: Duration = Duration::from_secs(5);

/// Numbers pieces, so that no two are equal.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// A piece of content that can be sent without being held: one MiB, repeated, each time with its own
/// first bytes.
struct Piece {
    block: Vec<u8>,
    number: u64,
    bytes: u64,
}

impl Piece {
    fn new(bytes: u64) -> Self {
        let mut random = Random::new(3);
        let block = (0..MIB / 8).flat_map(|_| random.next().to_le_bytes()).collect();
        Self { block, number: NEXT.fetch_add(1, Ordering::Relaxed), bytes }
    }

    fn each(&mut self, mut give: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let (mut left, mut n) = (self.bytes, 0_u64);
        while left > 0 {
            self.block[..8].copy_from_slice(&self.number.to_le_bytes());
            self.block[8..16].copy_from_slice(&n.to_le_bytes());
            let step = left.min(MIB);
            give(&self.block[..step as usize])?;
            left -= step;
            n += 1;
        }
        Ok(())
    }

    fn hash(&mut self) -> Result<String> {
        let mut digest = Digest::new(&SHA256);
        self.each(|bytes| {
            digest.update(bytes);
            Ok(())
        })?;
        Ok(hex(digest.finish().as_ref()))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The sizes that together make `total`, none above what the server takes.
fn sizes(instance: &Instance, total: u64) -> Vec<u64> {
    let max = instance.variable("blob_bytes_max").and_then(|max| max.parse().ok());
    let max = max.unwrap_or(total).clamp(1, total);
    let mut sizes = vec![max; (total / max) as usize];
    if !total.is_multiple_of(max) {
        sizes.push(total % max);
    }
    sizes
}

/// Sends a piece; its id.
fn upload(instance: &Instance, piece: &mut Piece) -> Result<String> {
    let mut client = Client::open(&instance.address)?;
    client.send(&instance.template("upload")?.render_head(piece.bytes))?;
    piece.each(|bytes| client.send(bytes))?;
    let answer = client.answer()?;
    ensure!((200..300).contains(&answer.status), "the upload answered {}", answer.shown());
    let pointer = instance.request("upload")?.id.clone().context("upload: no id")?;
    text_at(&answer.json()?, &pointer)
}

fn download(instance: &Instance, id: &str, bytes: u64, each: impl FnMut(&[u8])) -> Result<()> {
    let mut client = Client::open(&instance.address)?;
    client.send(&instance.template("download")?.render(&[("id", id)]))?;
    let (status, got) = client.drain(each)?;
    ensure!(status == 200 && got == bytes, "the download answered {status} with {got} bytes");
    Ok(())
}

/// Runs `work` and gives the growth of memory meanwhile: all of it, and the anonymous part, in MiB.
fn watched<T>(
    pid: Option<u32>,
    work: impl FnOnce() -> Result<T>,
) -> Result<(T, Option<(f64, f64)>)> {
    let Some(pid) = pid else { return Ok((work()?, None)) };
    let before = Usage::of(pid)?;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let (mut all, mut anonymous) = (0.0_f64, 0.0_f64);
            while !done.load(Ordering::Relaxed) {
                if let Ok(usage) = Usage::of(pid) {
                    all = all.max(usage.rss_kib - before.rss_kib);
                    anonymous = anonymous.max(usage.anonymous_kib - before.anonymous_kib);
                }
                std::thread::sleep(SAMPLE_EVERY);
            }
            (all / 1024.0, anonymous / 1024.0)
        });
        let out = work();
        done.store(true, Ordering::Relaxed);
        let growth = watch.join().map_err(|_| anyhow!("the watching thread panicked"))?;
        Ok((out?, Some(growth)))
    })
}

/// `blob-put` and `blob-get`, in turn with chunk rows written by SQLite alone.
pub fn move_blobs(bench: &mut Bench) -> Result<()> {
    let total = bench.options.blob_bytes;
    let instance = bench.own_cairn()?;
    let name = instance.name.clone();
    let mib = total as f64 / MIB as f64;
    for round in 0..bench.options.rounds {
        let anchor = anchors::chunk_rows(&bench.options.dir, total)?;
        bench.results.add("machine", "chunk-rows", None, "mib_s", anchor);
        let mut pieces: Vec<Piece> = sizes(&instance, total).into_iter().map(Piece::new).collect();
        let hashes = pieces.iter_mut().map(Piece::hash).collect::<Result<Vec<_>>>()?;
        let cpu = instance.pid.map(Usage::of).transpose()?;
        let start = Instant::now();
        let (ids, growth) = watched(instance.pid, || {
            pieces.iter_mut().map(|piece| upload(&instance, piece)).collect::<Result<Vec<_>>>()
        })?;
        let rate = mib / start.elapsed().as_secs_f64();
        ensure!(ids == hashes, "an uploaded blob has another hash");
        bench.results.add(&name, "blob-put", None, "mib_s", rate);
        if let Some((all, anonymous)) = growth {
            bench.results.add(&name, "blob-put", None, "growth_mib", all);
            bench.results.add(&name, "blob-put", None, "anonymous_growth_mib", anonymous);
        }
        if let (Some(before), Some(pid)) = (cpu, instance.pid) {
            let cpu = Usage::of(pid)?.cpu_us - before.cpu_us;
            bench.results.add(&name, "blob-put", None, "cpu_us_per_mib", cpu / mib);
        }
        let start = Instant::now();
        let (_, growth) = watched(instance.pid, || {
            ids.iter()
                .zip(&pieces)
                .try_for_each(|(id, piece)| download(&instance, id, piece.bytes, |_| ()))
        })?;
        let rate = mib / start.elapsed().as_secs_f64();
        bench.results.add(&name, "blob-get", None, "mib_s", rate);
        if let Some((all, anonymous)) = growth {
            bench.results.add(&name, "blob-get", None, "growth_mib", all);
            bench.results.add(&name, "blob-get", None, "anonymous_growth_mib", anonymous);
        }
        if round == 0 {
            // Not timed: what comes out is what went in.
            let mut digest = Digest::new(&SHA256);
            download(&instance, &ids[0], pieces[0].bytes, |bytes| digest.update(bytes))?;
            ensure!(hex(digest.finish().as_ref()) == hashes[0], "a download differs");
        }
    }
    Ok(())
}

/// `blob-beside-insert`: creations of records while one upload follows another.
pub fn beside_insert(bench: &mut Bench) -> Result<()> {
    let total = bench.options.blob_bytes;
    let instance = bench.own_cairn()?;
    let name = instance.name.clone();
    let requests = Arc::new(creates_of(&instance, "create")?);
    let measure = bench.options.measure.max(BESIDE_LEAST);
    for _ in 0..bench.options.rounds {
        let alone = bench.load(&instance, &requests, INSERTERS, None)?;
        let done = AtomicBool::new(false);
        let (beside, sent) = std::thread::scope(|scope| {
            let uploads = scope.spawn(|| -> Result<u64> {
                let mut sent = 0;
                while !done.load(Ordering::Relaxed) {
                    for bytes in sizes(&instance, total) {
                        if !done.load(Ordering::Relaxed) {
                            upload(&instance, &mut Piece::new(bytes))?;
                            sent += bytes;
                        }
                    }
                }
                Ok(sent)
            });
            let beside = bench.load(&instance, &requests, INSERTERS, Some(measure));
            done.store(true, Ordering::Relaxed);
            (beside, uploads.join().map_err(|_| anyhow!("the uploading thread panicked")))
        });
        let (beside, sent) = (beside?, sent??);
        ensure!(sent > 0, "nothing was uploaded meanwhile");
        bench.results.add_run(&name, "insert-alone", INSERTERS, &alone);
        bench.results.add_run(&name, "blob-beside-insert", INSERTERS, &beside);
    }
    Ok(())
}
