//! Hashing passwords away from the runtime, a bounded number at a time.
//!
//! One hash keeps a core busy for tens of milliseconds and takes 19 MiB. [`HASHES_AT_ONCE`] own
//! threads take jobs from a line of [`HASHES_WAITING_MAX`]; past that the answer is
//! [`PoolError::Busy`], so that a burst of sign-ins cannot exhaust a small machine (SECURITY S31).
//!
//! Knows hashes and their cost. Does not know accounts, names or lockouts.
//!
//! Invariants
//! H1. At most [`HASHES_AT_ONCE`] hashes run and [`HASHES_WAITING_MAX`] wait.
//! H2. A verification without a hash costs what one with a hash costs, and never matches.
//! H3. [`PasswordPool::close`] lets every accepted job finish, then the threads have ended.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::crypto::password::{
    Cost, OutOfMemory, hash_password, needs_rehash, verify_dummy, verify_password,
};
use crate::util::process::step_back;
use crate::util::rng::Rng;

/// Hashes that run at the same time.
pub const HASHES_AT_ONCE: usize = 2;
/// Hashes that may wait for their turn.
pub const HASHES_WAITING_MAX: usize = 32;

/// Why a password was not looked at. Says nothing about the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// Too many are waiting, or the memory was not to be had: try again later.
    #[error("too many passwords are being checked")]
    Busy,
    /// The process is ending.
    #[error("closing")]
    Closed,
}

/// What a verification found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Wrong,
    Right {
        /// The hash is weaker than the cost in use: hash the password again and store that.
        stale: bool,
    },
}

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Line {
    jobs: VecDeque<Job>,
    closed: bool,
}

struct Shared {
    line: Mutex<Line>,
    changed: Condvar,
}

impl Shared {
    /// Jobs run outside the lock, so a poisoned line is as good as any.
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The threads and their line. Dropping it closes it.
pub struct PasswordPool {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    cost: Cost,
    rng: Rng,
}

impl std::fmt::Debug for PasswordPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordPool")
    }
}

impl PasswordPool {
    /// Starts the threads. New hashes get `cost`.
    ///
    /// # Errors
    /// The operating system gave no thread.
    pub fn start(cost: Cost, rng: Rng) -> io::Result<Self> {
        let shared =
            Arc::new(Shared { line: Mutex::new(Line::default()), changed: Condvar::new() });
        let pool = Self { shared, threads: Mutex::new(Vec::new()), cost, rng };
        for n in 0..HASHES_AT_ONCE {
            let shared = Arc::clone(&pool.shared);
            let thread =
                std::thread::Builder::new().name(format!("password-{n}")).spawn(move || {
                    step_back();
                    work(&shared);
                })?;
            pool.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        }
        Ok(pool)
    }

    /// The PHC string of a new password.
    ///
    /// # Errors
    /// [`PoolError`].
    pub async fn hash(&self, password: String) -> Result<String, PoolError> {
        let (cost, rng) = (self.cost, self.rng.clone());
        self.run(move || hash_password(&password, cost, &rng)).await
    }

    /// Whether `password` belongs to `hash`; `None` stands for a name that has none (H2).
    ///
    /// # Errors
    /// [`PoolError`].
    pub async fn verify(
        &self,
        password: String,
        hash: Option<String>,
    ) -> Result<Verdict, PoolError> {
        let cost = self.cost;
        self.run(move || match hash {
            None => verify_dummy(&password, cost).map(|()| Verdict::Wrong),
            Some(hash) => verify_password(&password, &hash).map(|right| match right {
                true => Verdict::Right { stale: needs_rehash(&hash, cost) },
                false => Verdict::Wrong,
            }),
        })
        .await
    }

