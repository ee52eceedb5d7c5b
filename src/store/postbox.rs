//! Answers of the writer to the threads that wait for them, a batch in one piece.
//!
//! A task that is woken from another thread costs its runtime a system call. A batch answers tens of tasks of the same
//! runtime, so a thread that asks for it gets its answers of a batch together: one wake-up, and the waiting tasks are then
//! woken on their own thread, which is cheap.
//!
//! Invariants
//! P1. An answer that was handed in is given, also when the receiving thread ends: what lies in a closing box is given by
//!     whoever closes it, what comes later by the writer itself.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// An answer that is ready to be given.
pub(super) type Letter = Box<dyn FnOnce() + Send>;

thread_local! {
    static OWN: RefCell<Option<Arc<Postbox>>> = const { RefCell::new(None) };
}

#[derive(Default)]
struct Letters {
    waiting: Vec<Letter>,
    closed: bool,
}

/// Where the answers for one thread arrive.
#[derive(Default)]
pub(super) struct Postbox {
    letters: Mutex<Letters>,
    arrived: Notify,
}

impl Postbox {
    /// The box of the calling thread, when it has one.
    pub(super) fn own() -> Option<Arc<Self>> {
        OWN.with_borrow(Option::clone)
    }

    pub(super) fn post(&self, letters: Vec<Letter>) {
        let mut own = self.letters();
        if own.closed {
            drop(own);
            letters.into_iter().for_each(|letter| letter());
            return;
        }
        own.waiting.extend(letters);
        drop(own);
        self.arrived.notify_one();
    }

    fn letters(&self) -> MutexGuard<'_, Letters> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives the calling thread a box for as long as this future runs, and gives what arrives in it. To be spawned once on a
/// runtime that runs on one thread.
pub(super) async fn deliver() {
    struct Open(Arc<Postbox>);

    impl Drop for Open {
        fn drop(&mut self) {
            // The thread may be ending, its variables gone.
            let _ = OWN.try_with(|own| {
                if let Ok(mut own) = own.try_borrow_mut()
                    && own.as_ref().is_some_and(|own| Arc::ptr_eq(own, &self.0))
                {
                    *own = None;
                }
            });
            let left = {
                let mut letters = self.0.letters();
                letters.closed = true;
                std::mem::take(&mut letters.waiting)
            };
            left.into_iter().for_each(|letter| letter());
        }
    }

    let open = Open(Arc::new(Postbox::default()));
    OWN.set(Some(Arc::clone(&open.0)));
    loop {
        open.0.arrived.notified().await;
        let letters = std::mem::take(&mut open.0.letters().waiting);
        letters.into_iter().for_each(|letter| letter());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    fn letter() -> (Letter, oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        let letter = move || {
            let _ = sender.send(());
        };
        (Box::new(letter), receiver)
    }

    #[test]
    fn answers_arrive_while_the_box_is_open_and_after_it_closed() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert!(Postbox::own().is_none());
        let (own, mut later) = runtime.block_on(async {
            tokio::spawn(deliver());
            tokio::task::yield_now().await;
            let own = Postbox::own().unwrap();
            let ((one, first), (two, second)) = (letter(), letter());
            let there = Arc::clone(&own);
            std::thread::spawn(move || there.post(vec![one, two]));
            first.await.unwrap();
            second.await.unwrap();
            let (three, third) = letter();
            own.post(vec![three]);
            (own, third)
        });
        // The third lies in the box of a runtime that never runs again.
        drop(runtime);
        later.try_recv().unwrap();
        assert!(Postbox::own().is_none());
        let (four, mut fourth) = letter();
        own.post(vec![four]);
        fourth.try_recv().unwrap();
    }
}
