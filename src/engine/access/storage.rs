//! Who may store, read and delete files by path (live protocol 11, 17): gates that look at the caller only.

use super::live::context;
use super::{Access, Actions, AnonymousAccess};
use crate::engine::error::{Error, Result};
use crate::schema::rules::StorageOperation;

/// The family of records behind stored files.
pub(crate) const FILE: &str = "_file";

impl Access<'_> {
    /// Refuses who may not use storage so: nobody in particular is asked to sign in.
    pub(crate) fn check_storage(&self, operation: StorageOperation) -> Result<()> {
        match (self.storage_allows(operation)?, self.caller.is_anonymous()) {
            (true, _) => Ok(()),
            (false, true) => Err(Error::Unauthenticated),
            (false, false) => Err(Error::Denied),
        }
    }

    fn storage_allows(&self, operation: StorageOperation) -> Result<bool> {
        if self.inner.is_admin(self.caller) {
            return Ok(true);
        }
        let verbs = match operation {
            StorageOperation::Read => Actions::READ,
            StorageOperation::Upload => Actions::CREATE,
            StorageOperation::Delete => Actions::DELETE,
        };
        if !self.principal_may(FILE, verbs)? {
            return Ok(false);
        }
        let rules = self.inner.rules();
        Ok(match &rules.document {
            Some(document) => document.storage_allows(operation, &context(self.inner, self.caller)),
            None if self.caller.is_anonymous() => match rules.anonymous {
                AnonymousAccess::None => false,
                AnonymousAccess::Read => operation == StorageOperation::Read,
                AnonymousAccess::Full => true,
            },
            None => true,
        })
    }

    /// The largest file the caller may store.
    pub(crate) fn storage_bytes_max(&self) -> u64 {
        let of_stack = self.inner.options.storage_bytes_max;
        if self.inner.is_admin(self.caller) {
            return of_stack;
        }
        let rules = self.inner.rules();
        let of_rules = rules.document.as_ref().and_then(|document| document.file_bytes_max());
        of_rules.map_or(of_stack, |max| max.min(of_stack))
    }

    /// Refuses files whose media type the rules do not list.
    pub(crate) fn check_media_type(&self, media_type: &str) -> Result<()> {
        let rules = self.inner.rules();
        let allowed = self.inner.is_admin(self.caller)
            || rules.document.as_ref().is_none_or(|document| document.type_allowed(media_type));
        if allowed { Ok(()) } else { Err(Error::MediaType(media_type.to_owned())) }
    }
}