    /// Refuses new jobs, finishes the accepted ones, ends the threads. A second call does nothing.
    pub fn close(&self) {
        self.shared.line().closed = true;
        self.shared.changed.notify_all();
        let threads: Vec<_> =
            self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect();
        for thread in threads {
            // A job's panic was caught where it ran; there is nothing left to report.
            let _ = thread.join();
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, OutOfMemory> + Send + 'static,
    ) -> Result<T, PoolError> {
        let (answer, answered) = oneshot::channel();
        {
            let mut line = self.shared.line();
            if line.closed {
                return Err(PoolError::Closed);
            }
            if line.jobs.len() >= HASHES_WAITING_MAX {
                return Err(PoolError::Busy);
            }
            line.jobs.push_back(Box::new(move || {
                // A caller that went away is no reason to spend a core on it.
                if !answer.is_closed() {
                    let _ = answer.send(job());
                }
            }));
        }
        self.shared.changed.notify_one();
        match answered.await {
            Ok(Ok(value)) => Ok(value),
            // The sender is gone without an answer only when the job itself panicked.
            Ok(Err(OutOfMemory)) | Err(_) => Err(PoolError::Busy),
        }
    }
}

impl Drop for PasswordPool {
    fn drop(&mut self) {
        self.close();
    }
}

fn work(shared: &Shared) {
    loop {
        let job = {
            let mut line = shared.line();
            loop {
                if let Some(job) = line.jobs.pop_front() {
                    break job;
                }
                if line.closed {
                    return;
                }
                line = shared.changed.wait(line).unwrap_or_else(PoisonError::into_inner);
            }
        };
        // A panic in one job must not cost the pool a thread.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn pool() -> PasswordPool {
        PasswordPool::start(Cost::LEAST, Rng::seeded(3)).unwrap()
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn hashes_and_verifies() {
        let pool = pool();
        block_on(async {
            let hash = pool.hash("correct horse".to_owned()).await.unwrap();
            let verify = |password: &str, hash: Option<&String>| {
                pool.verify(password.to_owned(), hash.cloned())
            };
            assert_eq!(
                verify("correct horse", Some(&hash)).await,
                Ok(Verdict::Right { stale: false })
            );
            assert_eq!(verify("wrong", Some(&hash)).await, Ok(Verdict::Wrong));
            assert_eq!(verify("correct horse", None).await, Ok(Verdict::Wrong));
            let weak = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4".to_owned();
            assert_eq!(verify("password", Some(&weak)).await, Ok(Verdict::Right { stale: true }));
        });
    }

    /// H1: two run, 32 wait, the next is told so; nothing accepted is lost, not even by closing.
    #[test]
    fn the_line_is_bounded_and_drained() {
        let pool = pool();
        let (started, starts) = mpsc::channel();
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        block_on(async {
            let mut waiting = Vec::new();
            for n in 0..HASHES_AT_ONCE + HASHES_WAITING_MAX {
                let (gate, started) = (Arc::clone(&gate), started.clone());
                let mut job = Box::pin(pool.run(move || {
                    started.send(()).unwrap();
                    let mut open = gate.0.lock().unwrap();
                    while !*open {
                        open = gate.1.wait(open).unwrap();
                    }
                    Ok(n)
                }));
                // Polled once, so that the job stands in line.
                assert!(poll_once(&mut job).is_none());
                waiting.push(job);
                if n < HASHES_AT_ONCE {
                    starts.recv().unwrap();
                }
            }
            assert_eq!(pool.run(|| Ok(())).await, Err(PoolError::Busy));
            *gate.0.lock().unwrap() = true;
            gate.1.notify_all();
            pool.close();
            for (n, job) in waiting.into_iter().enumerate() {
                assert_eq!(job.await, Ok(n));
            }
            assert_eq!(pool.hash("x".to_owned()).await, Err(PoolError::Closed));
        });
        pool.close();
    }

    #[test]
    fn a_panic_costs_one_answer_only() {
        let pool = pool();
        block_on(async {
            for _ in 0..HASHES_AT_ONCE * 2 {
                let answer: Result<(), _> = pool.run(|| panic!("on purpose")).await;
                assert_eq!(answer, Err(PoolError::Busy));
            }
            assert_eq!(pool.run(|| Ok(7)).await, Ok(7));
        });
    }

    fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(future).poll(&mut context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }
}
