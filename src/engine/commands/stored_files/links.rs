//! Signed links: whoever has one may read one file for a while, without a credential (SECURITY S41).
//!
//! Invariants
//! L1. A link says no more than the one who made it may do now: it dies with their session or token, and with their right
//!     to read.
//! L2. It names one file: neither a file stored later under the path nor another media type is served by it.
//! L3. Signatures are compared in constant time, before anything is looked up.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{FileInfo, StoredFile, missing, open};
use crate::crypto::{constant_time_eq, hmac_sha256};
use crate::engine::access::Access;
use crate::engine::commands::accounts::LINK_KEYS;
use crate::engine::error::{Error, Result};
use crate::engine::{Caller, Engine};
use crate::schema::file_path::FilePath;
use crate::schema::rules::StorageOperation;

/// The longest life of a link.
pub const LINK_SECONDS_MAX: i64 = 86_400;
/// Links are for reading.
const METHOD: &str = "GET";
/// Holders that are neither a session nor an issued token.
const OWNER: &str = "owner";
const ANYBODY: &str = "anybody";
const TOKEN_PREFIX: &str = "tok_";

/// What a link's address carries beside the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Unix seconds.
    pub expires_s: i64,
    /// Session or token that it hangs on.
    pub holder: String,
    /// Id of the file's record.
    pub record: String,
    pub content_type: String,
    /// HMAC-SHA-256 in base64url.
    pub signature: String,
}

impl Link {
    /// No part holds a line break: paths and types are checked, the others are ours or do not verify.
    fn message(&self, path: &str, transform: &str) -> String {
        let Self { expires_s, holder, record, content_type, .. } = self;
        format!("{METHOD}\n{path}\n{expires_s}\n{holder}\n{record}\n{content_type}\n{transform}")
    }
}

impl Engine {
    /// A link to a file the caller has read. `transform` is what else the address asks for, in its one spelling.
    ///
    /// # Errors
    /// [`Error::Denied`] for a caller without anything that could be ended.
    pub fn sign_link(
        &self,
        caller: &Caller,
        file: &FileInfo,
        seconds: i64,
        transform: &str,
    ) -> Result<Link> {
        let holder = match (caller.session(), caller.token()) {
            (Some(session), _) => session.to_string(),
            (None, Some(token)) => format!("{TOKEN_PREFIX}{token}"),
            (None, None) if self.is_owner_alone(caller) => OWNER.to_owned(),
            (None, None) if caller.is_anonymous() => ANYBODY.to_owned(),
            (None, None) => return Err(Error::Denied),
        };
        let keys = self.signing_keys(LINK_KEYS)?;
        let key = keys.first().ok_or(Error::Missing { what: "key", id: LINK_KEYS.into() })?;
        let mut link = Link {
            expires_s: self.clock().now_ms() / 1_000 + seconds.clamp(1, LINK_SECONDS_MAX),
            holder,
            record: file.record.clone(),
            content_type: file.content_type.clone(),
            signature: String::new(),
        };
        let message = link.message(&file.path, transform);
        link.signature = URL_SAFE_NO_PAD.encode(hmac_sha256(&key.secret, message.as_bytes()));
        Ok(link)
    }

    /// The file behind a link.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for a link that is forged, expired or dead; [`Error::Missing`] when the file is gone.
    pub fn open_link(
        &self,
        path: &FilePath,
        link: &Link,
        transform: &str,
    ) -> Result<(FileInfo, StoredFile)> {
        let message = link.message(path.as_str(), transform);
        let shown = URL_SAFE_NO_PAD.decode(&link.signature).map_err(|_| Error::Unauthenticated)?;
        let mut genuine = false;
        for key in self.signing_keys(LINK_KEYS)? {
            genuine |= constant_time_eq(&hmac_sha256(&key.secret, message.as_bytes()), &shown);
        }
        if !genuine || link.expires_s.saturating_mul(1_000) <= self.clock().now_ms() {
            return Err(Error::Unauthenticated);
        }
        let holder = self.holder(&link.holder)?.ok_or(Error::Unauthenticated)?;
        self.store().read(|view| {
            let access = Access::new(&self.inner, view, &holder);
            access.check_storage(StorageOperation::Read).map_err(|error| match error {
                Error::Denied => Error::Unauthenticated,
                other => other,
            })?;
            let (info, stored) = open(view, path)?
                .filter(|(info, _)| info.record == link.record)
                .ok_or_else(|| missing(path))?;
            if info.content_type != link.content_type {
                return Err(Error::Unauthenticated);
            }
            Ok((info, stored))
        })
    }

    /// Who a link speaks for; `None` once their session or token ended.
    fn holder(&self, holder: &str) -> Result<Option<Caller>> {
        if holder == OWNER {
            return Ok(Some(self.owner_caller()));
        }
        if holder == ANYBODY {
            return Ok(Some(Caller::anonymous()));
        }
        let now = self.clock().now_ms();
        if let Some(id) = holder.strip_prefix(TOKEN_PREFIX) {
            let row = self.store().read(|view| view.token(id))?;
            let row = row.filter(|row| row.expires_at.is_none_or(|at| at > now));
            return Ok(row.map(|row| Caller::of_token(&row.principal, &row.subject, &row.id)));
        }
        self.session_holder(holder)
    }
}
