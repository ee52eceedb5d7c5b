//! Work that outlives the request it came from: bounded queues, bounded attempts, outcomes in the log.

pub mod mail;
