//! Where two schemas differ. Pure.

use std::collections::BTreeMap;

use super::change::{Change, Kind};
use super::table::{Body, Collation, Column, ForeignKey, Rows, Table, Unique, same_names};
use super::{Objects, Snapshot, folded, mend, print};
use crate::sql::keyword::named;

/// Where two schemas differ, in an order in which their
/// [statements](Change::statements) can be executed: first what should not be there goes, then
/// tables come and change, then indexes, views and triggers. Reads and writes nothing.
///
/// ```
/// use landfall::schema::{Snapshot, diff};
///
/// let snapshot = |sql: &str| {
///     let conn = landfall::rusqlite::Connection::open_in_memory()?;
///     conn.execute_batch(sql)?;
///     Ok::<_, Box<dyn std::error::Error>>(Snapshot::of(&conn)?)
/// };
/// let changes = diff(&snapshot("CREATE TABLE a(x)")?, &snapshot("CREATE TABLE b(x)")?);
/// let told: Vec<String> = changes.iter().map(ToString::to_string).collect();
/// assert_eq!(told, ["table `a` should not be there", "table `b` is missing"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn diff(first: &Snapshot, second: &Snapshot) -> Vec<Change> {
    let differ = Differ { first: &first.objects, second: &second.objects };
    let mut changes = Vec::new();
    differ.what_goes(&mut changes);
    differ.tables(&mut changes);
    differ.what_comes(&mut changes);
    changes
}

struct Differ<'a> {
    first: &'a Objects,
    second: &'a Objects,
}

/// Those of the first map that the second has not.
fn only<'m, T>(
    first: &'m BTreeMap<String, T>,
    second: &'m BTreeMap<String, T>,
) -> impl Iterator<Item = &'m T> {
    first.iter().filter(|(name, _)| !second.contains_key(*name)).map(|(_, object)| object)
}

/// Those that both have.
fn both<'m, T>(
    first: &'m BTreeMap<String, T>,
    second: &'m BTreeMap<String, T>,
) -> impl Iterator<Item = (&'m T, &'m T)> {
    first.iter().filter_map(|(name, object)| Some((object, second.get(name)?)))
}

fn change(kind: Kind, table: &str, name: &str) -> Change {
    let (table, name) = (table.to_owned(), name.to_owned());
    Change { kind, table, name, before: None, after: None, statements: Vec::new() }
}

impl Change {
    fn sides(mut self, before: Option<String>, after: Option<String>) -> Self {
        (self.before, self.after) = (before, after);
        self
    }

    fn by(mut self, statements: impl IntoIterator<Item = String>) -> Self {
        self.statements = statements.into_iter().collect();
        self
    }
}

