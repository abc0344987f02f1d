//! What is posted to `/webhooks/whatsapp`, once its signature holds.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../invariants/webhook.rs"]
mod webhook;

fuzz_target!(|raw: &[u8]| webhook::check(raw));
