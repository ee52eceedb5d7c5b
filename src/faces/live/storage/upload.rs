//! Uploads in one go: a form, a form under the wrong label, or the bytes themselves (live 11.1).
//!
//! Invariants
//! U1. Whoever may not upload is refused before a byte is read.
//! U2. Of an upload that is refused or breaks off nothing stays: dropping it takes it back.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value};

use super::multipart::{self, FIRST_LINE_BYTES_MAX, FORM_BYTES_MAX, Form};
use super::{Asked, Code, Failure, LiveFace, Reply, path_of, stored};
use crate::engine::Engine;
use crate::engine::stored_files::{FileUpload, NewFile};
use crate::faces::media::OCTET_STREAM;
use crate::net::{Body, BodyError};
use crate::schema::file_path::FilePath;
use crate::util::json::parse_object;

pub(super) async fn upload(cx: Arc<LiveFace>, mut asked: Asked) -> Result<Reply, Failure> {
    let mut upload = cx.engine.begin_file(&asked.who)?;
    let body = std::mem::replace(&mut asked.call.body, Body::whole(Bytes::new()));
    let declared_type = asked.call.header(CONTENT_TYPE.as_str()).unwrap_or("").to_owned();
    let new = match multipart::declared_boundary(&declared_type) {
        Some(None) => return Err(Failure::invalid("the form names no boundary")),
        Some(Some(boundary)) => form(&cx.engine, &mut upload, Bytes::new(), body, boundary).await?,
        None => other(&cx, &asked, &mut upload, body, &declared_type).await?,
    };
    let info = upload.finish(new).await?;
    stored(&cx, &asked, StatusCode::CREATED, &info)
}

/// A body that is not declared to be a form.
async fn other(
    cx: &LiveFace,
    asked: &Asked,
    upload: &mut FileUpload,
    mut body: Body,
    declared_type: &str,
) -> Result<NewFile, Failure> {
    let start = first_line(&mut body).await?;
    if let Some(boundary) = multipart::unlabelled_boundary(&start) {
        return form(&cx.engine, upload, start, body, boundary).await;
    }
    refuse_declared(&body, upload.bytes_max())?;
    let query = &asked.call.query;
    let path = match query.get("path") {
        Some(path) => path_of(path)?,
        None => default_path(&cx.engine)?,
    };
    let content_type = query.get("contentType").unwrap_or(declared_type);
    let content_type = Some(content_type).filter(|text| !text.is_empty()).unwrap_or(OCTET_STREAM);
    cx.engine.check_media_type(&asked.who, content_type)?;
    upload.write(start).await?;
    while let Some(piece) = body.chunk().await? {
        upload.write(piece).await?;
    }
    Ok(NewFile { path, content_type: content_type.to_owned(), metadata: Map::new() })
}

/// Enough of a body to tell whether it is a form.
async fn first_line(body: &mut Body) -> Result<Bytes, BodyError> {
    let Some(first) = body.chunk().await? else { return Ok(Bytes::new()) };
    let undecided = |start: &[u8]| {
        start.len() < FIRST_LINE_BYTES_MAX
            && start.iter().zip(b"--").all(|(is, wanted)| is == wanted)
            && multipart::unlabelled_boundary(start).is_none()
    };
    if !undecided(&first) {
        return Ok(first);
    }
    let mut start = BytesMut::from(&first[..]);
    while undecided(&start) {
        let Some(more) = body.chunk().await? else { break };
        start.extend_from_slice(&more);
    }
    Ok(start.freeze())
}

async fn form(
    engine: &Engine,
    upload: &mut FileUpload,
    start: Bytes,
    body: Body,
    boundary: String,
) -> Result<NewFile, Failure> {
    refuse_declared(&body, upload.bytes_max().saturating_add(FORM_BYTES_MAX))?;
    let form = multipart::read(upload, start, body, boundary).await?;
    let Form { path, content_type, metadata, file_type } = form;
    let metadata = match metadata {
        Some(text) => parse_object(text.as_bytes())
            .map_err(|_| Failure::invalid("metadata must be a JSON object of texts"))?,
        None => Map::<String, Value>::new(),
    };
    let content_type =
        content_type.or(file_type).filter(|text| !text.is_empty()).unwrap_or(OCTET_STREAM.into());
    let path = match path {
        Some(path) => path_of(&path)?,
        None => default_path(engine)?,
    };
    Ok(NewFile { path, content_type, metadata })
}

/// What is declared to be too large is not read.
fn refuse_declared(body: &Body, bytes_max: u64) -> Result<(), Failure> {
    if body.declared().is_some_and(|declared| declared > bytes_max) {
        return Err(Failure::new(Code::PayloadTooLarge, "the file is too large"));
    }
    Ok(())
}

fn default_path(engine: &Engine) -> Result<FilePath, Failure> {
    path_of(&format!("uploads/{}", engine.rng().uuid_v4()))
}
