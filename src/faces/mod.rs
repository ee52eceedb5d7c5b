//! The wire protocols. A face translates; it decides nothing.

pub mod live;
