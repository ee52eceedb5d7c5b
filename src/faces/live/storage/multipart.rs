//! A form with a file, taken apart while it arrives (live 11.1).
//!
//! The parts may come in any order, so the bytes go to the engine at once and are named at the end.
//!
//! Knows the form. Does not know what becomes of the bytes.
//!
//! Invariants
//! M1. Of the form at most [`UNPARSED_BYTES_MAX`] and one chunk are in memory, however it is built.
//! M2. A form that is cut off, or has no file or two of them, is refused as a whole.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use multer::{Field, Multipart};

use super::Failure;
use crate::engine::stored_files::FileUpload;
use crate::net::{Body, BodyError};

/// Bytes that may arrive without completing a part's head or a piece of its content.
const UNPARSED_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a part that is no file.
const TEXT_BYTES_MAX: usize = 16 * 1024;
const PARTS_MAX: usize = 16;
/// What a form may have beside its file.
pub(super) const FORM_BYTES_MAX: u64 = 512 * 1024;
const _: () = assert!((TEXT_BYTES_MAX * PARTS_MAX + UNPARSED_BYTES_MAX) as u64 <= FORM_BYTES_MAX);
/// RFC 2046.
const BOUNDARY_CHARS_MAX: usize = 70;

/// What the form says beside the bytes.
#[derive(Debug, Default)]
pub(super) struct Form {
    pub(super) path: Option<String>,
    pub(super) content_type: Option<String>,
    /// JSON text.
    pub(super) metadata: Option<String>,
    /// Media type of the part with the bytes.
    pub(super) file_type: Option<String>,
}

/// The boundary that a `Content-Type` declares: `None` for another type, `Some(None)` for a form without one.
pub(super) fn declared_boundary(content_type: &str) -> Option<Option<String>> {
    let kind = content_type.split(';').next().unwrap_or("").trim();
    if !kind.eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    Some(multer::parse_boundary(content_type).ok().filter(|text| is_boundary(text)))
}

/// The boundary in the first line of a body that is a form under another label; one client's mistake.
pub(super) fn unlabelled_boundary(start: &[u8]) -> Option<String> {
    let line = start.strip_prefix(b"--")?;
    let end = line.windows(2).position(|pair| pair == b"\r\n")?;
    let text = std::str::from_utf8(&line[..end]).ok()?;
    is_boundary(text).then(|| text.to_owned())
}

/// Bytes after which [`unlabelled_boundary`] finds nothing new.
pub(super) const FIRST_LINE_BYTES_MAX: usize = BOUNDARY_CHARS_MAX + 4;

fn is_boundary(text: &str) -> bool {
    (1..=BOUNDARY_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&b))
}

/// Sends the file's bytes to `upload` and returns the rest of the form. `start` was read off the body already.
pub(super) async fn read(
    upload: &mut FileUpload,
    start: Bytes,
    body: Body,
    boundary: String,
) -> Result<Form, Failure> {
    let unparsed = Arc::new(AtomicUsize::new(0));
    let arrives = Arriving {
        state: State::Idle(Some(body)),
        start: Some(start),
        unparsed: Arc::clone(&unparsed),
        pause: false,
    };
    let mut parts = Multipart::new(arrives, boundary);
    let (mut form, mut files) = (Form::default(), 0);
    for _ in 0..PARTS_MAX {
        let Some(mut part) = parts.next_field().await.map_err(failure)? else {
            if files == 0 {
                return Err(Failure::invalid("the form has no part called file"));
            }
            return Ok(form);
        };
        unparsed.store(0, Ordering::Relaxed);
        let name = part.name().unwrap_or("").to_owned();
        if name == "file" {
            files += 1;
            if files > 1 {
                return Err(Failure::invalid("the form has two parts called file"));
            }
            let kind = part.headers().get(http::header::CONTENT_TYPE);
            form.file_type = kind.and_then(|kind| kind.to_str().ok()).map(str::to_owned);
            while let Some(bytes) = part.chunk().await.map_err(failure)? {
                unparsed.store(0, Ordering::Relaxed);
                upload.write(bytes).await?;
            }
            continue;
        }
        let text = text(part, &name, &unparsed).await?;
        let known = match name.as_str() {
            // Also an empty one, which is refused: it names no file.
            "path" => {
                form.path = Some(text);
                continue;
            }
            "contentType" => &mut form.content_type,
            "metadata" => &mut form.metadata,
            _ => continue,
        };
        *known = Some(text).filter(|text| !text.is_empty());
    }
    Err(Failure::invalid(format!("the form has more than {PARTS_MAX} parts")))
}

