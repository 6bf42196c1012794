//! What a definition that runs again makes, and how that is taken away.

use super::{Action, Object, Script, quoted};

/// What takes a repeatable's views and triggers away, so that it can run again.
pub(crate) fn undo_of_repeatable(script: &Script) -> String {
    let drops = script.statements.iter().filter_map(|statement| match &statement.action {
        Action::Create { what, name, temp: false, .. } => {
            let what = match what {
                Object::View => "VIEW",
                Object::Trigger => "TRIGGER",
                _ => return None,
            };
            Some(format!("DROP {what} IF EXISTS main.{};\n", quoted(&name.name)))
        }
        _ => None,
    });
    // What was made last may stand on what was made first.
    let mut drops: Vec<String> = drops.collect();
    drops.reverse();
    drops.concat()
}
