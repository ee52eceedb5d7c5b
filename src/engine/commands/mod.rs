//! Behaviour: one file per family of commands.
//!
//! A command runs as one unit of the writer: it reads, decides, checks, then writes; what it refuses leaves no trace.

pub mod accounts;
mod associations;
pub(super) mod commit;
mod create;
mod delete;
mod entity;
mod files;
mod functions;
mod import;
mod migrate;
mod permissions;
mod restore;
mod retention;
pub(crate) mod rules;
pub(super) mod special;
pub mod stored_files;
mod tokens;
mod types;
mod update;

pub use create::NewRecord;
pub use files::{Collected, StoredFile, Upload, UploadInput, Uploaded};
pub use functions::FUNCTIONS_MAX;
pub use import::{ExactRecord, Exported, ImportRecord};
pub use retention::{Pruned, VersionRule};
pub use tokens::NewToken;
pub(super) use tokens::TokenCache;
pub use types::{ExactType, NewTypeInput, TypeCheck};

pub(super) use create::{check_unique_fields, create_checked};
pub(super) use delete::delete;
pub(super) use import::import_exact_record;
pub(super) use rules::load as load_rules;
pub(super) use types::{register_checked, register_table};
pub(super) use update::{check_size, existing};
