//! What only some applications ask for, by the functions that do it.

use rusqlite::Connection;

use crate::adoption::Adoption;
use crate::damage::Newest;
use crate::drift::Watched;
use crate::error::Result;
use crate::ledger::Ledger;
use crate::migrator::Migrator;
use crate::run::adopt::Adopting;
use crate::run::backup::BackUp;
use crate::run::seeds::Sowing;
use crate::run::segment::Call;
use crate::run::undo::PutBack;

/// Rooms that a start enters only where an option was called. The option puts the function here that
/// leads into its room, beside what it is told, and no verb that starts a database names that room
/// otherwise: a program that never calls the option is linked without it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Means {
    pub(crate) adopt: Option<Adopt>,
    pub(crate) back_up: Option<BackUp>,
    pub(crate) newest_backup: Option<Newest>,
    pub(crate) sow: Option<&'static Sowing>,
    pub(crate) call: Option<Call>,
    pub(crate) put_back: Option<PutBack>,
    pub(crate) watch: Option<Watch>,
}

type Adopt = for<'a> fn(&'a Migrator, &'a Adoption, &'a Connection) -> Adopting<'a>;
type Watch = fn(&Migrator, &Connection, &Ledger<'_>) -> Result<Watched>;
