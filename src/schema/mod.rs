//! Types and their schemas: what a record's content must look like.
//!
//! Pure: text and JSON in, values and faults out. Knows the schema language, its canonical hash
//! and the rule for changing a schema in place. Does not know which types exist, who may change
//! them, or how records are stored.
//!
//! Invariants
//! K1. A [`Schema`] in hand is well formed and nests at most [`DEPTH_MAX`] deep, so recursion over
//!     it is safe.
//! K2. Validation never changes content and never coerces.
//! K3. The hash depends on names, kinds and `required` alone; every other key of a definition is
//!     kept as it came but does not count.

mod definition;
mod drift;
pub mod fault;
pub mod file_path;
pub mod filter;
pub mod filter_form;
mod hash;
pub mod names;
pub mod rules;
pub mod system;
pub mod tables;
mod type_id;
mod validate;
pub mod words;

pub use definition::{DEPTH_MAX, Field, Kind, Schema, SchemaFault};
pub use type_id::{TypeId, family};
pub use validate::{
    FAULT_BYTES_MAX, FAULTS_MAX, FieldFault, RESERVED_KEYS, VALUE_DEPTH_MAX, reserved_keys,
};
