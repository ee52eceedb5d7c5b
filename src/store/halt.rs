//! Why the store takes no more writes, and the news of it.
//!
//! After a failed flush nobody can say what is on the disk: asking it again may be answered with success for bytes that were
//! dropped (SECURITY S67). So nothing is flushed again by this process: no write, no checkpoint, not even at the end. The log
//! stays beside the file, and the next process reads it from the disk.
//!
//! Invariants
//! H1. The first reason stays until the store is closed.
//! H2. Whoever waits for [`Halt::unsafe_to_go_on`] is told, also when it came to that before.

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use tokio::sync::watch;

use super::error::StoreError;

/// Why nothing is written any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A flush failed, or the thread that writes ended: this process must end.
    Unsafe,
    /// The file is damaged. What can be read is read.
    Damaged,
}

#[derive(Debug)]
pub(crate) struct Halt(watch::Sender<Option<Reason>>);

impl Default for Halt {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Halt {
    pub(crate) fn reason(&self) -> Option<Reason> {
        *self.0.borrow()
    }

    pub(crate) fn set(&self, reason: Reason) {
        self.0.send_if_modified(|now| {
            let first = now.is_none();
            now.get_or_insert(reason);
            first
        });
    }

    /// The error of a write that is not begun.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        match self.reason() {
            None => Ok(()),
            Some(Reason::Unsafe) => Err(StoreError::Unflushed),
            Some(Reason::Damaged) => Err(StoreError::Damaged("nothing is written to it".into())),
        }
    }

    /// Resolves when this process can keep no promise any more.
    pub(crate) async fn unsafe_to_go_on(&self) {
        let mut news = self.0.subscribe();
        // The sender lives as long as `self`.
        let _ = news.wait_for(|reason| *reason == Some(Reason::Unsafe)).await;
    }

    /// What has to be known of an error of a commit or of a checkpoint.
    pub(crate) fn look_at(&self, error: &StoreError) {
        if matches!(error, StoreError::Unflushed) {
            tracing::error!(
                "the disk failed while data was flushed: nothing is acknowledged any more and this process ends; what was \
                 acknowledged before is in the file and its log. Look at the disk before the next start"
            );
            self.set(Reason::Unsafe);
        }
    }

    /// Closes a connection. The last one to close a file copies its log back, which must not happen after a halt.
    pub(crate) fn close(&self, connection: Connection) {
        if self.reason().is_some() {
            let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
        let _ = connection.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stays() {
        let halt = Halt::default();
        assert!(halt.check().is_ok());
        halt.set(Reason::Damaged);
        halt.set(Reason::Unsafe);
        assert_eq!(halt.reason(), Some(Reason::Damaged));
        assert!(matches!(halt.check(), Err(StoreError::Damaged(_))));
    }

    #[tokio::test]
    async fn who_comes_late_is_told() {
        let halt = Halt::default();
        halt.set(Reason::Unsafe);
        halt.unsafe_to_go_on().await;
    }
}
