//! One binary, a module per promise.

mod boot;
mod disk_full;
mod interrupted;
mod killed;
mod read_only;
mod stage;
mod support;
mod together;
