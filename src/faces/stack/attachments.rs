//! Attachments: bytes in, piece by piece; bytes out, whole or one range.
//!
//! Knows headers and pieces. Does not know who may read a file or where its bytes are.
//!
//! Invariants
//! B1. No more than one piece of an upload and [`PIECES_AHEAD`] pieces of a download are in memory.
//! B2. An upload that is refused or breaks off leaves nothing behind: dropping it aborts it.
//! B3. What is served cannot run in a browser: safe type, `attachment`, sandbox policy.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap,
};
use http::{Method, StatusCode};
use serde_json::Value;
use tokio::sync::mpsc;

use super::StackFace;
use super::dto::{self, ok, push_record};
use super::errors::{Failure, body_failure};
use super::gate::Asked;
use super::media::{self, Wanted};
use crate::engine::{Engine, StoredFile, UploadInput};
use crate::net::{Content, Reply};
use crate::util::json::{parse_object, push_string};

/// Pieces of a download that may wait for a slow reader.
const PIECES_AHEAD: usize = 2;
/// Even a safe type opens in nothing that runs.
const POLICY: &str = "sandbox; default-src 'none'";

pub(super) async fn upload(cx: Arc<StackFace>, mut asked: Asked) -> Result<Reply, Failure> {
    let bytes_max = cx.engine.options().attachment_bytes_max;
    if asked.call.body.declared().is_some_and(|declared| declared > bytes_max) {
        return Err(Failure::too_large(bytes_max));
    }
    let wants_record = asked.call.query.get("record") != Some("false");
    let input = UploadInput {
        media_type: media_type(&asked.call.headers),
        filename: asked
            .call
            .headers
            .get(CONTENT_DISPOSITION)
            .and_then(|value| media::uploaded_name(value.as_bytes())),
        app: asked.query("appId").map(str::to_owned),
        record: wants_record,
    };
    let mut upload = cx.engine.begin_upload(&asked.who, input).await?;
    let body = &mut asked.call.body;
    while let Some(piece) = body.chunk().await.map_err(|e| body_failure(e, bytes_max))? {
        upload.write(piece).await?;
    }
    let uploaded = upload.finish().await?;
    let mut out = String::new();
    let Some(record) = &uploaded.record else {
        out.push_str("{\"fileId\":");
        push_string(&mut out, &uploaded.file_id);
        out.push_str(&format!(",\"size\":{}}}", uploaded.size));
        return Ok(Reply::json(StatusCode::CREATED, out));
    };
    push_record(&mut out, record);
    // Beside the record, for clients that know no metadata records.
    out.pop();
    dto::push_text(&mut out, "fileId", Some(&uploaded.file_id));
    out.push('}');
    Ok(ok(out).with(ETAG, &dto::etag(record)))
}

/// As sent; bytes that are no UTF-8 cannot be kept in JSON and become U+FFFD.
fn media_type(headers: &HeaderMap) -> String {
    headers
        .get(CONTENT_TYPE)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| media::OCTET_STREAM.to_owned())
}

pub(super) async fn download(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let file = cx.engine.open_file(&asked.who, asked.call.param(0))?;
    let etag = format!("\"{}\"", file.file_id);
    let named = asked.call.header("if-none-match");
    if named.is_some_and(|header| media::names_etag(header, &etag)) {
        return Ok(Reply::empty(StatusCode::NOT_MODIFIED).with(ETAG, &etag));
    }
    let is_head = asked.call.method == Method::HEAD;
    let wanted = if is_head { Wanted::Whole } else { wanted(&asked, &etag, file.size) };
    let (status, offset, length) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0, file.size),
        Wanted::Part { offset, length } => (StatusCode::PARTIAL_CONTENT, offset, length),
        Wanted::Nothing => {
            let failure = Failure::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "bad_request",
                "the file has no bytes in this range",
            );
            return Err(failure.with(CONTENT_RANGE, &format!("bytes */{}", file.size)));
        }
    };
    let asked_name = asked.query("filename");
    let media_type =
        media::served_type(asked.query("contentType"), asked_name, file.media_type.as_deref());
    let mut reply = Reply::empty(status)
        .with(CONTENT_TYPE, media_type)
        .with(CONTENT_DISPOSITION, &media::disposition(asked_name.or(file.filename.as_deref())))
        .with(CONTENT_SECURITY_POLICY, POLICY)
        .with(ETAG, &etag)
        .with(ACCEPT_RANGES, "bytes");
    if status == StatusCode::PARTIAL_CONTENT {
        let last = offset + length - 1;
        reply = reply.with(CONTENT_RANGE, &format!("bytes {offset}-{last}/{}", file.size));
    }
    // Kept by no shared cache: who may read the file can change, though its bytes cannot.
    if asked.who.is_anonymous() {
        reply = reply.with(CACHE_CONTROL, "private, no-cache");
    }
    if is_head {
        return Ok(reply.with(CONTENT_LENGTH, &length.to_string()));
    }
    reply.content = content(&cx.engine, file, offset, length)?;
    Ok(reply)
}

