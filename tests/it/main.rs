//! One binary, a module per promise.

mod backups;
mod bad_sets;
mod baselines;
mod boot;
mod checksums;
mod directives;
mod disk_full;
mod environment;
mod interrupted;
mod killed;
mod ledgers;
mod logging;
mod policies;
mod read_only;
mod rebuilds;
mod repeatables;
mod seeds;
mod sources;
mod speaking;
mod splitting;
mod stage;
mod support;
mod texts;
mod together;
mod transactions;
