//! Puts rows into one table: tries values, and lets SQLite's refusals say which to change.

use std::collections::HashMap;

use rusqlite::Transaction;
use rusqlite::types::Value;

use super::candidates::Candidates;
use super::table::{Family, Key, Table};
use crate::sql::quoted;

/// How often a row is tried.
const TRIES: usize = 600;

/// Puts up to so many rows in. The error is what SQLite said last, where not one was taken.
pub(super) fn rows(
    tx: &Transaction<'_>,
    table: &Table,
    count: usize,
) -> rusqlite::Result<Result<(), String>> {
    let from = usize::try_from(table.count(tx)?).unwrap_or(0);
    let mut made = 0;
    let mut last = None;
    for nth in 0..count {
        let mut row = Row::new(tx, table, from, nth)?;
        match row.put(tx)? {
            Ok(()) => made += 1,
            Err(why) => last = Some(why),
        }
        if tx.is_autocommit() {
            break;
        }
    }
    match last {
        Some(why) if made == 0 => Ok(Err(why)),
        _ => Ok(Ok(())),
    }
}

/// One row in the making.
struct Row<'t> {
    table: &'t Table,
    candidates: Vec<Candidates>,
    /// Which candidate each column has; none is NULL.
    chosen: Vec<Option<usize>>,
    /// How many combinations of these columns were tried.
    tried: HashMap<Vec<usize>, usize>,
    /// The columns of each foreign key, which take their values together.
    groups: Vec<Vec<usize>>,
    /// Where the trying begins, so that rows differ.
    shift: usize,
}

impl<'t> Row<'t> {
    /// The first two rows are alike wherever they may be, the third has NULL wherever it may.
    fn new(
        tx: &Transaction<'_>,
        table: &'t Table,
        from: usize,
        nth: usize,
    ) -> rusqlite::Result<Self> {
        let natural = nth.saturating_sub(1);
        let mut candidates: Vec<Candidates> =
            table.columns.iter().map(|column| Candidates::of(column, from)).collect();
        let mut chosen: Vec<Option<usize>> = table
            .columns
            .iter()
            .zip(&candidates)
            .map(|(column, candidates)| {
                let is_null = nth == 2 && !column.not_null && !column.in_key;
                (!is_null).then(|| candidates.natural(natural))
            })
            .collect();
        if let Some(rowid) = table.rowid.and_then(|at| chosen.get_mut(at)) {
            *rowid = None;
        }
        let mut groups = Vec::new();
        for key in &table.keys {
            let known = parents(tx, key)?;
            let is_own = key.parent.eq_ignore_ascii_case(&table.name);
            for (place, &at) in key.columns.iter().enumerate() {
                let Some(column) = table.columns.get(at) else { continue };
                let mut values: Vec<Value> =
                    known.iter().filter_map(|row| row.get(place).cloned()).collect();
                if values.is_empty() && column.not_null {
                    values = expected(column.family, from);
                }
                let is_empty = values.is_empty();
                let Some(slot) = chosen.get_mut(at) else { continue };
                if is_empty {
                    *slot = None;
                } else if slot.is_some() || column.not_null {
                    *slot = Some(natural % values.len());
                }
                if is_own && is_empty {
                    *slot = None;
                }
                if let Some(old) = candidates.get_mut(at) {
                    *old = Candidates::given(values);
                }
            }
            if is_own
                && known.is_empty()
                && let Some(rowid) = table.rowid
            {
                // A row that has to refer to its own table, and is the first, refers to itself.
                let number = i64::try_from(from).unwrap_or(0) + 1;
                let needs =
                    key.columns.iter().any(|at| table.columns.get(*at).is_some_and(|c| c.not_null));
                if needs {
                    for at in key.columns.iter().chain([&rowid]) {
                        if let Some(old) = candidates.get_mut(*at) {
                            *old = Candidates::given(vec![Value::Integer(number)]);
                        }
                        if let Some(slot) = chosen.get_mut(*at) {
                            *slot = Some(0);
                        }
                    }
                }
            }
            groups.push(key.columns.clone());
        }
        Ok(Row { table, candidates, chosen, tried: HashMap::new(), groups, shift: natural })
    }

    fn values(&self) -> Vec<(&str, Value)> {
        let columns = self.table.columns.iter().enumerate();
        let values = columns.zip(self.candidates.iter().zip(&self.chosen));
        values
            .filter(|((at, _), (_, chosen))| chosen.is_some() || self.table.rowid != Some(*at))
            .map(|((_, column), (candidates, chosen))| {
                (column.name.as_str(), chosen.map_or(Value::Null, |at| candidates.get(at)))
            })
            .collect()
    }

    fn put(&mut self, tx: &Transaction<'_>) -> rusqlite::Result<Result<(), String>> {
        let mut why = String::new();
        for _ in 0..TRIES {
            let values = self.values();
            let names: Vec<String> = values.iter().map(|(name, _)| quoted(name)).collect();
            let marks = vec!["?"; values.len()].join(", ");
            let table = quoted(&self.table.name);
            let sql = match values.is_empty() {
                true => format!("INSERT INTO main.{table} DEFAULT VALUES"),
                false => format!("INSERT INTO main.{table}({}) VALUES ({marks})", names.join(", ")),
            };
            let values = values.into_iter().map(|(_, value)| value);
            let result = tx
                .prepare_cached(&sql)
                .and_then(|mut insert| insert.execute(rusqlite::params_from_iter(values)));
            match result {
                Ok(_) => return Ok(Ok(())),
                Err(error) => why = error.to_string(),
            }
            if tx.is_autocommit() || !self.change(&why) {
                break;
            }
        }
        Ok(Err(why))
    }

