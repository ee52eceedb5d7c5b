//! The anchor servers: bare hyper that says hello, and the reference, which also stores records.
//!
//! The reference is the practical ceiling of a server like Cairn: the same three rows per insert and
//! one writer with group commit, but no routing, no validation, no access. One `current_thread`
//! runtime per core; an acceptor hands connections out evenly; reads run inline; a batch is
//! acknowledged with one message per runtime.
//!
//! Environment: `PORT`, and for the reference `DB` (a fresh file) and `SYNC` (NORMAL or FULL).

use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Context as TaskContext, Poll};

use anyhow::{Context, Result, anyhow};
use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::{BATCH_MAX, create, execute, insert, new_id};
use crate::document::Random;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Hello,
    Reference,
}

struct Job {
    id: String,
    content: Bytes,
    done: oneshot::Sender<()>,
    runtime: usize,
}

const LIST: &str = "
    SELECT id, ver, updated, content
      FROM records
     WHERE json_extract(content, '$.author') = ?1
     ORDER BY rid DESC
     LIMIT 50";

type Acknowledged = Vec<oneshot::Sender<()>>;

/// Serves until killed.
pub fn serve(role: Role) -> Result<()> {
    let port: u16 = variable("PORT")?.parse().context("PORT")?;
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    let cores = std::thread::available_parallelism()?.get();
    let store = match role {
        Role::Hello => None,
        Role::Reference => {
            let path = PathBuf::from(variable("DB")?);
            let sync = if variable("SYNC")? == "FULL" { "FULL" } else { "NORMAL" };
            Some((path.clone(), create(&path, sync)?))
        }
    };
    let (jobs, queue) = mpsc::channel();
    let (mut streams, mut acknowledge) = (Vec::new(), Vec::new());
    for number in 0..cores {
        let (stream, accepted) = unbounded_channel();
        let (done, acknowledged) = unbounded_channel();
        streams.push(stream);
        acknowledge.push(done);
        let jobs = jobs.clone();
        let path = store.as_ref().map(|(path, _)| path.clone());
        std::thread::spawn(move || run(number, accepted, acknowledged, jobs, path));
    }
    if let Some((_, connection)) = store {
        std::thread::spawn(move || {
            // Without its writer the reference is no reference.
            if let Err(error) = write(&connection, &queue, &acknowledge) {
                eprintln!("reference: {error:#}");
                std::process::exit(1);
            }
        });
    }
    for (n, stream) in listener.incoming().enumerate() {
        let stream = stream?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        streams[n % cores].send(stream).map_err(|_| anyhow!("a runtime has ended"))?;
    }
    Ok(())
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("environment variable {name}"))
}

/// One runtime: its connections, its acknowledgements, its read connection.
fn run(
    number: usize,
    mut accepted: UnboundedReceiver<std::net::TcpStream>,
    mut acknowledged: UnboundedReceiver<Acknowledged>,
    jobs: mpsc::Sender<Job>,
    path: Option<PathBuf>,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tasks = tokio::task::LocalSet::new();
    let reader = path
        .map(|path| -> Result<Connection> {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(path, flags)?;
            connection
                .execute_batch("PRAGMA mmap_size = 1073741824; PRAGMA cache_size = -8192;")?;
            Ok(connection)
        })
        .transpose()?;
    let worker = Rc::new(Worker {
        number,
        jobs,
        reader,
        random: RefCell::new(Random::new(number as u64 + 1)),
    });
    tasks.spawn_local(async move {
        while let Some(batch) = acknowledged.recv().await {
            for done in batch {
                let _ = done.send(());
            }
        }
    });
    tasks.block_on(&runtime, async move {
        while let Some(stream) = accepted.recv().await {
            let worker = Rc::clone(&worker);
            tokio::task::spawn_local(async move {
                let stream = tokio::net::TcpStream::from_std(stream)?;
                let service = service_fn(|request| {
                    let worker = Rc::clone(&worker);
                    async move { Ok::<_, Infallible>(worker.answer(request).await) }
                });
                // A client that leaves is no event.
                let _ = hyper::server::conn::http1::Builder::new()
                    .pipeline_flush(true)
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
                Ok::<_, std::io::Error>(())
            });
        }
    });
    Ok(())
}

