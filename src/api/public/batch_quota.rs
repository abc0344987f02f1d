//! What a batch of triggers takes of its caller's quotas: all of it before the first row starts, so that a batch for
//! which there is no room starts nothing.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ops::Range;

use crate::api::auth::Principal;
use crate::api::error::ApiError;
use crate::api::request::Charge;
use crate::api::state::State;
use crate::api::state::quotas::Reserved;
use crate::api::state::usage::Amount;
use crate::runtime::IdempotencyKey;

/// What the idempotency keys of rows belong to.
const ROW_ROUTE: &str = "trigger-batch-row";
/// Bytes of the answer to a row, about: ids, and the name of a flow.
const ANSWER_BYTES: usize = 512;

/// What was taken for a batch, of which each row gets its part. What rows have not got when the batch ends, because its
/// caller went away, is given back: those were not started.
pub(super) struct BatchQuota<'a> {
    principal: &'a Principal,
    /// Rows that were answered before. They take nothing.
    answered: HashSet<usize>,
    /// What is left for the rows to come.
    left: RefCell<Option<Reserved<'a>>>,
}

impl<'a> BatchQuota<'a> {
    /// Takes what the rows of a batch will take that were not answered before.
    ///
    /// # Errors
    /// A limit leaves no room for all of them; then nothing is taken. Or the database cannot be read.
    pub(super) async fn take(
        state: &'a State,
        principal: &'a Principal,
        key: Option<&IdempotencyKey>,
        rows: &[Range<usize>],
    ) -> Result<Self, ApiError> {
        let answered = answered_rows(state, key, rows.len()).await?;
        let of_rows = rows.iter().enumerate().filter(|(index, _)| !answered.contains(index));
        let of_rows = of_rows.map(|(index, row)| amount_of(row.len(), key.map(|key| row_key(key, index)).as_ref()));
        let whole = of_rows.fold(of_batch(key), Amount::plus);
        let now = state.runtime.clock().now();
        match state.quotas.take(principal, whole, now) {
            Ok(taken) => Ok(Self { principal, answered, left: RefCell::new(Some(taken)) }),
            Err(_) if answered.len() == rows.len() && !rows.is_empty() => {
                Ok(Self { principal, answered, left: RefCell::default() })
            }
            Err(over) => Err(state.quotas.refuse(principal, over, now)),
        }
    }

    /// What keeping the key of the batch counts against.
    pub(super) fn for_batch(&self, key: Option<&IdempotencyKey>) -> Charge<'a> {
        self.part(of_batch(key))
    }

    /// What a row of so many bytes counts against.
    pub(super) fn for_row(&self, index: usize, bytes: usize, key: Option<&IdempotencyKey>) -> Charge<'a> {
        let amount = amount_of(bytes, key);
        if self.answered.contains(&index) { Charge::Answered(self.principal, amount) } else { self.part(amount) }
    }

    fn part(&self, amount: Amount) -> Charge<'a> {
        match self.left.borrow_mut().as_mut() {
            Some(left) => Charge::Taken(left.split(amount)),
            None => Charge::Answered(self.principal, amount),
        }
    }
}

impl Drop for BatchQuota<'_> {
    fn drop(&mut self) {
        if let Some(left) = self.left.take() {
            left.give_back();
        }
    }
}

/// The key of a row, under the one of its batch.
pub(super) fn row_key(batch: &IdempotencyKey, index: usize) -> IdempotencyKey {
    // The index first: no other pair of index and key makes the same text.
    IdempotencyKey { route: ROW_ROUTE, key: format!("{index}#{}", batch.key), ..batch.clone() }
}

/// What a batch takes for its own key.
fn of_batch(key: Option<&IdempotencyKey>) -> Amount {
    key.map_or_else(Amount::default, |key| Amount::default().keeping(&key.key, ANSWER_BYTES))
}

/// What a row takes.
fn amount_of(bytes: usize, key: Option<&IdempotencyKey>) -> Amount {
    let amount = Amount { rows: 1, ..Amount::of_body(bytes) };
    key.map_or(amount, |key| amount.keeping(&key.key, ANSWER_BYTES))
}

/// The rows whose answers are kept. Only where the batch was begun before can there be any.
async fn answered_rows(state: &State, key: Option<&IdempotencyKey>, rows: usize) -> Result<HashSet<usize>, ApiError> {
    let Some(key) = key else { return Ok(HashSet::new()) };
    if !state.runtime.answered(vec![key.clone()]).await?.contains(&true) {
        return Ok(HashSet::new());
    }
    let keys = (0..rows).map(|index| row_key(key, index)).collect();
    let answered = state.runtime.answered(keys).await?;
    Ok(answered.into_iter().enumerate().filter(|(_, is)| *is).map(|(index, _)| index).collect())
}
