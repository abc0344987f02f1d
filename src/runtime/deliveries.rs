//! What a provider delivers: messages of people, the progress of ours, and news about the channel.
//!
//! Everything in a delivery is committed before it is acknowledged, each item in a job of its own. What one person
//! wrote is taken in its order, and different people side by side. If an item cannot be committed, the provider sends
//! the whole delivery again, which changes nothing for the items that were committed: a message is recognized by its
//! id, and each stage of progress is published once.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use serde_json::Value;

use crate::channels::incoming::{IncomingKind, Item, Sender, Stage};
use crate::domain::CounterName;
use crate::error::{Error, Result};
use crate::runtime::job::arrivals::Arrival;
use crate::runtime::{Inbound, ProgressOutcome, Runtime};
use crate::store::{Counter, templates, unprocessed_deliveries};

/// Senders whose items are taken at once.
const MAX_SENDERS: usize = 64;

impl Runtime {
    /// Takes all items of a delivery that arrived in one request.
    ///
    /// # Errors
    /// The first error; the other items are taken all the same. Delivering all of it again loses and doubles nothing.
    pub async fn take_delivery(&self, items: Vec<Item>, arrival: Arrival) -> Result<()> {
        let arrival = Arc::new(arrival);
        let messages = items.iter().filter(|item| matches!(item, Item::Message(_) | Item::Overheard(_))).count();
        self.count_inbound(u32::try_from(messages).unwrap_or(u32::MAX));
        let outcomes = stream::iter(lanes(items)).map(|lane| {
            let arrival = arrival.clone();
            async move {
                let mut outcome = Ok(());
                for item in lane {
                    // Later messages of the same person must not overtake the failed one, which is delivered again;
                    // only an opt-out may, which is taken also where the disk has no room for the rest.
                    if outcome.is_ok() || self.is_opt_out_item(&item) {
                        outcome = outcome.and(self.take_item(item, &arrival).await);
                    }
                }
                outcome
            }
        });
        let failures = outcomes.buffer_unordered(MAX_SENDERS).filter_map(|outcome: Result<()>| async { outcome.err() });
        let failures: Vec<Error> = failures.collect().await;
        failures.into_iter().next().map_or(Ok(()), Err)
    }

    /// Keeps a part of a delivery that nothing else takes; the very same once a day.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub async fn keep_unprocessed(&self, why: String, raw: &Value) -> Result<()> {
        let (channel, raw, now) = (self.channel().name(), raw.to_string(), self.clock().now());
        self.store().write(move |tx| unprocessed_deliveries::insert(tx, channel, &why, &raw, now).map(|_| ())).await
    }

    fn is_opt_out_item(&self, item: &Item) -> bool {
        match item {
            Item::Message(message) | Item::Overheard(message) => match message.kind {
                IncomingKind::Reply(kind) => self.is_opt_out(kind, message.text.as_deref()),
                _ => false,
            },
            Item::Preference(preference) => !preference.wants_marketing,
            _ => false,
        }
    }

    async fn take_item(&self, item: Item, arrival: &Arc<Arrival>) -> Result<()> {
        match item {
            Item::Message(message) => self.receive(Inbound::of(*message, arrival.clone())).await.map(|_| ()),
            Item::Overheard(message) => self.receive(Inbound::overheard(*message, arrival.clone())).await.map(|_| ()),
            Item::Echo(echo) => self.take_echo(*echo, arrival.clone()).await,
            Item::Handover(handover) => self.take_handover(*handover, arrival.clone()).await,
            Item::Progress(progress) => {
                // The number in a failure may not be the recipient's.
                let recipient = (progress.stage != Stage::Failed).then(|| progress.recipient.clone());
                // Counted alone: another system may send from the same number, and each of its messages has three.
                if self.note_progress(*progress).await? == ProgressOutcome::UnknownMessage {
                    let hour = Counter::hour_of(self.clock().now());
                    let total = Counter::of(CounterName::StatusUnknown);
                    let of_hour = Counter { hour, ..total.clone() };
                    let counting = self.store().write(move |tx| {
                        tx.count(total.clone(), 1);
                        tx.count(of_hour.clone(), 1);
                        Ok(())
                    });
                    counting.await?;
                }
                match recipient {
                    Some(recipient) => self.link_addresses(&recipient).await,
                    None => Ok(()),
                }
            }
            Item::Preference(preference) => self.take_preference(preference).await,
            Item::Template(news) => {
                let (channel, now) = (self.channel().name(), self.clock().now());
                tracing::info!(
                    template = news.name,
                    language = news.language,
                    status = news.status,
                    "a template's status"
                );
                let Some(status) = news.becomes else {
                    // Its current state is only in the list of templates.
                    self.want_templates();
                    return Ok(());
                };
                let setting = self
                    .store()
                    .write(move |tx| templates::set_status(tx, channel, (&news.name, &news.language), status, now));
                if !setting.await? {
                    // It was made since the last fetch.
                    self.want_templates();
                }
                Ok(())
            }
            Item::Templates => {
                self.want_templates();
                Ok(())
            }
            Item::Notice { code, text, raw } => {
                tracing::warn!(code, text, "the channel has something to tell its operator");
                self.keep_unprocessed(format!("{code}: {text}"), &raw).await
            }
            Item::Unknown { why, raw } => self.keep_unprocessed(why, &raw).await,
        }
    }
}