impl Differ<'_> {
    /// Whether a table or view of the first is one that goes, and takes what hangs on it along.
    fn goes(&self, table: &str) -> bool {
        let name = folded(table);
        let (first, second) = (self.first, self.second);
        first.tables.contains_key(&name) && !second.tables.contains_key(&name)
            || first.views.contains_key(&name) && !second.views.contains_key(&name)
    }

    fn what_goes(&self, changes: &mut Vec<Change>) {
        let (first, second) = (self.first, self.second);
        for trigger in only(&first.triggers, &second.triggers) {
            if !self.goes(&trigger.table) {
                let change = change(Kind::Trigger, &trigger.table, &trigger.name)
                    .sides(Some(print::trigger(trigger)), None);
                changes.push(change.by([format!("DROP TRIGGER {}", named(&trigger.name))]));
            }
        }
        for view in only(&first.views, &second.views) {
            let change = change(Kind::View, &view.name, "").sides(Some(print::view(view)), None);
            changes.push(change.by([format!("DROP VIEW {}", named(&view.name))]));
        }
        for index in only(&first.indexes, &second.indexes) {
            if !self.goes(&index.table) {
                let change = change(Kind::Index, &index.table, &index.name)
                    .sides(Some(print::index(index, first)), None);
                changes.push(change.by([format!("DROP INDEX {}", named(&index.name))]));
            }
        }
        for table in only(&first.tables, &second.tables) {
            let change =
                change(Kind::Table, &table.name, "").sides(Some(print::table(table)), None);
            changes.push(change.by([format!("DROP TABLE {}", named(&table.name))]));
        }
    }

    fn tables(&self, changes: &mut Vec<Change>) {
        let (first, second) = (self.first, self.second);
        for table in only(&second.tables, &first.tables) {
            let text = print::table(table);
            let change = change(Kind::Table, &table.name, "").sides(None, Some(text.clone()));
            changes.push(change.by([text]));
        }
        for (table, wanted) in both(&first.tables, &second.tables) {
            match (&table.body, &wanted.body) {
                (Body::Rows(rows), Body::Rows(then)) => {
                    let of = OfTable { differ: self, table, wanted, rows, then };
                    of.changes(changes);
                }
                (
                    Body::Virtual { module, arguments },
                    Body::Virtual { module: then, arguments: with },
                ) => {
                    if module != then || arguments != with {
                        let using = |module: &str, arguments| format!("{module}{arguments}");
                        changes.push(
                            change(Kind::Module, &table.name, "")
                                .sides(Some(using(module, arguments)), Some(using(then, with))),
                        );
                    }
                }
                _ => changes.push(
                    change(Kind::Table, &table.name, "")
                        .sides(Some(print::table(table)), Some(print::table(wanted))),
                ),
            }
        }
    }

    fn what_comes(&self, changes: &mut Vec<Change>) {
        let (first, second) = (self.first, self.second);
        for (name, index) in &second.indexes {
            let was = first.indexes.get(name);
            if was == Some(index) {
                continue;
            }
            let text = print::index(index, second);
            // With its table an index is gone already.
            let stays = was.is_some_and(|was| !self.goes(&was.table));
            let drop = stays.then(|| format!("DROP INDEX {}", named(&index.name)));
            let before = was.map(|was| print::index(was, first));
            changes.push(
                change(Kind::Index, &index.table, &index.name)
                    .sides(before, Some(text.clone()))
                    .by(drop.into_iter().chain([text])),
            );
        }
        for (name, view) in &second.views {
            let was = first.views.get(name);
            if was == Some(view) {
                continue;
            }
            let text = print::view(view);
            let mut statements = Vec::new();
            statements.extend(was.map(|_| format!("DROP VIEW {}", named(&view.name))));
            statements.push(text.clone());
            // Its triggers go with it, and nothing else says that they are to come again.
            let lost = both(&first.triggers, &second.triggers)
                .filter(|(a, b)| a == b && folded(&b.table) == *name)
                .map(|(_, trigger)| print::trigger(trigger));
            if was.is_some() {
                statements.extend(lost);
            }
            changes.push(
                change(Kind::View, &view.name, "")
                    .sides(was.map(print::view), Some(text))
                    .by(statements),
            );
        }
        for (name, trigger) in &second.triggers {
            let was = first.triggers.get(name);
            if was == Some(trigger) {
                continue;
            }
            let text = print::trigger(trigger);
            let drop = was.map(|_| format!("DROP TRIGGER IF EXISTS {}", named(&trigger.name)));
            changes.push(
                change(Kind::Trigger, &trigger.table, &trigger.name)
                    .sides(was.map(print::trigger), Some(text.clone()))
                    .by(drop.into_iter().chain([text])),
            );
        }
    }
}

/// A table that both have.
struct OfTable<'a> {
    differ: &'a Differ<'a>,
    table: &'a Table,
    wanted: &'a Table,
    rows: &'a Rows,
    then: &'a Rows,
}