/// The writer: takes what waits, commits once, acknowledges once per runtime.
fn write(
    connection: &Connection,
    queue: &mpsc::Receiver<Job>,
    acknowledge: &[UnboundedSender<Acknowledged>],
) -> Result<()> {
    while let Ok(first) = queue.recv() {
        let mut done: Vec<Acknowledged> = acknowledge.iter().map(|_| Vec::new()).collect();
        execute(connection, "BEGIN IMMEDIATE")?;
        let (mut next, mut count) = (Some(first), 0);
        while let Some(job) = next.take() {
            insert(connection, &job.id, std::str::from_utf8(&job.content)?)?;
            done[job.runtime].push(job.done);
            count += 1;
            if count < BATCH_MAX {
                next = queue.try_recv().ok();
            }
        }
        execute(connection, "COMMIT")?;
        for (runtime, batch) in acknowledge.iter().zip(done) {
            if !batch.is_empty() {
                let _ = runtime.send(batch);
            }
        }
    }
    Ok(())
}

struct Worker {
    number: usize,
    jobs: mpsc::Sender<Job>,
    reader: Option<Connection>,
    random: RefCell<Random>,
}

impl Worker {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full> {
        let path = request.uri().path();
        match (request.method(), path) {
            (&Method::GET, "/hello") => Response::new(Full::from("hello world".to_owned())),
            (&Method::POST, "/r") => {
                self.store(request).await.unwrap_or_else(|| status(StatusCode::BAD_REQUEST))
            }
            (&Method::GET, "/q") => {
                let author = request.uri().query().and_then(|query| query.strip_prefix("author="));
                author
                    .and_then(|author| self.list(author))
                    .map_or_else(|| status(StatusCode::BAD_REQUEST), json)
            }
            (&Method::GET, path) => match path.strip_prefix("/r/").and_then(|id| self.read(id)) {
                Some(text) => json(text),
                None => status(StatusCode::NOT_FOUND),
            },
            _ => status(StatusCode::NOT_FOUND),
        }
    }

    async fn store(&self, request: Request<Incoming>) -> Option<Response<Full>> {
        let content = collect(request.into_body()).await?;
        serde_json::from_slice::<&serde_json::value::RawValue>(&content).ok()?;
        let id = new_id(&mut self.random.borrow_mut());
        let reply = format!(r#"{{"id":"{id}","version":1}}"#);
        let (done, committed) = oneshot::channel();
        self.jobs.send(Job { id, content, done, runtime: self.number }).ok()?;
        committed.await.ok()?;
        Some(json(reply))
    }

    /// The newest 50 of an author; the index over authors is made after the data is there.
    fn list(&self, author: &str) -> Option<String> {
        let mut statement = self.reader.as_ref()?.prepare_cached(LIST).ok()?;
        let mut rows = statement.query([author]).ok()?;
        let mut text = String::with_capacity(20_000);
        text.push_str(r#"{"items":["#);
        while let Some(row) = rows.next().ok()? {
            if !text.ends_with('[') {
                text.push(',');
            }
            let (id, content) =
                (row.get_ref(0).ok()?.as_str().ok()?, row.get_ref(3).ok()?.as_str().ok()?);
            let (version, updated): (i64, i64) = (row.get(1).ok()?, row.get(2).ok()?);
            let _ = write!(
                text,
                r#"{{"id":"{id}","version":{version},"updated":{updated},"content":{content}}}"#
            );
        }
        text.push_str("]}");
        Some(text)
    }

    fn read(&self, id: &str) -> Option<String> {
        let found = self
            .reader
            .as_ref()?
            .prepare_cached("SELECT content, ver, updated FROM records WHERE id = ?1")
            .and_then(|mut statement| {
                statement
                    .query_row([id], |row| {
                        let (version, updated): (i64, i64) = (row.get(1)?, row.get(2)?);
                        let content = row.get_ref(0)?.as_str()?;
                        Ok(format!(
                            r#"{{"id":"{id}","version":{version},"updated":{updated},"content":{content}}}"#
                        ))
                    })
                    .optional()
            });
        found.ok().flatten()
    }
}

async fn collect(mut body: Incoming) -> Option<Bytes> {
    let mut all = BytesMut::new();
    loop {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        let Some(frame) = frame else { return Some(all.freeze()) };
        let data = frame.ok()?.into_data().ok()?;
        if all.is_empty() && body.is_end_stream() {
            return Some(data);
        }
        all.extend_from_slice(&data);
    }
}

fn json(text: String) -> Response<Full> {
    let mut response = Response::new(Full::from(text));
    let kind = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    response
}

fn status(status: StatusCode) -> Response<Full> {
    let mut response = Response::new(Full(None));
    *response.status_mut() = status;
    response
}

/// A body that is there at once.
struct Full(Option<Bytes>);

impl From<String> for Full {
    fn from(text: String) -> Self {
        Self(Some(Bytes::from(text)))
    }
}

impl Body for Full {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |data| data.len() as u64))
    }
}
