//! The executable: exit code and nothing else.

fn main() {}
