//! What a migration is about to lose, judged by the data. Nothing is refused for what a statement
//! could do, only for what it would do to rows that are there.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _};

use crate::error::{Error, ErrorKind, Result};
use crate::plan::{DataLoss, Strictness};
use crate::source::Entry;
use crate::sql::action::Change;
use crate::sql::losses::{DroppedTable, Losses, can_lose, is_schema};
use crate::sql::token::{Kind, tokens};
use crate::sql::{Action, Object, Script, Statement, Verb, quoted};

/// What an application has decided about losses, and what a script has signed off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) data_loss: DataLoss,
    pub(crate) strictness: Strictness,
    pub(crate) signed_off: bool,
    /// Whether the script runs outside a transaction, where a loss cannot be taken back.
    pub(crate) outside: bool,
}

impl Terms {
    fn tells_deletes(self) -> bool {
        self.data_loss == DataLoss::RefuseDeletes
    }
}

/// Watches over one script, from before its first statement to after its last.
pub(crate) struct Guard<'a> {
    conn: &'a Connection,
    script: &'a Script,
    statements: &'a [&'a Statement],
    terms: Terms,
    losses: Losses,
    rebuilt: Vec<Rebuilt>,
    /// What was lost with a sign-off, in words.
    waived: Vec<String>,
    warnings: Vec<String>,
}

/// What is known afterwards.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) waived: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

/// A table that the script drops and puts another in place of, as it was.
struct Rebuilt {
    statement: usize,
    before: Table,
}

/// A table as it stands.
struct Table {
    name: String,
    rows: i64,
    /// How many rows have a value in each column.
    filled: BTreeMap<String, i64>,
    /// Its indexes and triggers, as `index i`.
    objects: Vec<String>,
    checks: usize,
    sequence: Option<i64>,
}

/// How many rows a statement found, to tell afterwards how many are gone.
pub(crate) struct Counted {
    rows: i64,
    changes: u64,
}

