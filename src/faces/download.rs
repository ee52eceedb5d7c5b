//! A stored file as an answer: whole or one range of it, in a form that no browser runs.
//!
//! Knows headers and pieces. Does not know who may read a file or where its bytes are.
//!
//! Invariants
//! W1. No more than [`PIECES_AHEAD`] pieces of a download are in memory.
//! W2. What is served cannot run in a browser: safe type, `attachment`, sandbox policy (SECURITY S59).

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, ETAG,
};
use http::{Method, StatusCode};
use tokio::sync::mpsc;

use super::media::{self, Wanted};
use crate::engine::{Engine, Error, StoredFile};
use crate::net::{Call, Content, Reply};

/// Pieces of a download that may wait for a slow reader.
const PIECES_AHEAD: usize = 2;
/// Even a safe type opens in nothing that runs.
const POLICY: &str = "sandbox; default-src 'none'";

/// What the file is served as; `media_type` is on the safe list (`media::served_type`).
pub(super) struct Served<'a> {
    pub(super) file: StoredFile,
    pub(super) media_type: &'a str,
    pub(super) filename: Option<&'a str>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Refused {
    /// 416: the file, of this size, has no bytes in the range asked for.
    NoBytes(u64),
    Engine(Error),
}

impl Refused {
    /// The `Content-Range` of a 416.
    pub(super) fn content_range(size: u64) -> String {
        format!("bytes */{size}")
    }
}

/// Answers a `GET` or `HEAD`.
pub(super) fn download(engine: &Engine, call: &Call, served: Served<'_>) -> Result<Reply, Refused> {
    let Served { file, media_type, filename } = served;
    let etag = format!("\"{}\"", file.file_id);
    if call.header("if-none-match").is_some_and(|header| media::names_etag(header, &etag)) {
        return Ok(Reply::empty(StatusCode::NOT_MODIFIED).with(ETAG, &etag));
    }
    let is_head = call.method == Method::HEAD;
    let wanted = if is_head { Wanted::Whole } else { wanted(call, &etag, file.size) };
    let (status, offset, length) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0, file.size),
        Wanted::Part { offset, length } => (StatusCode::PARTIAL_CONTENT, offset, length),
        Wanted::Nothing => return Err(Refused::NoBytes(file.size)),
    };
    let mut reply = Reply::empty(status)
        .with(CONTENT_TYPE, media_type)
        .with(CONTENT_DISPOSITION, &media::disposition(filename))
        .with(CONTENT_SECURITY_POLICY, POLICY)
        .with(ETAG, &etag)
        .with(ACCEPT_RANGES, "bytes");
    if status == StatusCode::PARTIAL_CONTENT {
        let last = offset + length - 1;
        reply = reply.with(CONTENT_RANGE, &format!("bytes {offset}-{last}/{}", file.size));
    }
    if is_head {
        return Ok(reply.with(CONTENT_LENGTH, &length.to_string()));
    }
    reply.content = content(engine, file, offset, length).map_err(Refused::Engine)?;
    Ok(reply)
}

/// A range counts only for the bytes that `If-Range` names, where there is one.
fn wanted(call: &Call, etag: &str, size: u64) -> Wanted {
    let headers = &call.headers;
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
fn content(engine: &Engine, file: StoredFile, offset: u64, length: u64) -> Result<Content, Error> {
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
