//! Down scripts that do nothing, of migrations that change the schema: told, not refused.

use crate::plan::{Direction, Step};
use crate::source::{Entry, Set};

/// What there is to say of a segment that is done.
pub(crate) fn warnings(set: &Set, steps: &[Step]) -> Vec<String> {
    let of = |direction| {
        let steps = steps.iter().filter(move |step: &&Step| step.direction == direction);
        let entries = steps.filter_map(|step| set.get(step.version?));
        entries.filter(|entry| entry.has_empty_down()).collect::<Vec<&Entry>>()
    };
    let mut warnings: Vec<String> = told(&of(Direction::Apply)).into_iter().collect();
    warnings.extend(of(Direction::Revert).iter().map(|entry| {
        format!("the down script of {} is empty: what it did to the schema stays", entry.label())
    }));
    warnings
}

/// That a revert of these migrations would leave the schema as it is.
pub(crate) fn told(entries: &[&Entry]) -> Option<String> {
    let mut names: Vec<&str> = entries.iter().take(5).map(|entry| entry.label()).collect();
    let more = format!("{} more", entries.len().saturating_sub(names.len()));
    if entries.len() > names.len() {
        names.push(&more);
    }
    match entries.len() {
        0 => None,
        1 => Some(format!(
            "the down script of {} is empty: a revert would leave the schema as it is",
            names.concat()
        )),
        _ => Some(format!(
            "the down scripts of {} are empty: a revert would leave the schema as it is",
            names.join(", ")
        )),
    }
}
