//! Reference gating: nobody links to what it could not reach anyway (stack protocol 6.5).

use std::ops::ControlFlow;

use super::{Access, Action, Actions};
use crate::engine::error::{Error, Result};
use crate::engine::links::Association;
use crate::engine::record::rid_of;
use crate::store::{AssociationKind, StoreError};

/// The family of upload metadata.
pub(crate) const ATTACHMENT: &str = "_attachment";

impl Access<'_> {
    /// Missing and unreadable are one answer.
    pub(crate) fn may_refer_to_record(&self, id: &str) -> Result<bool> {
        if self.alone() {
            return Ok(true);
        }
        let Some(rid) = rid_of(self.view(), id)? else { return Ok(false) };
        match self.view().record(rid)? {
            Some(row) => self.may(Action::Read, &row),
            None => Ok(false),
        }
    }

    /// Some live record that the requester may read references the file.
    pub(crate) fn reads_reference_to(&self, file: &str) -> Result<bool> {
        let (mut found, mut fault) = (false, None);
        self.view().each_reference_to(file, |rid| {
            let readable = match self.view().record(rid)? {
                Some(row) if row.deleted_at.is_none() => self.may(Action::Read, &row),
                _ => Ok(false),
            };
            match readable {
                Ok(false) => return Ok::<_, StoreError>(ControlFlow::Continue(())),
                Ok(true) => found = true,
                Err(error) => fault = Some(error),
            }
            Ok(ControlFlow::Break(()))
        })?;
        match fault {
            Some(error) => Err(error),
            None => Ok(found),
        }
    }

    pub(crate) fn may_access_file(&self, file: &str) -> Result<bool> {
        if self.alone() || self.reads_reference_to(file)? {
            return Ok(true);
        }
        let Some(subject) = self.caller().subject() else { return Ok(false) };
        if !self.principal_may(ATTACHMENT, Actions::READ)? {
            return Ok(false);
        }
        if subject == self.owner() {
            return Ok(true);
        }
        let types = self.view().types();
        let Some(attachment) = types.get("_attachment@1") else { return Ok(false) };
        let Some(name) = self.view().name_id(subject)? else { return Ok(false) };
        Ok(self
            .view()
            .records_with_text(attachment.row_id, "fileId", file)?
            .iter()
            .any(|row| row.deleted_at.is_none() && row.subject == Some(name)))
    }

    /// The gate over everything that a create, patch or restore newly points at.
    pub(crate) fn check_references(
        &self,
        group: bool,
        parent: Option<&str>,
        associations: &[Association],
        files: impl Iterator<Item = String>,
    ) -> Result<()> {
        if self.alone() {
            return Ok(());
        }
        let refuse = |may: bool| if may { Ok(()) } else { Err(Error::Denied) };
        if let Some(parent) = parent {
            refuse(self.may_refer_to_record(parent)?)?;
        }
        for association in associations {
            match association.kind {
                AssociationKind::Tag => {}
                // Members of a group are named by DID.
                AssociationKind::Relationship if group => {}
                AssociationKind::Relationship => {
                    refuse(self.may_refer_to_record(&association.target)?)?;
                }
                AssociationKind::Attachment | AssociationKind::FileField => {
                    refuse(self.may_access_file(&association.target)?)?;
                }
            }
        }
        for file in files {
            refuse(self.may_access_file(&file)?)?;
        }
        Ok(())
    }
}
