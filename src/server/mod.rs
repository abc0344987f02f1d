//! The server: builds its parts from a configuration, binds its port, and runs until it is stopped.

mod app;
mod background;
mod health;
mod signals;
mod sockets;
mod wiring;

pub use app::App;
