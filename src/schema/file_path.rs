//! The path of a stored file (live protocol 11): checked once, when it comes in.
//!
//! Invariants
//! P1. A path has no part that a file system or a browser would resolve: no `.`, `..`, empty segment, backslash, drive or
//!     control character. Whoever mirrors files into a folder may rely on that.

use std::fmt;

/// Bytes of a path.
pub const FILE_PATH_BYTES_MAX: usize = 1_023;
/// Single segments that are addresses of the protocol.
const RESERVED: [&str; 5] = ["upload", "list", "url", "files", "delete"];

/// A path without a slash in front, `images/photo.jpg`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath(String);

impl FilePath {
    /// Reads a path that is percent-decoded already; slashes in front are dropped.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let path = text.trim_start_matches('/');
        if path.is_empty() {
            return Err("the path is empty");
        }
        if path.len() > FILE_PATH_BYTES_MAX {
            return Err("the path is longer than 1023 bytes");
        }
        if path.contains('\\') || path.chars().any(char::is_control) {
            return Err("a path has no backslash and no control character");
        }
        let mut first = path.bytes();
        if first.next().is_some_and(|byte| byte.is_ascii_alphabetic()) && first.next() == Some(b':')
        {
            return Err("a path names no drive");
        }
        if path.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err("a path has no empty segment, no `.` and no `..`");
        }
        if RESERVED.contains(&path) {
            return Err("this name is reserved");
        }
        Ok(Self(path.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last segment.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::proptest;

    #[test]
    fn slashes_in_front_are_dropped() {
        for (text, path, name) in [
            ("a.txt", "a.txt", "a.txt"),
            ("///avatars/x.jpg", "avatars/x.jpg", "x.jpg"),
            ("ärger/日本 %41.txt", "ärger/日本 %41.txt", "日本 %41.txt"),
            ("upload/a", "upload/a", "a"),
            ("..a/b..", "..a/b..", "b.."),
            ("cc:/x", "cc:/x", "x"),
        ] {
            let parsed = FilePath::parse(text).unwrap();
            assert_eq!((parsed.as_str(), parsed.name()), (path, name));
        }
        assert!(FilePath::parse(&"a".repeat(FILE_PATH_BYTES_MAX)).is_ok());
    }

    #[test]
    fn s60_what_a_file_system_would_resolve_is_refused() {
        for text in [
            "", "/", "..", "../a", "a/../b", "a/..", ".", "a/./b", "a//b", "a/", "a\\b", "a\0b",
            "a\nb", "\u{7f}", "a\u{85}", "C:", "c:/x", "C:x", "upload", "/list", "url", "files",
            "delete",
        ] {
            assert!(FilePath::parse(text).is_err(), "{text:?}");
        }
        assert!(FilePath::parse(&"a".repeat(FILE_PATH_BYTES_MAX + 1)).is_err());
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_accepted_again_unchanged(text in "[a-c./\\\\:\\u{0}\\u{1f600}]{0,12}") {
            if let Ok(path) = FilePath::parse(&text) {
                assert_eq!(FilePath::parse(path.as_str()).unwrap(), path);
                assert!(!path.as_str().starts_with('/'));
            }
        }
    }
}
