//! Who is calling: credentials become an `engine::Caller`.
