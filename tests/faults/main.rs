//! What the system does to a start: calls that fail, and power that is lost.
//!
//! Some of the places are tried, spread evenly; all of them with `LANDFALL_FAULTS=all` in the
//! environment, which takes some minutes.

#![cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]

mod calls;
mod fails;
mod power;
mod scenes;
#[allow(dead_code)]
#[path = "../it/support.rs"]
mod support;

/// Whether every place is to be tried.
fn all() -> bool {
    std::env::var("LANDFALL_FAULTS").is_ok_and(|value| value == "all")
}
