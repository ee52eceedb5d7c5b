//! Whatever is written, by whoever, under whatever rules: what a subscriber holds is what the query gives.

fn _placeholder() {}
