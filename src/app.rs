//! Builds every part and owns the order in which they start and stop.
//!
//! Knows every module by its constructor. Does not know what any of them does inside.

use std::time::Duration;

use crate::config::{self, Config};
use crate::engine::{Durability, EngineOptions, StoreOptions};

/// What the settings mean for the engine.
pub fn engine_options(config: &Config) -> EngineOptions {
    let text = |value: &Option<String>| value.clone();
    EngineOptions {
        store: StoreOptions {
            durability: match config.durability {
                config::Durability::Full => Durability::Full,
                config::Durability::Normal => Durability::Normal,
            },
            query_deadline: Duration::from_millis(config.query_deadline_ms.0),
            ..StoreOptions::default()
        },
        owner_did: config.owner_did.as_ref().map(|did| did.0.clone()),
        owner_name: text(&config.owner_name),
        owner_handle: text(&config.owner_handle),
        timezone: config.timezone.as_ref().map(|zone| zone.0.clone()),
        content_bytes_max: usize::try_from(config.content_bytes_max.0).unwrap_or(usize::MAX),
        attachment_bytes_max: config.attachment_bytes_max.0,
        commons: config.commons,
        unreadable_as_missing: config.unreadable == config::Unreadable::NotFound,
        ..EngineOptions::default()
    }
}