/// What the items of one person have in common.
fn keys_of(person: &Sender) -> Vec<String> {
    person.addresses.iter().map(|address| format!("{address:?}")).collect()
}

/// The items of a delivery that must keep their order, apart from those that need not.
fn lanes(items: Vec<Item>) -> Vec<Vec<Item>> {
    let mut lanes: Vec<Vec<(usize, Item)>> = Vec::new();
    let mut lane_of: HashMap<String, usize> = HashMap::new();
    for (index, item) in items.into_iter().enumerate() {
        let keys: Vec<String> = match &item {
            Item::Message(message) | Item::Overheard(message) => keys_of(&message.from),
            Item::Handover(handover) => keys_of(&handover.person),
            Item::Echo(echo) => keys_of(&echo.to).into_iter().chain([echo.provider_id.clone()]).collect(),
            Item::Progress(progress) => {
                let ours = progress.message_id.map(|id| id.to_string());
                ours.into_iter().chain(progress.provider_id.clone()).collect()
            }
            Item::Preference(preference) => keys_of(&preference.from),
            Item::Template(_) => vec!["templates".to_owned()],
            Item::Templates | Item::Notice { .. } | Item::Unknown { .. } => Vec::new(),
        };
        let mut known: Vec<usize> = keys.iter().filter_map(|key| lane_of.get(key).copied()).collect();
        known.sort_unstable();
        known.dedup();
        let lane = known.first().copied().unwrap_or_else(|| {
            lanes.push(Vec::new());
            lanes.len() - 1
        });
        // An item that shows two addresses together makes one person of two.
        for other in known.into_iter().skip(1) {
            let moved = std::mem::take(&mut lanes[other]);
            lanes[lane].extend(moved);
            lane_of.values_mut().filter(|of| **of == other).for_each(|of| *of = lane);
        }
        lanes[lane].push((index, item));
        lane_of.extend(keys.into_iter().map(|key| (key, lane)));
    }
    lanes
        .into_iter()
        .filter(|lane| !lane.is_empty())
        .map(|mut lane| {
            lane.sort_by_key(|(index, _)| *index);
            lane.into_iter().map(|(_, item)| item).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::incoming::IncomingMessage;
    use crate::domain::{AddressKey, AddressKind, ReplyKind};

    fn message(n: usize, number: Option<&str>, id: Option<&str>) -> Item {
        let number = number.map(|digits| AddressKey::new(AddressKind::digits("number"), digits));
        let id = id.map(|id| AddressKey::new(AddressKind::id("id"), id));
        Item::Message(Box::new(IncomingMessage {
            provider_id: n.to_string(),
            from: Sender { addresses: id.into_iter().chain(number).collect(), name: None },
            sent_at: None,
            kind: IncomingKind::Reply(ReplyKind::Text),
            text: None,
            option: None,
            reply_to: None,
            payload: None,
        }))
    }

    #[test]
    fn what_one_person_wrote_stays_in_order() {
        let items = vec![
            message(0, Some("1"), None),
            message(1, None, Some("US.2")),
            message(2, Some("3"), None),
            message(3, None, Some("US.1")),
            message(4, Some("1"), Some("US.1")),
            message(5, None, Some("US.1")),
            message(6, Some("3"), Some("US.3")),
        ];
        let ids = |lane: &Vec<Item>| -> Vec<String> {
            let id = |item: &Item| match item {
                Item::Message(message) => message.provider_id.clone(),
                other => panic!("{other:?}"),
            };
            lane.iter().map(id).collect()
        };
        let lanes: Vec<Vec<String>> = lanes(items).iter().map(ids).collect();
        assert_eq!(lanes, [vec!["0", "3", "4", "5"], vec!["1"], vec!["2", "6"]]);
    }
}
