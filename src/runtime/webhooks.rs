//! Telling the operator's own systems what happens here.

use serde_json::{Value, json};
use uuid::Uuid;

use super::job::{Job, to_json};
use crate::error::Result;
use crate::store::webhooks::{self, NewDelivery};

impl Job<'_> {
    /// Queues an event for every endpoint that wants to hear of it, in the transaction that makes it happen. `body` has
    /// what the event tells; `event` and `timestamp` are added. `contact_seq` is the person it tells of.
    pub(super) fn emit(
        &self,
        event: &'static str,
        contact_seq: Option<i64>,
        body: impl FnOnce() -> Value,
    ) -> Result<()> {
        let listeners = webhooks::listeners(self.tx(), event)?;
        if listeners.is_empty() {
            return Ok(());
        }
        let mut whole = json!({"event": event, "timestamp": self.now().to_iso_seconds()});
        if let (Value::Object(whole), Value::Object(told)) = (&mut whole, body()) {
            whole.extend(told);
        }
        let body = to_json(&whole)?;
        for endpoint_seq in listeners {
            let id = Uuid::now_v7();
            let delivery = NewDelivery { id, endpoint_seq, contact_seq, event, body: &body, created_at: self.now() };
            webhooks::insert_delivery(self.tx(), &delivery)?;
        }
        Ok(())
    }
}
