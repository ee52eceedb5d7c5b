//! Uploads in ranges (live 11.8).

use std::sync::Arc;

use http::StatusCode;
use http::header::CONTENT_RANGE;
use serde_json::{Map, Value, json};

use super::{Asked, Code, Failure, LiveFace, Reply, object, path_of, reply, stored};
use crate::engine::stored_files::{Completion, NewFile};
use crate::faces::live::fault::Detail;
use crate::faces::media::OCTET_STREAM;
use crate::schema::rules::StorageOperation;

/// The size of chunk that is asked for; clients may send others.
pub(super) const CHUNK_BYTES_WISHED: u64 = 2 << 20;

pub(super) async fn begin(cx: Arc<LiveFace>, mut asked: Asked) -> Result<Reply, Failure> {
    cx.engine.check_storage(&asked.who, StorageOperation::Upload)?;
    let mut body = object(&mut asked).await?;
    let path = body.get("path").and_then(Value::as_str);
    let path = path_of(path.ok_or_else(|| Failure::invalid("path must be a text"))?)?;
    let content_type = match body.get("contentType") {
        None | Some(Value::Null) => OCTET_STREAM.to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(_) => return Err(Failure::invalid("contentType must be a text")),
    };
    let size = body.get("size").and_then(Value::as_u64);
    let size = size.ok_or_else(|| Failure::invalid("size must be a number of bytes"))?;
    let metadata = match body.remove("metadata") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(metadata)) => metadata,
        Some(_) => return Err(Failure::invalid("metadata must be an object of texts")),
    };
    let new = NewFile { path, content_type, metadata };
    let id = cx.engine.begin_resumable(&asked.who, new, size).await?;
    Ok(reply(StatusCode::OK, &json!({ "uploadId": id, "chunkSize": CHUNK_BYTES_WISHED })))
}

pub(super) async fn state(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    let id = asked.call.param(0);
    let state = cx.engine.resumable(&asked.who, id)?;
    let body = json!({ "uploadId": id, "received": state.received, "size": state.size,
        "complete": state.received == state.size });
    Ok(reply(StatusCode::OK, &body))
}

pub(super) async fn chunk(cx: Arc<LiveFace>, mut asked: Asked) -> Result<Reply, Failure> {
    let id = asked.call.param(0).to_owned();
    let size = cx.engine.resumable(&asked.who, &id)?.size;
    let range =
        asked.call.header(CONTENT_RANGE.as_str()).and_then(|text| content_range(text, size));
    let (first, end) = range.ok_or_else(|| {
        Failure::invalid("Content-Range must be `bytes <first>-<last>/<size>` within the file")
    })?;
    let body = &mut asked.call.body;
    if body.declared().is_some_and(|declared| declared != end - first) {
        return Err(Failure::invalid("the body is not as long as its range"));
    }
    let mut chunk = cx.engine.begin_chunk(&asked.who, &id, first, end)?;
    while let Some(bytes) = body.chunk().await? {
        chunk.write(bytes).await?;
    }
    let received = chunk.finish().await?;
    Ok(reply(StatusCode::OK, &json!({ "received": received })))
}

pub(super) async fn complete(cx: Arc<LiveFace>, asked: Asked) -> Result<Reply, Failure> {
    match cx.engine.complete_resumable(&asked.who, asked.call.param(0)).await? {
        Completion::Stored(info) => stored(&cx, &asked, StatusCode::OK, &info),
        Completion::Incomplete(gaps) => {
            let missing = |(first, end): &(u64, u64)| Detail {
                field: format!("bytes {first}-{}", end - 1),
                message: "is missing".into(),
            };
            Err(Failure::new(Code::Conflict, "the upload is not complete")
                .with_details(gaps.iter().map(missing).collect()))
        }
    }
}

/// First byte and the byte after the last of `bytes 0-99/200`.
fn content_range(text: &str, size: u64) -> Option<(u64, u64)> {
    let number = |text: &str| -> Option<u64> {
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
    };
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (number(first.trim())?, number(last.trim())?);
    let whole = total.trim() == "*" || number(total.trim())? == size;
    (whole && first <= last && last < size).then(|| (first, last + 1))
}

#[cfg(test)]
mod tests {
    use super::content_range;

    #[test]
    fn ranges_lie_within_the_file() {
        for (text, range) in [
            ("bytes 0-99/200", Some((0, 100))),
            ("bytes 199-199/*", Some((199, 200))),
            ("bytes 0-200/200", None),
            ("bytes 5-4/200", None),
            ("bytes 0-99/100", None),
            ("bytes +1-99/200", None),
            ("bytes -99/200", None),
            ("bytes */200", None),
            ("items 0-99/200", None),
            ("bytes 0-18446744073709551615/200", None),
            ("", None),
        ] {
            assert_eq!(content_range(text, 200), range, "{text}");
        }
    }
}