impl OfTable<'_> {
    fn change(&self, kind: Kind, name: &str) -> Change {
        change(kind, &self.table.name, name)
    }

    fn changes(&self, changes: &mut Vec<Change>) {
        let (rows, then) = (self.rows, self.then);
        self.columns(changes);
        if rows.primary_key != then.primary_key {
            let side =
                |rows: &Rows| rows.primary_key.as_ref().map(|key| print::primary_key(rows, key));
            changes.push(self.change(Kind::PrimaryKey, "").sides(side(rows), side(then)));
        }
        self.uniques(changes);
        self.foreign_keys(changes);
        self.checks(changes);
        for (kind, before, after) in [
            (Kind::Strict, rows.strict, then.strict),
            (Kind::WithoutRowid, rows.without_rowid, then.without_rowid),
        ] {
            if before != after {
                let word = if kind == Kind::Strict { "STRICT" } else { "WITHOUT ROWID" };
                let side = |is: bool| is.then(|| word.to_owned());
                changes.push(self.change(kind, "").sides(side(before), side(after)));
            }
        }
        if rows.rest != then.rest {
            let side = |rows: &Rows| (!rows.rest.is_empty()).then(|| rows.rest.to_string());
            changes.push(self.change(Kind::Other, "").sides(side(rows), side(then)));
        }
    }

    fn columns(&self, changes: &mut Vec<Change>) {
        let (rows, then) = (self.rows, self.then);
        let old: BTreeMap<String, &Column> = by_name(rows);
        let new: BTreeMap<String, &Column> = by_name(then);
        let mut order: Vec<&str> = Vec::new();
        // One at least has to stay, and hold a value.
        let some_stay = rows
            .columns
            .iter()
            .any(|column| column.generated.is_none() && new.contains_key(&folded(&column.name)));
        for column in &rows.columns {
            if new.contains_key(&folded(&column.name)) {
                order.push(&column.name);
                continue;
            }
            let stays = |name: &str| {
                let second = self.differ.second;
                second.indexes.contains_key(name)
                    || second.views.contains_key(name)
                    || second.triggers.contains_key(name)
            };
            let first = self.differ.first;
            let statement =
                mend::drop_column(self.table, rows, column, first, stays).filter(|_| some_stay);
            let change = self.change(Kind::Column, &column.name);
            changes.push(change.sides(Some(print::column(rows, column)), None).by(statement));
        }
        for column in &then.columns {
            match old.get(&folded(&column.name)) {
                Some(was) => self.column(was, column, changes),
                None => {
                    order.push(&column.name);
                    let statement = mend::add_column(&self.wanted.name, then, column);
                    let change = self.change(Kind::Column, &column.name);
                    let after = Some(print::column(then, column));
                    changes.push(change.sides(None, after).by(statement));
                }
            }
        }
        let wanted: Vec<&str> = then.columns.iter().map(|column| column.name.as_str()).collect();
        let same = order.iter().zip(&wanted).all(|(a, b)| a.eq_ignore_ascii_case(b));
        if !same {
            let side = |names: &[&str]| {
                Some(names.iter().map(|name| named(name)).collect::<Vec<_>>().join(", "))
            };
            changes.push(self.change(Kind::ColumnOrder, "").sides(side(&order), side(&wanted)));
        }
    }

    fn column(&self, was: &Column, column: &Column, changes: &mut Vec<Change>) {
        let mut differs = |kind: Kind, before: Option<String>, after: Option<String>| {
            changes.push(self.change(kind, &column.name).sides(before, after));
        };
        if was.declared != column.declared {
            let side = |column: &Column| {
                (!column.declared.is_empty()).then(|| column.declared.to_string())
            };
            differs(Kind::Type, side(was), side(column));
        }
        if was.not_null != column.not_null {
            let side = |column: &Column| {
                column.not_null.as_ref().map(|conflict| match conflict {
                    Some(word) => format!("NOT NULL ON CONFLICT {word}"),
                    None => "NOT NULL".to_owned(),
                })
            };
            differs(Kind::NotNull, side(was), side(column));
        }
        if was.default != column.default {
            let side = |column: &Column| column.default.as_ref().map(ToString::to_string);
            differs(Kind::Default, side(was), side(column));
        }
        if was.generated != column.generated {
            let side = |column: &Column| {
                column.generated.as_ref().map(|generated| {
                    let kind = if generated.stored { "STORED" } else { "VIRTUAL" };
                    format!("AS ({}) {kind}", generated.expression)
                })
            };
            differs(Kind::Generated, side(was), side(column));
        }
        if was.collation != column.collation {
            let side = |Collation(name): &Collation| Some(name.clone());
            differs(Kind::Collation, side(&was.collation), side(&column.collation));
        }
    }

    /// Whether only one of both has a column: its absence says it all.
    fn is_told_with(&self, column: &str) -> bool {
        self.rows.column(column).is_some() != self.then.column(column).is_some()
    }

    fn uniques(&self, changes: &mut Vec<Change>) {
        let told = |rows: &Rows, key: &Unique| {
            print::inline_unique(rows, key).is_some_and(|name| self.is_told_with(name))
        };
        let (gone, come) = unpaired(&self.rows.uniques, &self.then.uniques);
        for key in gone.into_iter().filter(|key| !told(self.rows, key)) {
            let text = print::unique(self.rows, key);
            changes.push(self.change(Kind::Unique, &text).sides(Some(text.clone()), None));
        }
        for key in come.into_iter().filter(|key| !told(self.then, key)) {
            let text = print::unique(self.then, key);
            changes.push(self.change(Kind::Unique, &text).sides(None, Some(text.clone())));
        }
    }

    fn foreign_keys(&self, changes: &mut Vec<Change>) {
        let told =
            |key: &&ForeignKey| matches!(key.from.as_slice(), [only] if self.is_told_with(only));
        let (gone, come) = unpaired(&self.rows.foreign_keys, &self.then.foreign_keys);
        let mut come: Vec<&ForeignKey> = come.into_iter().filter(|key| !told(key)).collect();
        for key in gone.into_iter().filter(|key| !told(key)) {
            let text = print::foreign_key(key);
            let heir = come.iter().position(|other| same_names(&other.from, &key.from));
            let after = heir.map(|at| print::foreign_key(come.remove(at)));
            let change = self.change(Kind::ForeignKey, &text);
            changes.push(change.sides(Some(text.clone()), after));
        }
        for key in come {
            let text = print::foreign_key(key);
            changes.push(self.change(Kind::ForeignKey, &text).sides(None, Some(text.clone())));
        }
    }

    fn checks(&self, changes: &mut Vec<Change>) {
        let told = |column: &Option<String>| {
            column.as_ref().is_some_and(|column| self.is_told_with(column))
        };
        let (gone, come) = unpaired(&self.rows.checks, &self.then.checks);
        for check in gone.into_iter().filter(|check| !told(&check.of_column)) {
            let text = print::check(check);
            changes.push(self.change(Kind::Check, &text).sides(Some(text.clone()), None));
        }
        for check in come.into_iter().filter(|check| !told(&check.of_column)) {
            let text = print::check(check);
            changes.push(self.change(Kind::Check, &text).sides(None, Some(text.clone())));
        }
    }
}

fn by_name(rows: &Rows) -> BTreeMap<String, &Column> {
    rows.columns.iter().map(|column| (folded(&column.name), column)).collect()
}

/// Those of each list that have no equal in the other, one for one.
fn unpaired<'l, T: PartialEq>(first: &'l [T], second: &'l [T]) -> (Vec<&'l T>, Vec<&'l T>) {
    let mut come: Vec<&T> = second.iter().collect();
    let mut gone = Vec::new();
    for one in first {
        match come.iter().position(|other| *other == one) {
            Some(at) => drop(come.remove(at)),
            None => gone.push(one),
        }
    }
    (gone, come)
}