    /// Makes another row of it, by what SQLite said. Whether there was another one to make.
    fn change(&mut self, why: &str) -> bool {
        let (constraint, what) = why.split_once(" failed: ").unwrap_or(("", why));
        let after_table = |name: &str| {
            let column = name.trim().strip_prefix(&self.table.name)?.strip_prefix('.')?;
            self.table.at(column)
        };
        let mut involved: Vec<usize> = match constraint {
            "NOT NULL constraint" => {
                let at = after_table(what);
                if let Some(slot) = at.and_then(|at| self.chosen.get_mut(at))
                    && slot.is_none()
                {
                    *slot = Some(0);
                    return self.has_candidates(at);
                }
                return false;
            }
            "UNIQUE constraint" => what.split(", ").filter_map(after_table).collect(),
            "CHECK constraint" => self.columns_of_check(what),
            _ => {
                // `cannot store TEXT value in INTEGER column t.c`
                let word = why.rsplit(' ').next().unwrap_or_default();
                after_table(word).into_iter().collect()
            }
        };
        if involved.is_empty() {
            involved = (0..self.chosen.len()).collect();
        }
        self.next_of(involved)
    }

    fn has_candidates(&self, at: Option<usize>) -> bool {
        at.and_then(|at| self.candidates.get(at)).is_some_and(|candidates| candidates.len() > 0)
    }

    /// SQLite names a CHECK by its name, or else by its text.
    fn columns_of_check(&self, what: &str) -> Vec<usize> {
        let squeezed = |text: &str| text.split_whitespace().collect::<String>();
        let told = squeezed(what);
        let exact = self.table.checks.iter().find(|(text, _)| squeezed(text) == told);
        match exact {
            Some((_, places)) => places.clone(),
            None => self.table.checks.iter().flat_map(|(_, places)| places.clone()).collect(),
        }
    }

    /// The next combination of these columns' values, as an odometer goes; columns of one foreign
    /// key go together.
    fn next_of(&mut self, mut involved: Vec<usize>) -> bool {
        involved.sort_unstable();
        involved.dedup();
        let mut wheels: Vec<Vec<usize>> = Vec::new();
        for &at in &involved {
            if wheels.iter().any(|wheel| wheel.contains(&at)) {
                continue;
            }
            let group = self.groups.iter().find(|group| group.contains(&at));
            wheels.push(group.cloned().unwrap_or_else(|| vec![at]));
        }
        // Those that are free to take new values first, those that a parent gives last.
        wheels.sort_by_key(|wheel| {
            wheel.iter().any(|at| self.groups.iter().any(|group| group.contains(at)))
        });
        wheels.retain(|wheel| {
            self.turns(wheel) > 0
                && !(wheel.len() == 1 && wheel.first() == self.table.rowid.as_ref())
        });
        let tried = self.tried.entry(involved).or_insert(0);
        *tried += 1;
        let mut rest = *tried - 1;
        for wheel in &wheels {
            let turns = self.turns(wheel);
            let values = self.values_of(wheel);
            let at = (rest + self.shift) % turns;
            for column in wheel {
                if let Some(slot) = self.chosen.get_mut(*column) {
                    *slot = (at < values).then_some(at);
                }
            }
            rest /= turns;
        }
        rest == 0 && !wheels.is_empty()
    }

    fn values_of(&self, wheel: &[usize]) -> usize {
        let sizes = wheel.iter().filter_map(|at| self.candidates.get(*at)).map(Candidates::len);
        sizes.max().unwrap_or(0)
    }

    /// Every value, and NULL where all of the columns may be that.
    fn turns(&self, wheel: &[usize]) -> usize {
        let columns = || wheel.iter().filter_map(|at| self.table.columns.get(*at));
        let may_be_null = columns().all(|column| !column.not_null && !column.in_key);
        self.values_of(wheel) + usize::from(may_be_null)
    }
}

/// The keys that a parent has.
fn parents(tx: &Transaction<'_>, key: &Key) -> rusqlite::Result<Vec<Vec<Value>>> {
    let columns: Vec<String> = key.to.iter().map(|column| quoted(column)).collect();
    if columns.is_empty() {
        return Ok(Vec::new());
    }
    let not_null: Vec<String> = columns.iter().map(|c| format!("{c} IS NOT NULL")).collect();
    let sql = format!(
        "SELECT DISTINCT {} FROM main.{} WHERE {} LIMIT 24",
        columns.join(", "),
        quoted(&key.parent),
        not_null.join(" AND ")
    );
    // A parent that is not there, or not as the key wants it, has none.
    let Ok(mut statement) = tx.prepare(&sql) else { return Ok(Vec::new()) };
    let rows = statement.query_map([], |row| (0..columns.len()).map(|at| row.get(at)).collect())?;
    rows.collect()
}

/// The keys that a parent will have which is not filled yet, as its own rows are numbered.
fn expected(family: Family, from: usize) -> Vec<Value> {
    match family {
        Family::Integer | Family::Any => {
            let first = i64::try_from(from).unwrap_or(0) + 1;
            (first..first + 4).map(Value::Integer).collect()
        }
        _ => Vec::new(),
    }
}
