//! Attachments: bytes in, piece by piece; bytes out, whole or one range.
//!
//! Knows headers. Does not know who may read a file or where its bytes are.
//!
//! Invariants
//! B1. No more than one piece of an upload is in memory.
//! B2. An upload that is refused or breaks off leaves nothing behind: dropping it aborts it.

use std::sync::Arc;

use http::StatusCode;
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap,
};
use serde_json::Value;

use super::StackFace;
use super::dto::{self, ok, push_record};
use super::errors::{Failure, body_failure};
use super::gate::Asked;
use crate::engine::UploadInput;
use crate::faces::download::{self, Refused, Served};
use crate::faces::media;
use crate::net::Reply;
use crate::util::json::{parse_object, push_string};

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
    let asked_name = asked.query("filename");
    let established = file.media_type.clone();
    let media_type =
        media::served_type(asked.query("contentType"), asked_name, established.as_deref());
    let filename = asked_name.map(str::to_owned).or_else(|| file.filename.clone());
    let served = Served { file, media_type, filename: filename.as_deref() };
    let mut reply =
        download::download(&cx.engine, &asked.call, served).map_err(|refused| match refused {
            Refused::Engine(error) => error.into(),
            Refused::NoBytes(size) => Failure::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "bad_request",
                "the file has no bytes in this range",
            )
            .with(CONTENT_RANGE, &Refused::content_range(size)),
        })?;
    // Kept by no shared cache: who may read the file can change, though its bytes cannot.
    if asked.who.is_anonymous() && reply.status != StatusCode::NOT_MODIFIED {
        reply = reply.with(CACHE_CONTROL, "private, no-cache");
    }
    Ok(reply)
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