/// A range counts only for the bytes that `If-Range` names, where there is one.
fn wanted(asked: &Asked, etag: &str, size: u64) -> Wanted {
    let headers = &asked.call.headers;
    let same = match headers.get("if-range") {
        Some(condition) => condition.as_bytes() == etag.as_bytes(),
        None => true,
    };
    let mut ranges = headers.get_all("range").iter();
    match (ranges.next().map(|value| value.to_str()), ranges.next()) {
        (Some(Ok(range)), None) if same => media::wanted(Some(range), size),
        _ => Wanted::Whole,
    }
}

/// The first piece is read before the answer begins, so that a fault still has a status.
fn content(
    engine: &Engine,
    file: StoredFile,
    offset: u64,
    length: u64,
) -> Result<Content, Failure> {
    if length == 0 {
        return Ok(Content::Bytes(Bytes::new()));
    }
    let first = engine.read_file(&file, offset, length)?;
    if first.len() as u64 == length {
        return Ok(Content::Bytes(first));
    }
    let (pieces, source) = mpsc::channel(PIECES_AHEAD);
    tokio::spawn(send_pieces(engine.clone(), file, first, offset, length, pieces));
    Ok(Content::Stream { length: Some(length), source })
}

/// Reads one piece after the other for as long as somebody takes them.
async fn send_pieces(
    engine: Engine,
    file: StoredFile,
    first: Bytes,
    mut offset: u64,
    mut left: u64,
    pieces: mpsc::Sender<std::io::Result<Bytes>>,
) {
    let mut piece = first;
    loop {
        let bytes = piece.len() as u64;
        if pieces.send(Ok(piece)).await.is_err() {
            return;
        }
        offset += bytes;
        left = left.saturating_sub(bytes);
        if left == 0 {
            return;
        }
        piece = match engine.read_file(&file, offset, left) {
            Ok(piece) if !piece.is_empty() => piece,
            // Deleted meanwhile, or unreadable: the length was promised, so the answer breaks off.
            other => {
                if let Err(error) = other {
                    tracing::error!(file = file.file_id, %error, "a download broke off");
                }
                let _ = pieces.send(Err(std::io::ErrorKind::UnexpectedEof.into())).await;
                return;
            }
        };
    }
}

pub(super) async fn delete(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    cx.engine.delete_file(&asked.who, asked.call.param(0)).await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn collect_garbage(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let (grace_ms, dry_run) = garbage_options(&asked.body)?;
    let collected = cx.engine.collect_garbage(&asked.who, grace_ms, dry_run).await?;
    let mut out = String::from("{\"deleted\":");
    dto::push_all(&mut out, &collected.deleted, |out, id: &String| push_string(out, id));
    out.push_str(&format!(",\"reclaimedBytes\":{}}}", collected.reclaimed_bytes));
    Ok(ok(out))
}

/// Members of the wrong type are ignored; the only JSON body that may be missing altogether.
fn garbage_options(body: &[u8]) -> Result<(Option<i64>, bool), Failure> {
    if body.is_empty() {
        return Ok((None, false));
    }
    let body = parse_object(body)?;
    let grace_ms = match body.get("graceMs") {
        Some(Value::Number(number)) => whole_ms(number),
        _ => None,
    };
    Ok((grace_ms, body.get("dryRun") == Some(&Value::Bool(true))))
}

/// Whole milliseconds, not negative; a number beyond all times is the latest of them.
fn whole_ms(number: &serde_json::Number) -> Option<i64> {
    /// Exact as a float, and some 285 000 years.
    const MS_MAX: f64 = 9_007_199_254_740_991.0;
    let ms = number.as_f64()?;
    if ms < 0.0 {
        return None;
    }
    #[allow(clippy::cast_possible_truncation, reason = "floored, and within 0 to 2^53")]
    Some(ms.min(MS_MAX).floor() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_options_are_lenient_but_for_json() {
        let read = |body: &str| garbage_options(body.as_bytes()).ok();
        assert_eq!(read(""), Some((None, false)));
        assert_eq!(read("{}"), Some((None, false)));
        assert_eq!(read(r#"{"graceMs":0,"dryRun":true}"#), Some((Some(0), true)));
        assert_eq!(read(r#"{"graceMs":1500.9,"dryRun":"true"}"#), Some((Some(1_500), false)));
        assert_eq!(read(r#"{"graceMs":"0","dryRun":1}"#), Some((None, false)));
        assert_eq!(read(r#"{"graceMs":-1}"#), Some((None, false)));
        assert_eq!(read(r#"{"graceMs":1e300}"#), Some((Some(9_007_199_254_740_991), false)));
        assert_eq!(read("{"), None);
        assert_eq!(read("[]"), None);
        assert_eq!(read("null"), None);
    }
}
