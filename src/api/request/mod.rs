//! Reading requests: the JSON body within its limit, and its fields with all their errors at once.

mod body;
pub(super) mod contact_fields;
mod fields;
mod idempotency;
mod page;
mod query;
mod reader;

pub(super) use body::{
    BodyLimit, JsonBody, OptionalJsonBody, decode, is_json, json_bytes, kept_body, media_type, raw_body, too_large,
};
pub(super) use fields::Fields;
pub(super) use idempotency::{Charge, MAX_KEY, answer_idempotent, idempotency_key, run_idempotent, scoped_to};
pub(super) use page::Page;
pub(super) use query::Query;
pub(super) use reader::Reader;