async fn text(mut part: Field<'_>, name: &str, unparsed: &AtomicUsize) -> Result<String, Failure> {
    let mut all = Vec::new();
    while let Some(bytes) = part.chunk().await.map_err(failure)? {
        unparsed.store(0, Ordering::Relaxed);
        if all.len() + bytes.len() > TEXT_BYTES_MAX {
            return Err(Failure::invalid("a part of the form is too long"));
        }
        all.extend_from_slice(&bytes);
    }
    String::from_utf8(all).map_err(|_| Failure::invalid(format!("{name} is no UTF-8")))
}

fn failure(error: multer::Error) -> Failure {
    if let multer::Error::StreamReadFailed(cause) = &error
        && let Some(Stopped::Body(fault)) = cause.downcast_ref::<Stopped>()
    {
        return (*fault).into();
    }
    Failure::invalid("the form is malformed")
}

/// Why no more bytes come.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error("the body broke off")]
    Body(BodyError),
    #[error("the form holds nothing but beginnings")]
    Unparsed,
}

type Chunk = Result<Option<Bytes>, BodyError>;

enum State {
    Idle(Option<Body>),
    Reading(Pin<Box<dyn Future<Output = (Body, Chunk)> + Send>>),
}

/// A body as the parser wants it. The parser takes whatever is ready before it hands anything out, so after each chunk this
/// says "not yet" once: otherwise a fast client would fill memory.
struct Arriving {
    state: State,
    start: Option<Bytes>,
    unparsed: Arc<AtomicUsize>,
    pause: bool,
}

impl Stream for Arriving {
    type Item = Result<Bytes, Stopped>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.pause) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(start) = self.start.take().filter(|start| !start.is_empty()) {
            return Poll::Ready(Some(self.give(start)));
        }
        loop {
            match &mut self.state {
                State::Idle(body) => {
                    let Some(mut body) = body.take() else { return Poll::Ready(None) };
                    self.state = State::Reading(Box::pin(async move {
                        let chunk = body.chunk().await;
                        (body, chunk)
                    }));
                }
                State::Reading(reading) => {
                    let (body, chunk) = ready!(reading.as_mut().poll(cx));
                    self.state = State::Idle(Some(body));
                    return Poll::Ready(match chunk {
                        Ok(Some(bytes)) => Some(self.give(bytes)),
                        Ok(None) => {
                            self.state = State::Idle(None);
                            None
                        }
                        Err(fault) => Some(Err(Stopped::Body(fault))),
                    });
                }
            }
        }
    }
}

impl Arriving {
    fn give(&mut self, bytes: Bytes) -> Result<Bytes, Stopped> {
        self.pause = true;
        let before = self.unparsed.fetch_add(bytes.len(), Ordering::Relaxed);
        if before > UNPARSED_BYTES_MAX { Err(Stopped::Unparsed) } else { Ok(bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_are_found_in_headers_and_first_lines() {
        let declared = |text: &str| declared_boundary(text);
        assert_eq!(declared("multipart/form-data; boundary=abc"), Some(Some("abc".into())));
        assert_eq!(declared("Multipart/Form-Data; boundary=\"a-b\""), Some(Some("a-b".into())));
        assert_eq!(declared("multipart/form-data"), Some(None));
        assert_eq!(declared("application/json"), None);
        assert_eq!(declared(""), None);
        let found = |text: &str| unlabelled_boundary(text.as_bytes());
        assert_eq!(found("--abc\r\nContent-Disposition: form-data"), Some("abc".into()));
        assert_eq!(found("-- a comment\r\nSELECT"), None);
        assert_eq!(found("--\r\n"), None);
        assert_eq!(found("--abc"), None);
        assert_eq!(found("{\"a\":1}"), None);
        assert_eq!(found(&format!("--{}\r\n", "a".repeat(71))), None);
    }
}
