//! The fake Cloud API: what it promises the other tests, and its proof with clients that nobody here wrote.

mod business;
mod clients;
mod faults;
mod reading;
mod sending;
mod webhooks;
