//! A small fixed set of threads for queries that may take long, each under one deadline.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::Shared;
use super::error::{Result, StoreError};
use super::view::{View, on_snapshot};
use crate::util::process::step_back;

/// Queries that may wait for a thread; past that the answer is `Busy`.
pub const QUERY_QUEUE_MAX: usize = 64;
/// Virtual-machine steps between two looks at the clock: about 10 µs.
const STEPS_PER_CHECK: i32 = 2_000;

type Job = Box<dyn FnOnce(&Connection, &Shared) + Send>;

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

struct Line {
    queue: Mutex<Queue>,
    ready: Condvar,
}

pub(crate) struct QueryThreads {
    line: Arc<Line>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl std::fmt::Debug for QueryThreads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("QueryThreads")
    }
}

impl QueryThreads {
    pub(crate) fn start(shared: Arc<Shared>, count: usize, deadline: Duration) -> Result<Self> {
        let line = Arc::new(Line { queue: Mutex::new(Queue::default()), ready: Condvar::new() });
        let mut threads = Vec::with_capacity(count);
        for n in 0..count {
            let (line, shared) = (Arc::clone(&line), Arc::clone(&shared));
            threads.push(std::thread::Builder::new().name(format!("query-{n}")).spawn(
                move || {
                    step_back();
                    work(&line, &shared, deadline);
                },
            )?);
        }
        Ok(Self { line, threads: Mutex::new(threads) })
    }

    pub(crate) async fn run<T, E>(
        &self,
        work: impl FnOnce(&View<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (answer, waiting) = oneshot::channel();
        let job: Job = Box::new(move |connection, shared| {
            if answer.is_closed() {
                return; // The caller went away while the job was waiting.
            }
            let _ = answer.send(on_snapshot(connection, shared, work));
        });
        {
            let mut queue = self.line.queue.lock().expect("no holder of this lock panics");
            if queue.closed {
                return Err(StoreError::Closed.into());
            }
            if queue.jobs.len() >= QUERY_QUEUE_MAX {
                return Err(StoreError::Busy.into());
            }
            queue.jobs.push_back(job);
        }
        self.line.ready.notify_one();
        waiting.await.unwrap_or_else(|_| Err(StoreError::Closed.into()))
    }

    pub(crate) fn stop(&self) {
        {
            let mut queue = self.line.queue.lock().expect("no holder of this lock panics");
            queue.closed = true;
            queue.jobs.clear();
        }
        self.line.ready.notify_all();
        for thread in self.threads.lock().expect("no holder of this lock panics").drain(..) {
            let _ = thread.join();
        }
    }
}

/// Interrupts whatever runs on the connection after `deadline` from now.
pub(crate) fn set_deadline(connection: &mut Connection, deadline: Duration) -> Result<()> {
    let until = Instant::now() + deadline;
    connection.progress_handler(STEPS_PER_CHECK, Some(move || Instant::now() >= until))?;
    Ok(())
}

pub(crate) fn lift_deadline(connection: &mut Connection) -> Result<()> {
    connection.progress_handler(0, None::<fn() -> bool>)?;
    Ok(())
}

fn work(line: &Line, shared: &Shared, deadline: Duration) {
    loop {
        let job = {
            let mut queue = line.queue.lock().expect("no holder of this lock panics");
            loop {
                if queue.closed {
                    return;
                }
                if let Some(job) = queue.jobs.pop_front() {
                    break job;
                }
                queue = line.ready.wait(queue).expect("no holder of this lock panics");
            }
        };
        let Ok(mut connection) = shared.take_reader() else { continue };
        let _ = set_deadline(&mut connection, deadline);
        // A panic ends this query only: its answer channel is dropped, which the caller sees as `Closed`.
        let outcome =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(&connection, shared)));
        let _ = lift_deadline(&mut connection);
        if outcome.is_ok() {
            shared.give_back(connection);
        } else {
            shared.halt.close(connection);
        }
    }
}
