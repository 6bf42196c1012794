//! What a database holds, so that two can be compared: of each table its rows and, column by
//! column, its values. A time of the day of the comparison is as good as any other.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use crate::error::{Error, Result};
use crate::sql::quoted;

/// The rows of a database, by table, in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) tables: BTreeMap<String, Rows>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) count: u64,
    /// A number that is the same for the same rows in whatever order.
    whole: u64,
    pub(crate) columns: BTreeMap<String, Values>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Values {
    /// How many are not NULL.
    pub(crate) some: u64,
    whole: u64,
}

impl Contents {
    /// Reads every table but those that `is_ours` names.
    pub(crate) fn of(conn: &Connection, is_ours: impl Fn(&str) -> bool) -> Result<Self> {
        read(conn, is_ours).map_err(Error::sqlite("reading what a database holds"))
    }

    /// The tables that differ, each in words.
    pub(crate) fn differences(&self, other: &Contents) -> Vec<String> {
        let names = self
            .tables
            .keys()
            .chain(other.tables.keys().filter(|name| !self.tables.contains_key(*name)));
        names.filter_map(|name| self.difference_of(other, name)).collect()
    }

    fn difference_of(&self, other: &Contents, name: &str) -> Option<String> {
        let none = Rows::default();
        let a = self.tables.get(name).unwrap_or(&none);
        let b = other.tables.get(name).unwrap_or(&none);
        if a.count != b.count {
            return Some(format!("`{name}` has {} instead of {}", shown(b.count), shown(a.count)));
        }
        if a.whole == b.whole {
            return None;
        }
        let differ = |(column, values): (&String, &Values)| {
            (b.columns.get(column) != Some(values)).then(|| format!("`{column}`"))
        };
        let columns: Vec<String> = a.columns.iter().filter_map(differ).collect();
        Some(match columns.as_slice() {
            [] => format!("`{name}` has other rows"),
            columns => format!("`{name}` has other values in {}", columns.join(", ")),
        })
    }
}

pub(crate) fn shown(rows: u64) -> String {
    if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") }
}

fn read(conn: &Connection, is_ours: impl Fn(&str) -> bool) -> rusqlite::Result<Contents> {
    let clock = Clock::now(conn)?;
    let shadows = crate::schema::shadows(conn)?;
    let mut statement = conn.prepare("SELECT name FROM main.sqlite_master WHERE type = 'table'")?;
    let names = statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    let mut contents = Contents::default();
    for name in names {
        let is_shadow = shadows.contains(&name.to_ascii_lowercase());
        let head = name.get(..7).unwrap_or_default();
        if is_ours(&name) || is_shadow || head.eq_ignore_ascii_case("sqlite_") {
            continue;
        }
        let rows = rows_of(conn, &name, &clock)?;
        contents.tables.insert(name.to_ascii_lowercase(), rows);
    }
    Ok(contents)
}

fn rows_of(conn: &Connection, table: &str, clock: &Clock) -> rusqlite::Result<Rows> {
    let mut statement = conn.prepare(&format!("SELECT * FROM main.{}", quoted(table)))?;
    let names: Vec<String> =
        statement.column_names().into_iter().map(str::to_ascii_lowercase).collect();
    let mut columns = vec![Values::default(); names.len()];
    let mut found = Rows::default();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let mut sum = 0u64;
        for (at, values) in columns.iter_mut().enumerate() {
            let value = row.get_ref(at)?;
            let mut hasher = DefaultHasher::new();
            // By name, so that the order of columns is no difference of the rows.
            names.get(at).hash(&mut hasher);
            clock.hash(value, &mut hasher);
            let hash = hasher.finish();
            values.some += u64::from(value != ValueRef::Null);
            values.whole = values.whole.wrapping_add(hash);
            sum = sum.wrapping_add(hash);
        }
        let mut whole = DefaultHasher::new();
        sum.hash(&mut whole);
        found.whole = found.whole.wrapping_add(whole.finish());
        found.count += 1;
    }
    found.columns = names.into_iter().zip(columns).collect();
    Ok(found)
}

/// The days around now: a value that names one is a time of the run.
struct Clock {
    days: Vec<String>,
    unix: f64,
    julian: f64,
}

const DAY: f64 = 86_400.0;

impl Clock {
    fn now(conn: &Connection) -> rusqlite::Result<Self> {
        conn.query_row(
            "SELECT date('now', '-1 day'), date('now'), date('now', '+1 day'),
                    CAST(strftime('%s', 'now') AS REAL), julianday('now')",
            [],
            |row| {
                Ok(Clock {
                    days: vec![row.get(0)?, row.get(1)?, row.get(2)?],
                    unix: row.get(3)?,
                    julian: row.get(4)?,
                })
            },
        )
    }

    fn hash(&self, value: ValueRef<'_>, hasher: &mut impl Hasher) {
        match value {
            ValueRef::Null => 0.hash(hasher),
            ValueRef::Integer(number) => {
                (1, if self.is_now(number as f64) { None } else { Some(number) }).hash(hasher);
            }
            ValueRef::Real(number) => {
                (2, if self.is_now(number) { None } else { Some(number.to_bits()) }).hash(hasher);
            }
            ValueRef::Text(text) => {
                let number = || std::str::from_utf8(text).ok()?.parse().ok();
                let is_now = self.days.iter().any(|day| text.starts_with(day.as_bytes()))
                    || number().is_some_and(|number| self.is_now(number));
                (3, if is_now { None } else { Some(text) }).hash(hasher);
            }
            ValueRef::Blob(blob) => (4, blob).hash(hasher),
        }
    }

    /// Whether a number is a time near now: a Julian day, or what has passed since 1970 in seconds or
    /// their thousandths.
    fn is_now(&self, number: f64) -> bool {
        let near = |unit: f64| (number / unit - self.unix).abs() <= DAY;
        (number - self.julian).abs() <= 1.0 || [1.0, 1e3, 1e6, 1e9].into_iter().any(near)
    }
}