impl<'a> Guard<'a> {
    /// Looks at what the script would drop. A table that has rows and gets no successor is refused
    /// here, before anything ran.
    pub(crate) fn before(
        conn: &'a Connection,
        script: &'a Script,
        statements: &'a [&'a Statement],
        terms: Terms,
    ) -> Result<Option<Self>> {
        if terms.data_loss == DataLoss::Allow || !can_lose(script) && !terms.tells_deletes() {
            return Ok(None);
        }
        let losses = Losses::of(statements);
        let (rebuilt, waived, warnings) = Default::default();
        let mut guard =
            Guard { conn, script, statements, terms, losses, rebuilt, waived, warnings };
        for dropped in guard.losses.tables.clone() {
            guard.before_drop(&dropped)?;
        }
        Ok(Some(guard))
    }

    /// A table without rows is not looked at any further: an empty database pays one query for
    /// each table that is dropped.
    fn before_drop(&mut self, dropped: &DroppedTable) -> Result<()> {
        let (at, name) = (dropped.statement, &dropped.name);
        if !self.has_rows(dropped)? {
            return Ok(());
        }
        if !dropped.rebuilt {
            let rows = self.ask(at, &count(name))?;
            let what = format!("drop table `{name}` with {}", shown(rows));
            return self.lose(at, name, None, rows, what);
        }
        let table = Table::read(self.conn, name).map_err(|error| self.undetermined(at, error))?;
        self.rebuilt.extend(table.map(|before| Rebuilt { statement: at, before }));
        Ok(())
    }

    fn has_rows(&self, dropped: &DroppedTable) -> Result<bool> {
        let any = format!("SELECT EXISTS (SELECT 1 FROM main.{})", quoted(&dropped.name));
        match self.conn.query_row(&any, [], |row| row.get(0)) {
            Ok(some) => Ok(some),
            Err(error) if error.to_string().starts_with("no such table") => Ok(false),
            Err(error) => Err(self.undetermined(dropped.statement, error)),
        }
    }

    /// Before each statement: a column that would go with its values is refused, and rows are
    /// counted where deletes are to be told.
    pub(crate) fn before_statement(&mut self, at: usize) -> Result<Option<Counted>> {
        let Some(statement) = self.statements.get(at) else { return Ok(None) };
        match &statement.action {
            Action::Alter { table, change: Change::DropColumn(column) }
                if self.losses.is_old(at) =>
            {
                if !self.losses.adds(&table.name, column) {
                    self.before_drop_column(at, &table.name, column)?;
                }
                Ok(None)
            }
            Action::Write { table, .. } if is_schema(&table.name) => {
                let what = "edit the schema by hand, which can lose anything".to_owned();
                self.lose(at, &table.name, None, 0, what)?;
                Ok(None)
            }
            Action::Write { verb, table }
                if self.terms.tells_deletes() && self.losses.is_old(at) =>
            {
                let rows = self.ask(at, &count(&table.name))?;
                if self.terms.outside && rows > 0 && !matches!(verb, Verb::Insert | Verb::Update) {
                    let what = format!("delete from `{}`, which has {}", table.name, shown(rows));
                    self.lose(at, &table.name, None, rows, what)?;
                }
                Ok(Some(Counted { rows, changes: self.conn.total_changes() }))
            }
            Action::Unknown if self.writes(statement) => {
                let what = "run a statement of which it cannot be told what it loses".to_owned();
                self.lose(at, "", None, 0, what)?;
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// Whether a statement that we do not understand is one to SQLite, and one that writes.
    fn writes(&self, statement: &Statement) -> bool {
        self.conn.prepare(self.script.sql(statement)).is_ok_and(|statement| !statement.readonly())
    }

    fn before_drop_column(&mut self, at: usize, table: &str, column: &str) -> Result<()> {
        let generated = "SELECT hidden <> 0 FROM pragma_table_xinfo(?1, 'main')
                         WHERE name = ?2 COLLATE NOCASE";
        let generated: Option<bool> = self
            .conn
            .query_row(generated, [table, column], |row| row.get(0))
            .optional()
            .map_err(Error::sqlite("reading the schema"))?;
        // SQLite will say that there is no such column, and what is computed is not lost.
        if generated != Some(false) {
            return Ok(());
        }
        let (name, filled) = (quoted(column), quoted(table));
        let any = format!("SELECT EXISTS (SELECT 1 FROM main.{filled} WHERE {name} NOT NULL)");
        if self.ask(at, &any)? != 0 {
            let rows = self.ask(at, &format!("SELECT count({name}) FROM main.{filled}"))?;
            let what =
                format!("drop column `{column}` of `{table}`, which has values in {}", shown(rows));
            self.lose(at, table, Some(column), rows, what)?;
        }
        Ok(())
    }

    /// After each statement: rows that it deleted, where that is to be told.
    pub(crate) fn after_statement(&mut self, at: usize, counted: Option<Counted>) -> Result<()> {
        let (Some(counted), Some(statement)) = (counted, self.statements.get(at)) else {
            return Ok(());
        };
        let Action::Write { verb, table } = &statement.action else { return Ok(()) };
        let changed = i64::try_from(self.conn.changes()).unwrap_or(i64::MAX);
        let after = self.ask(at, &count(&table.name))?;
        // REPLACE does not count the rows that it throws out as changes:
        // <https://sqlite.org/c3ref/changes.html>.
        let deleted = match verb {
            // A statement that changed nothing at all leaves the number of the one before.
            _ if self.conn.total_changes() == counted.changes => 0,
            Verb::Delete => changed,
            Verb::Insert | Verb::Replace => counted.rows + changed - after,
            Verb::Update | Verb::UpdateOrReplace => counted.rows - after,
        };
        if deleted <= 0 {
            return Ok(());
        }
        let what = format!("delete {} of `{}`", shown(deleted), table.name);
        self.lose(at, &table.name, None, deleted, what)
    }

    /// After the last statement: what the rebuilt tables have lost.
    pub(crate) fn after(mut self) -> Result<Verdict> {
        for rebuilt in std::mem::take(&mut self.rebuilt) {
            self.compare(&rebuilt)?;
        }
        Ok(Verdict { waived: self.waived, warnings: self.warnings })
    }

    fn compare(&mut self, rebuilt: &Rebuilt) -> Result<()> {
        let (at, before) = (rebuilt.statement, &rebuilt.before);
        let name = &before.name;
        let now = Table::read(self.conn, name).map_err(|error| self.undetermined(at, error))?;
        let Some(now) = now else {
            let what = format!("leave no table `{name}`, which had {}", shown(before.rows));
            return match before.rows {
                0 => Ok(()),
                rows => self.lose(at, name, None, rows, what),
            };
        };
        if now.rows < before.rows {
            let what = format!("leave `{name}` with {} of {}", now.rows, shown(before.rows));
            self.lose(at, name, None, before.rows - now.rows, what)?;
        }
        for (column, filled) in before.lost_columns(&now) {
            let what = format!(
                "leave `{name}` without its column `{column}`, which had values in {}",
                shown(filled)
            );
            self.lose(at, name, Some(&column), filled, what)?;
        }
        for what in before.lost_besides_rows(&now, |object| self.drops(object)) {
            self.warn(at, name, what)?;
        }
        Ok(())
    }

    /// Whether the script drops an index or trigger by its name.
    fn drops(&self, object: &str) -> bool {
        self.statements.iter().any(|statement| match &statement.action {
            Action::Drop { what: Object::Index, name } => object == format!("index {}", name.name),
            Action::Drop { what: Object::Trigger, name } => {
                object == format!("trigger {}", name.name)
            }
            _ => false,
        })
    }

    fn warn(&mut self, at: usize, table: &str, what: String) -> Result<()> {
        match self.terms.strictness {
            Strictness::Refuse => {
                self.lose(at, table, None, 0, format!("rebuild `{table}` so that {what}"))
            }
            Strictness::Warn => {
                self.warnings
                    .push(format!("{}: after the rebuild of `{table}` {what}", self.script.file));
                Ok(())
            }
        }
    }

    fn lose(
        &mut self,
        at: usize,
        table: &str,
        column: Option<&str>,
        rows: i64,
        what: String,
    ) -> Result<()> {
        if self.terms.signed_off {
            self.waived.push(what);
            return Ok(());
        }
        let start = self.statements.get(at).map_or(0, |statement| statement.start);
        let position = self.script.position(start);
        let kind = ErrorKind::DataLoss {
            file: self.script.file.clone(),
            position: Some(position),
            what,
            table: table.to_owned(),
            column: column.map(str::to_owned),
            rows: rows.unsigned_abs(),
        };
        Err(Error::from(kind).at(self.script, position))
    }

    fn ask(&self, at: usize, sql: &str) -> Result<i64> {
        self.conn.query_row(sql, [], |row| row.get(0)).map_err(|error| self.undetermined(at, error))
    }

    /// A table that cannot be read, such as one of a module that is not there.
    fn undetermined(&self, at: usize, error: rusqlite::Error) -> Error {
        let start = self.statements.get(at).map_or(0, |statement| statement.start);
        let position = self.script.position(start);
        let kind = ErrorKind::DataLoss {
            file: self.script.file.clone(),
            position: Some(position),
            what: "touch what cannot be looked into".to_owned(),
            table: String::new(),
            column: None,
            rows: 0,
        };
        Error::from(kind).at(self.script, position).because(error)
    }
}

impl Table {
    /// Reads a table in two queries: one over its part of the schema, one over its rows.
    fn read(conn: &Connection, name: &str) -> rusqlite::Result<Option<Self>> {
        let mut table = None;
        let mut objects = Vec::new();
        let mut parts = conn.prepare_cached(
            "SELECT type, name, sql FROM main.sqlite_master
             WHERE tbl_name = ?1 COLLATE NOCASE AND sql NOT NULL",
        )?;
        let mut rows = parts.query([name])?;
        while let Some(row) = rows.next()? {
            let (kind, part, sql): (String, String, String) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            match kind.as_str() {
                "table" => table = Some((part, sql)),
                _ => objects.push(format!("{kind} {part}")),
            }
        }
        let Some((name, sql)) = table else { return Ok(None) };
        let columns = columns(conn, &name)?;
        let counts: Vec<String> =
            columns.iter().map(|c| format!(", count({})", quoted(c))).collect();
        let counts = format!("SELECT count(*){} FROM main.{}", counts.concat(), quoted(&name));
        let (rows, filled) = conn.query_row(&counts, [], |row| {
            let mut filled = BTreeMap::new();
            for (at, column) in columns.iter().enumerate() {
                filled.insert(column.to_ascii_lowercase(), row.get(at + 1)?);
            }
            Ok((row.get(0)?, filled))
        })?;
        let sequence = if has_word(&sql, "AUTOINCREMENT") { sequence(conn, &name)? } else { None };
        let checks = words(&sql, "CHECK");
        Ok(Some(Table { name, rows, filled, objects, checks, sequence }))
    }

    /// Columns that had values and are gone. A column that is new and has as many values or more
    /// may be the old one under another name.
    fn lost_columns(&self, now: &Table) -> Vec<(String, i64)> {
        let mut new: Vec<i64> = now
            .filled
            .iter()
            .filter(|(column, _)| !self.filled.contains_key(*column))
            .map(|(_, filled)| *filled)
            .collect();
        let mut lost = Vec::new();
        for (column, &filled) in &self.filled {
            if filled == 0 || now.filled.contains_key(column) {
                continue;
            }
            match new.iter().position(|&other| other >= filled) {
                Some(successor) => drop(new.swap_remove(successor)),
                None => lost.push((column.clone(), filled)),
            }
        }
        lost
    }

    fn lost_besides_rows(&self, now: &Table, is_dropped: impl Fn(&str) -> bool) -> Vec<String> {
        let mut lost: Vec<String> = self
            .objects
            .iter()
            .filter(|object| !now.objects.contains(object) && !is_dropped(object))
            .map(|object| format!("its {object} is gone"))
            .collect();
        if now.checks < self.checks {
            lost.push(format!("it has {} CHECK of {}", now.checks, self.checks));
        }
        if let Some(before) = self.sequence
            && now.sequence.is_none_or(|now| now < before)
        {
            lost.push(format!("AUTOINCREMENT has forgotten {before}, and gives ids again"));
        }
        for (column, &filled) in &self.filled {
            match now.filled.get(column) {
                Some(&left) if left < filled && now.rows >= self.rows => {
                    lost.push(format!("its column `{column}` has {left} values of {filled}"));
                }
                _ => {}
            }
        }
        lost
    }
}

fn columns(conn: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement =
        conn.prepare_cached("SELECT name FROM pragma_table_xinfo(?1, 'main') WHERE hidden = 0")?;
    let names = statement.query_map([table], |row| row.get(0))?;
    names.collect()
}

fn sequence(conn: &Connection, table: &str) -> rusqlite::Result<Option<i64>> {
    conn.query_row("SELECT seq FROM main.sqlite_sequence WHERE name = ?1", [table], |row| {
        row.get(0)
    })
    .optional()
}

fn words(sql: &str, keyword: &str) -> usize {
    let words = tokens(sql).filter(|token| token.kind == Kind::Word);
    words.filter(|token| token.text(sql).eq_ignore_ascii_case(keyword)).count()
}

fn has_word(sql: &str, keyword: &str) -> bool {
    words(sql, keyword) > 0
}

fn count(table: &str) -> String {
    format!("SELECT count(*) FROM main.{}", quoted(table))
}

fn shown(rows: i64) -> String {
    if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") }
}

/// What code would drop: tables that have rows before and are not there after.
pub(crate) struct CodeGuard<'a> {
    conn: &'a Connection,
    filled: Vec<String>,
}

impl<'a> CodeGuard<'a> {
    pub(crate) fn before(conn: &'a Connection, policy: DataLoss) -> Result<Option<Self>> {
        if policy == DataLoss::Allow {
            return Ok(None);
        }
        let filled = || {
            let mut filled = Vec::new();
            for table in tables(conn)? {
                let any = format!("SELECT EXISTS (SELECT 1 FROM main.{})", quoted(&table));
                if conn.query_row(&any, [], |row| row.get(0))? {
                    filled.push(table);
                }
            }
            Ok(filled)
        };
        let filled = filled().map_err(Error::sqlite("looking for tables that have rows"))?;
        Ok(Some(CodeGuard { conn, filled }))
    }

    pub(crate) fn after(self, entry: &Entry) -> Result<Verdict> {
        let now = tables(self.conn).map_err(Error::sqlite("reading the schema"))?;
        let mut verdict = Verdict::default();
        for table in self.filled.into_iter().filter(|table| !now.contains(table)) {
            let what = format!("drop table `{table}`, which has rows");
            if entry.allow_data_loss.is_none() {
                let (file, position, column) = (entry.label.clone(), None, None);
                let kind = ErrorKind::DataLoss { file, position, what, table, column, rows: 0 };
                return Err(kind.into());
            }
            verdict.waived.push(what);
        }
        Ok(verdict)
    }
}

fn tables(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = conn.prepare(
        "SELECT name FROM main.sqlite_master
         WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )?;
    let names = statement.query_map([], |row| row.get(0))?;
    names.collect()
}
