//! A list of operations as one unit, and answers remembered for requests that may be sent twice.

use std::sync::Arc;

use super::apply::{RowOp, RowResult, Status, Verb, apply};
use super::read::shown_fields;
use super::{Row, family_of, row_id};
use crate::engine::access::{Access, Action};
use crate::engine::commands::commit;
use crate::engine::error::{Error, Result};
use crate::engine::{Caller, Engine, Inner};
use crate::schema::rules::Operation;
use crate::store::{AnswerRow, Unit};

/// How long an answer is remembered.
const ANSWER_MS: i64 = 24 * 3_600_000;
/// Rows looked at between two pages when a collection is emptied.
const SWEEP_ROWS: i64 = 500;

/// What became of the unit.
#[derive(Clone, Debug)]
pub struct Mutated {
    pub tx: i64,
    pub results: Vec<RowResult>,
}

/// The first operation that failed, and why. Nothing was done.
#[derive(Debug)]
pub struct MutateError {
    pub index: usize,
    pub error: Error,
}

/// A key under which the answer is remembered, with what identifies the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    pub key: String,
    pub fingerprint: [u8; 32],
}

/// Status and body of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub status: u16,
    pub body: String,
    /// It was given before; nothing was done now.
    pub replayed: bool,
}

impl Engine {
    /// Applies operations in order, as one unit.
    pub async fn mutate(
        &self,
        caller: &Caller,
        ops: Vec<RowOp>,
    ) -> Result<Result<Mutated, MutateError>> {
        let (inner, caller) = (Arc::clone(&self.inner), caller.clone());
        self.store()
            .write_several(move |unit| {
                let done = unit.attempt(|unit| apply_all(&inner, unit, &caller, &ops));
                Ok(done.map_err(MutateError::from))
            })
            .await
    }

    /// As [`Engine::mutate`], answering through `render`; with a key, a second request gets the first one's answer. The
    /// answer is stored in the unit it answers.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the key was used for another request.
    pub async fn mutate_once(
        &self,
        caller: &Caller,
        ops: Vec<RowOp>,
        key: Option<Idempotency>,
        render: impl FnOnce(Result<Mutated, MutateError>) -> (u16, String) + Send + 'static,
    ) -> Result<Outcome> {
        let (inner, caller) = (Arc::clone(&self.inner), caller.clone());
        self.store()
            .write_several(move |unit| {
                let who = caller.subject().unwrap_or("anonymous").to_owned();
                let since = unit.at() - ANSWER_MS;
                if let Some(key) = &key
                    && let Some(known) = unit.answer(&who, &key.key, since)?
                {
                    if known.fingerprint != key.fingerprint {
                        return Err(Error::Conflict(
                            "this idempotency key was used for another request".into(),
                        ));
                    }
                    let AnswerRow { status, body, .. } = known;
                    return Ok(Outcome { status, body, replayed: true });
                }
                let done = unit.attempt(|unit| apply_all(&inner, unit, &caller, &ops));
                let (status, body) = render(done.map_err(MutateError::from));
                if let Some(key) = key.filter(|_| status < 500) {
                    let fingerprint = key.fingerprint.to_vec();
                    let answer = AnswerRow { fingerprint, status, body: body.clone() };
                    unit.remember_answer(&who, &key.key, &answer, since)?;
                }
                Ok(Outcome { status, body, replayed: false })
            })
            .await
    }

    /// Removes every row of a collection that the caller may delete, as one unit; answers how many.
    pub async fn clear(&self, caller: &Caller, entity: &str) -> Result<u64> {
        let (inner, caller, entity) = (Arc::clone(&self.inner), caller.clone(), entity.to_owned());
        self.store().write_several(move |unit| clear(&inner, unit, &caller, &entity)).await
    }
}

struct Failed(usize, Error);

impl From<Failed> for MutateError {
    fn from(Failed(index, error): Failed) -> Self {
        Self { index, error }
    }
}

impl From<crate::store::StoreError> for Failed {
    fn from(error: crate::store::StoreError) -> Self {
        Self(0, error.into())
    }
}

fn apply_all(
    inner: &Inner,
    unit: &mut Unit<'_>,
    caller: &Caller,
    ops: &[RowOp],
) -> Result<Mutated, Failed> {
    let mut results = Vec::with_capacity(ops.len());
    // A link may point at what a later operation makes: those are tried again at the end.
    let mut waiting = Vec::new();
    for (index, op) in ops.iter().enumerate() {
        match apply(inner, unit, caller, op) {
            Ok(result) => results.push(result),
            Err(Error::Missing { .. }) if op.verb == Verb::Link => {
                waiting.push(index);
                results.push(RowResult {
                    entity: op.entity.clone(),
                    id: op.id.clone().unwrap_or_default(),
                    status: Status::Linked,
                    row: None,
                });
            }
            Err(error) => return Err(Failed(index, error)),
        }
    }
    for index in waiting {
        results[index] =
            apply(inner, unit, caller, &ops[index]).map_err(|error| Failed(index, error))?;
    }
    if !unit.has_changed() {
        // A write without effect still is one: it has a number.
        let actor = commit::actor(unit, caller).map_err(|error| Failed(0, error))?;
        unit.append_nothing(actor)?;
    }
    // Content as it is after the whole unit: a later operation may have changed an earlier one's row.
    for result in &mut results {
        let Some(row) = result.row.take() else { continue };
        if let Some(now) = super::find_row(unit, family_of(&result.entity), &row.id)? {
            let access = Access::new(inner, unit, caller);
            let fields = shown_fields(&access, &now).map_err(|error| Failed(0, error))?;
            result.row = Some(Row {
                id: row_id(&now),
                tx: now.tx,
                created_at: now.created_at,
                updated_at: now.updated_at,
                fields,
                ..row
            });
        }
    }
    Ok(Mutated { tx: unit.tx(), results })
}

fn clear(inner: &Inner, unit: &mut Unit<'_>, caller: &Caller, entity: &str) -> Result<u64> {
    let family = family_of(entity);
    // Accounts end one by one.
    if family.starts_with('_')
        || Access::new(inner, unit, caller).is_closed(family, Operation::Delete)?
    {
        return Err(Error::Denied);
    }
    let mut gone = 0;
    for type_id in unit.types().family(family).to_vec() {
        let mut after = (i64::MIN, i64::MIN);
        loop {
            let page = unit.page_of_type(type_id, after, SWEEP_ROWS)?;
            let Some(last) = page.last() else { break };
            after = (last.created_at, last.rid);
            for row in page.into_iter().filter(|row| row.deleted_at.is_none()) {
                let access = Access::new(inner, unit, caller);
                if access.may(Action::Read, &row)? && access.may(Action::Delete, &row)? {
                    crate::engine::commands::delete(inner, unit, caller, row, None)?;
                    gone += 1;
                }
            }
        }
    }
    if gone == 0 {
        let actor = commit::actor(unit, caller)?;
        unit.append_nothing(actor)?;
    }
    Ok(gone)
}
