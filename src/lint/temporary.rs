//! What a script makes TEMP: whether it goes again, and whose name it has.

use super::{Hit, Kind};
use crate::sql::{Action, Object, Rule, Script};

pub(super) fn look(script: &Script, all: &[(Kind, &Script)], found: &mut Vec<Hit>) {
    for (at, statement) in script.statements.iter().enumerate() {
        let Action::Create { what, name, temp: true, .. } = &statement.action else { continue };
        let after = script.statements.get(at..).unwrap_or_default();
        let goes = after.iter().any(|later| match &later.action {
            Action::Drop { what: dropped, name: gone } => dropped == what && gone.is(&name.name),
            _ => false,
        });
        let kind = match what {
            Object::Table | Object::VirtualTable => "table",
            Object::Index => "index",
            Object::View => "view",
            Object::Trigger => "trigger",
        };
        let name = &name.name;
        if !goes {
            let what = format!("the TEMP {kind} `{name}` is not dropped");
            found.push(Hit::at(Rule::TempLeftBehind, script, statement.start, what));
        }
        if *what != Object::Trigger && all.iter().any(|(_, script)| makes(script, name)) {
            let what =
                format!("the TEMP {kind} `{name}` has the name of one of the database's own");
            found.push(Hit::at(Rule::TempShadows, script, statement.start, what));
        }
    }
}

/// Whether a script makes a table or view of this name in the database.
fn makes(script: &Script, wanted: &str) -> bool {
    script.statements.iter().any(|statement| match &statement.action {
        Action::Create { what, name, temp: false, .. } => {
            matches!(what, Object::Table | Object::View | Object::VirtualTable) && name.is(wanted)
        }
        _ => false,
    })
}
