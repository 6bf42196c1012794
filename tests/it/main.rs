//! One binary, a module per promise.

mod baselines;
mod boot;
mod ledgers;
mod logging;
mod policies;
mod repeatables;
mod seeds;
mod sources;
mod speaking;
mod support;
