//! The program as a child process: its commands, `kill -9` under load, a full disk, a lost file, backups, Litestream.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backup;
mod cli;
mod disk;
mod durability;
mod litestream;
mod lost_file;
mod webhook_order;
