//! Who is calling: credentials become an `engine::Caller`.

pub mod access_token;
pub mod accounts;
pub mod device;
pub mod password_policy;
pub mod password_pool;
