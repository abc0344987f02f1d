//! A stateful fake of the WhatsApp Cloud API: it stands for Meta and for the phones.
//!
//! ```text
//! let cloud = FakeCloud::start(Setup { webhook_url: Some(url), now: by_hand(&millis), ..Setup::default() });
//! // The server under test sends to cloud.base_url(), with the tokens and ids of the setup.
//! cloud.add_template(Template::new("abandoned_cart", "en_US").body("Hi {{1}}").quick_reply("Check out"));
//! let anna = cloud.phone("+4915112345678");
//! anna.say("hello");                              // a signed webhook, at once unless Delivery::held is set
//! anna.wait_for(1).await;                         // what the server has sent to this phone
//! anna.tap(&anna.inbox()[0].wamid, "Check out");  // answers that message's button, list row or quick reply
//! cloud.settle().await;                           // every webhook, and what falls due again, has been posted
//! ```
//!
//! - **Sending.** [`FakeCloud::accepted`], [`FakeCloud::refused`] and [`FakeCloud::requests`] are the journals.
//!   [`FakeCloud::next`], [`FakeCloud::next_times`] and [`FakeCloud::when`] plan a [`Fault`] for requests to come: an
//!   error, a page of HTML, a late answer, a dropped connection, a failure by webhook.
//! - **Receiving.** [`FakeCloud::set_delivery`] says how webhooks go out: held, doubled, shuffled, in batches, without
//!   `delivered`, statuses apart. [`FakeCloud::deliver`] posts what is due and gives the answers;
//!   [`FakeCloud::post_raw`] posts any body with any signature, [`FakeCloud::verify_webhook`] makes the challenge.
//! - **Others.** [`Phone::hear_colleague`] is what somebody writes in the Business app, [`Phone::say_to_agent`],
//!   [`Phone::hear_agent`] and [`Phone::hand_over`] what becomes of a conversation with an agent of Meta's.
//! - **Phones.** [`FakeCloud::phone`] has a number, [`FakeCloud::user_without_phone`] only a BSUID.
//!
//! It imitates, after Meta's documentation of 2026 and its OpenAPI file v23.0: the bearer token (190), the path's ids,
//! the shape and the limits of each message (100, 131008, 131009, 131051), templates with their states and parameters
//! (132000, 132001, 132012, 132015, 132016), the 24-hour window (131047, at once or by webhook), pacing for each pair
//! (131056) and for the number (130429), `to` without a plus sign, identifiers in the wrong field, statuses with
//! callback data and pricing, webhooks as `\uXXXX`-escaped JSON signed over those very bytes, their repetition until
//! 200 is answered, paged lists of templates, and media by id.
//!
//! It does not imitate: fetching linked media, uploads, marketing caps and opt-outs (plan a [`Fault`] for their codes),
//! limits of management requests, the rule of 30 days after which a number disappears behind a username (say
//! [`Phone::hide_number`]), encryption, calls, groups, WhatsApp Flows, or the times that the real service takes.

mod cloud;
mod courier;
mod error;
mod faults;
mod graph;
mod limits;
mod messages;
mod others;
mod pacing;
mod phones;
mod state;
mod templates;
mod webhooks;

pub use cloud::{FakeCloud, Now, Setup, by_hand};
pub use error::GraphError;
pub use faults::{Fault, Gate};
pub use pacing::Pacing;
pub use phones::{Phone, Received};
pub use state::{Accepted, Fate, Refused, Request, Template, WindowRefusal, brazil_mexico_argentina};
pub use webhooks::{Delivery, Posted, Status, escape, sign};
