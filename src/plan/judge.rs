//! What the text of a script asks of the plan it is part of.

use super::Risk;
use crate::sql::action::Change;
use crate::sql::{Action, Object, Script};

/// Whether a table is dropped that was not the script's own TEMP table.
pub(super) fn drops_a_table(script: &Script) -> bool {
    let is_temp = |table: &str| {
        script.statements.iter().any(|statement| {
            matches!(&statement.action, Action::Create { name, temp: true, .. } if name.is(table))
        })
    };
    script.statements.iter().any(|statement| match &statement.action {
        Action::Drop { what: Object::Table, name } => !name.is_temp() && !is_temp(&name.name),
        _ => false,
    })
}

pub(super) fn risk(script: &Script) -> Risk {
    let any = |of: fn(&Action) -> bool| script.statements.iter().any(|s| of(&s.action));
    let breaks = |action: &Action| match action {
        Action::Drop { what, .. } => matches!(what, Object::Table | Object::View),
        Action::Alter { change, .. } => !matches!(change, Change::AddColumn(_)),
        _ => false,
    };
    let defines = |action: &Action| match action {
        Action::Create { what, temp, .. } => {
            !temp && matches!(what, Object::View | Object::Trigger)
        }
        // `INSERT INTO t VALUES (…)` in a trigger counts the columns, a join can find a name in
        // two tables, and `ON CONFLICT` and `INDEXED BY` need their index.
        Action::Alter { .. } | Action::Drop { what: Object::Index, .. } => true,
        _ => false,
    };
    match (any(breaks), any(defines)) {
        (true, _) => Risk::Breaks,
        (false, true) => Risk::Defines,
        (false, false) => Risk::Nothing,
    }
}
