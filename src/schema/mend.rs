//! What `ALTER TABLE` can do in one statement, on a table with rows too:
//! <https://sqlite.org/lang_altertable.html>.

use super::table::{Column, Rows, Table};
use super::{Objects, folded, print};
use crate::sql::keyword::named;

/// `ALTER TABLE … ADD COLUMN`, if that makes the column as it is in these rows.
pub(super) fn add_column(table: &str, rows: &Rows, column: &Column) -> Option<String> {
    let is_key = |keys: &[super::table::KeyColumn]| {
        keys.iter().any(|key| key.name.eq_ignore_ascii_case(&column.name))
    };
    let is_primary = rows.primary_key.as_ref().is_some_and(|key| is_key(&key.columns));
    let is_unique = rows.uniques.iter().any(|key| is_key(&key.columns));
    let stored = column.generated.as_ref().is_some_and(|generated| generated.stored);
    let default = column.default.as_ref();
    let is_constant = default.is_none_or(|default| {
        let clocks = ["current_date", "current_time", "current_timestamp"];
        default.is_literal() && !clocks.iter().any(|clock| default.is(clock))
    });
    let is_filled = column.not_null.is_none() || default.is_some() || column.generated.is_some();
    let refers = rows.foreign_keys.iter().any(|key| print::is_of(key, &column.name));
    let can = !is_primary && !is_unique && !stored && is_constant && is_filled;
    (can && !(refers && default.is_some()))
        .then(|| format!("ALTER TABLE {} ADD COLUMN {}", named(table), print::column(rows, column)))
}

/// `ALTER TABLE … DROP COLUMN`, if nothing else that stays is about the column.
pub(super) fn drop_column(
    table: &Table,
    rows: &Rows,
    column: &Column,
    objects: &Objects,
    stays: impl Fn(&str) -> bool,
) -> Option<String> {
    let name = folded(&column.name);
    let is = |other: &String| other.eq_ignore_ascii_case(&name);
    let keys = rows.primary_key.iter().map(|key| &key.columns);
    let mut keys = keys.chain(rows.uniques.iter().map(|key| &key.columns));
    let in_key = keys.any(|columns| columns.iter().any(|key| is(&key.name)));
    let in_foreign_key =
        rows.foreign_keys.iter().any(|key| key.from.len() > 1 && key.from.iter().any(is));
    let in_check = rows
        .checks
        .iter()
        .any(|check| check.of_column.as_ref() != Some(&name) && check.expression.mentions(&name));
    let in_generated = rows.columns.iter().any(|other| {
        let generated = other.generated.as_ref();
        generated.is_some_and(|generated| generated.expression.mentions(&name))
    });
    let in_index = objects.indexes.iter().any(|(index, on)| {
        let terms = on.terms.iter().map(|term| &term.what);
        stays(index)
            && on.table.eq_ignore_ascii_case(&table.name)
            && terms.chain([&on.filter]).any(|phrase| phrase.mentions(&name))
    });
    let in_view = objects.views.iter().any(|(view, of)| stays(view) && of.body.mentions(&name));
    let in_trigger =
        objects.triggers.iter().any(|(trigger, on)| stays(trigger) && on.body.mentions(&name));
    let refers = in_key || in_foreign_key || in_check || in_generated;
    (!refers && !in_index && !in_view && !in_trigger)
        .then(|| format!("ALTER TABLE {} DROP COLUMN {}", named(&table.name), named(&column.name)))
}
