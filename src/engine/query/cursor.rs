//! Where a page ended, as text that clients hand back: base64 over sort field, sort value and record id.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::engine::error::{Error, Result};
use crate::store::{RecordRow, SortKey};
use crate::util::id::RecordId;

/// Longer texts are no cursors of ours.
const CURSOR_CHARS_MAX: usize = 200;

fn field(sort: SortKey) -> &'static str {
    match sort {
        SortKey::Created => "createdAt",
        SortKey::Updated => "updatedAt",
        SortKey::Version => "version",
        SortKey::Id => "id",
    }
}

/// The cursor behind the last row of a page.
pub(super) fn text(row: &RecordRow, sort: SortKey) -> String {
    let id = RecordId::from_i64(row.rid).unwrap_or(RecordId::MIN);
    STANDARD.encode(format!("{}|{}|{id}", field(sort), sort.of(row)))
}

/// Sort value and record id to go on after.
pub(super) fn parse(text: &str, sort: SortKey) -> Result<(i64, i64)> {
    let refuse = || Error::BadRequest("the cursor is not one of this query's".into());
    if text.len() > CURSOR_CHARS_MAX {
        return Err(refuse());
    }
    let bytes = STANDARD.decode(text).map_err(|_| refuse())?;
    let plain = std::str::from_utf8(&bytes).map_err(|_| refuse())?;
    let mut parts = plain.splitn(3, '|');
    let (Some(name), Some(value), Some(id)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(refuse());
    };
    if name != field(sort) {
        return Err(refuse());
    }
    let value = value.parse().map_err(|_| refuse())?;
    let id = RecordId::parse(id).ok_or_else(refuse)?;
    Ok((value, id.as_i64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_refused() {
        for text in [
            "not-a-valid-cursor",
            "YmFkZmllbGR8MTIzfDFoazE1M3gwMDAwMQ==",
            "",
            "====",
            "Y3JlYXRlZEF0",
        ] {
            assert!(parse(text, SortKey::Created).is_err(), "{text}");
        }
        let good = STANDARD.encode("createdAt|5|1hk153x00001");
        assert!(parse(&good, SortKey::Created).is_ok());
        assert!(parse(&good, SortKey::Updated).is_err());
    }
}
