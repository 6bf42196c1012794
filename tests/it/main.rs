//! One binary, a module per promise.

mod boot;
mod interrupted;
mod killed;
mod stage;
mod support;
