//! A folder of static files.
//!
//! Files are opened and read on the runtime's few file threads, one piece at a time, so that
//! neither a slow disk nor a slow client holds up anybody else.

use std::fs::{File, Metadata};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use http::StatusCode;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED, LOCATION,
};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::{PIECE_BYTES, Wanted, media_type, segments, unchanged, wanted};
use crate::net::{Call, Content, Handler, Reply};

/// Pieces read ahead of the client.
const PIECES_AHEAD: usize = 2;

/// A folder whose files are served.
#[derive(Clone, Debug)]
pub struct Folder {
    root: Arc<PathBuf>,
}

/// What was found at a path.
enum Found {
    File(Opened),
    /// A folder, asked for without the slash at its end.
    Folder,
}

struct Opened {
    file: File,
    length: u64,
    etag: String,
    modified: Option<String>,
}

impl Folder {
    /// # Errors
    /// When `root` is no folder that can be read.
    pub fn open(root: &Path) -> io::Result<Self> {
        let root = root.canonicalize()?;
        std::fs::read_dir(&root)?;
        Ok(Self { root: Arc::new(root) })
    }

    /// Serves `GET` and `HEAD`; 404 without content for what is not there. Fits
    /// [`crate::net::Router::with_fallback`].
    #[must_use]
    pub fn handler(&self) -> Handler {
        let folder = self.clone();
        Arc::new(move |call| {
            let folder = folder.clone();
            Box::pin(async move { folder.answer(&call).await })
        })
    }

    async fn answer(&self, call: &Call) -> Reply {
        let Some(names) = segments(&call.path) else { return not_found() };
        let path = names.join("/");
        let root = Arc::clone(&self.root);
        let opened = match spawn_blocking(move || open(&root, &names)).await {
            Ok(Ok(Found::File(opened))) => opened,
            // Relative links of its page would miss the folder's name.
            Ok(Ok(Found::Folder)) => return redirect(&call.path),
            _ => return not_found(),
        };
        let Opened { file, length, etag, modified } = opened;
        let common = |reply: Reply| {
            let reply = reply.with(ETAG, &etag).with(CACHE_CONTROL, "no-cache");
            match &modified {
                Some(modified) => reply.with(LAST_MODIFIED, modified),
                None => reply,
            }
        };
        if unchanged(&call.headers, &etag, modified.as_deref()) {
            return common(Reply::empty(StatusCode::NOT_MODIFIED));
        }
        let (status, first, count) = match wanted(&call.headers, &etag, length) {
            Wanted::Whole => (StatusCode::OK, 0, length),
            Wanted::Part(first, count) => (StatusCode::PARTIAL_CONTENT, first, count),
            Wanted::Nothing => {
                return common(Reply::empty(StatusCode::RANGE_NOT_SATISFIABLE))
                    .with(CONTENT_RANGE, &format!("bytes */{length}"));
            }
        };
        let (sender, source) = mpsc::channel(PIECES_AHEAD);
        if call.method != http::Method::HEAD {
            tokio::spawn(send(file, first, count, sender));
        }
        let mut reply = common(Reply::new(status, Content::Stream { length: Some(count), source }))
            .with(CONTENT_TYPE, media_type(&path))
            .with(ACCEPT_RANGES, "bytes");
        if status == StatusCode::PARTIAL_CONTENT {
            let last = first + count - 1;
            reply = reply.with(CONTENT_RANGE, &format!("bytes {first}-{last}/{length}"));
        }
        reply
    }
}

fn not_found() -> Reply {
    Reply::empty(StatusCode::NOT_FOUND)
}

fn redirect(path: &str) -> Reply {
    // Two slashes at the start would name another host.
    let path = path.trim_start_matches('/');
    Reply::empty(StatusCode::PERMANENT_REDIRECT).with(LOCATION, &format!("/{path}/"))
}

/// Walks to the file one name at a time and refuses links on the way; what was opened must be what
/// was looked at.
fn open(root: &Path, names: &[String]) -> io::Result<Found> {
    let absent = || io::Error::from(io::ErrorKind::NotFound);
    let mut path = root.to_path_buf();
    let mut seen: Option<Metadata> = None;
    for (n, name) in names.iter().enumerate() {
        path.push(name);
        let metadata = std::fs::symlink_metadata(&path)?;
        let last = n + 1 == names.len();
        if last && metadata.is_dir() {
            return Ok(Found::Folder);
        }
        if !(if last { metadata.is_file() } else { metadata.is_dir() }) {
            return Err(absent());
        }
        seen = Some(metadata);
    }
    let seen = seen.ok_or_else(absent)?;
    let file = File::open(&path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || !same_file(&seen, &metadata) {
        return Err(absent());
    }
    if !path.canonicalize()?.starts_with(root) {
        return Err(absent());
    }
    let length = metadata.len();
    let since = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let etag = format!("\"{length:x}-{:x}\"", since.map_or(0, |since| since.as_nanos()));
    let modified = since.and_then(|since| http_date(since.as_secs()));
    Ok(Found::File(Opened { file, length, etag, modified }))
}

#[cfg(unix)]
fn same_file(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[cfg(not(unix))]
fn same_file(a: &Metadata, b: &Metadata) -> bool {
    a.len() == b.len() && a.modified().ok() == b.modified().ok()
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(unix_s: u64) -> Option<String> {
    let at = jiff::Timestamp::from_second(i64::try_from(unix_s).ok()?).ok()?;
    Some(at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
}

/// Reads and sends; ends when the client is gone.
async fn send(file: File, first: u64, count: u64, sender: mpsc::Sender<io::Result<Bytes>>) {
    let mut file = Some(file);
    let mut left = count;
    let mut seek = (first > 0).then_some(first);
    while left > 0 {
        // The room first: no piece is read for a client that does not take the last.
        let (Ok(room), Some(mut open)) = (sender.reserve().await, file.take()) else { return };
        let from = seek.take();
        let read = spawn_blocking(move || {
            if let Some(from) = from {
                open.seek(SeekFrom::Start(from))?;
            }
            let want = usize::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
            let mut piece = vec![0; want];
            let got = open.read(&mut piece)?;
            piece.truncate(got);
            Ok((open, piece))
        })
        .await;
        match read.unwrap_or_else(|_| Err(io::ErrorKind::Other.into())) {
            Ok((open, piece)) if !piece.is_empty() => {
                left -= piece.len() as u64;
                file = Some(open);
                room.send(Ok(piece.into()));
            }
            // Shorter than it was: the length was promised, so the connection breaks.
            Ok(_) => return room.send(Err(io::ErrorKind::UnexpectedEof.into())),
            Err(error) => return room.send(Err(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_the_form_of_http() {
        assert_eq!(http_date(784_111_777).unwrap(), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[cfg(unix)]
    #[test]
    fn s60_links_are_not_followed() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "s").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("sub")).unwrap();
        std::fs::write(root.join("sub/file"), "f").unwrap();
        std::os::unix::fs::symlink(outside.path(), root.join("out")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret"), root.join("link")).unwrap();
        let look = |path: &str| open(&root, &segments(path).unwrap());
        assert!(matches!(look("/sub/file"), Ok(Found::File(Opened { length: 1, .. }))));
        assert!(matches!(look("/sub"), Ok(Found::Folder)));
        for path in ["/link", "/out", "/out/secret", "/sub/file/x", "/none", "/sub/"] {
            assert!(look(path).is_err(), "{path}");
        }
    }
}
