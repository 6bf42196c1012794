//! What a migration is about to lose, judged by the data. Nothing is refused for what a statement
//! could do, only for what it would do to rows that are there.

use rusqlite::Connection;

use super::deletes::Deletes;
use super::foreign_keys::acting_children;
use super::rebuilt::{Loss, Rebuilt, shown};
use super::session::enforces_foreign_keys;
use super::table::{self, Table};
use crate::error::{Error, ErrorKind, Result, is_about_sql};
use crate::plan::{DataLoss, Strictness};
use crate::sql::action::{Change, Name};
use crate::sql::losses::{DroppedTable, Losses, can_lose, drops, is_schema, makes_views, names};
use crate::sql::{Action, Object, Script, Statement, quoted};

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
    /// Tables with rows that take the name of one that is dropped.
    filled: Vec<String>,
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
        let losses = Losses::of(script, statements);
        let (rebuilt, filled, waived, warnings) = Default::default();
        let mut guard =
            Guard { conn, script, statements, terms, losses, rebuilt, filled, waived, warnings };
        for dropped in guard.losses.tables.clone() {
            guard.before_drop(&dropped, &dropped.name)?;
            guard.refuse_uncopied(&dropped)?;
            if let Some(heir) = guard.losses.old_heir(&dropped)
                && guard.has_rows(dropped.statement, "main", heir)?
            {
                guard.filled.push(heir.to_owned());
            } else {
                guard.refuse_unfed(&dropped)?;
            }
        }
        Ok(Some(guard))
    }

    /// Looks at a table that is dropped, by the name that it has now. One without rows is not
    /// looked at any further: an empty database pays one query for each table that is dropped.
    fn before_drop(&mut self, dropped: &DroppedTable, stands_as: &str) -> Result<()> {
        let (at, name) = (dropped.statement, &dropped.name);
        let mut schema = dropped.schema.clone();
        let mut some = self.rows_in(at, &schema, stands_as)?;
        if some.is_none() && !dropped.qualified && schema == "main" {
            // Another attached database may have one of the name.
            schema = table::found_in(self.conn, stands_as)
                .map_err(Error::sqlite("reading the schema"))?;
            some = self.rows_in(at, &schema, stands_as)?;
        }
        if some != Some(true) {
            return Ok(());
        }
        if !dropped.rebuilt || schema != dropped.schema {
            let rows = self.ask(at, &count(&schema, stands_as))?;
            let what = format!("drop table `{name}` with {}", shown(rows));
            return self.lose(at, name, None, rows, what);
        }
        let found = Table::read(self.conn, stands_as).map_err(|e| self.undetermined(at, e))?;
        if let Some(mut before) = found {
            before.name.clone_from(name);
            // What others have written since the first look counts as well.
            let known = |r: &Rebuilt| r.dropped.statement == at && !before.has_more_than(&r.before);
            if !self.rebuilt.iter().any(known) {
                self.rebuilt.push(Rebuilt::new(dropped.clone(), before));
            }
        }
        Ok(())
    }

    /// Outside any transaction nothing comes back: what is to be rebuilt must be in another table
    /// before it is dropped, one that outlives a crash.
    fn refuse_uncopied(&mut self, dropped: &DroppedTable) -> Result<()> {
        let at = dropped.statement;
        if !self.terms.outside || self.losses.is_inside(at) {
            return Ok(());
        }
        if self.losses.old_heir(dropped).is_some() || self.losses.filled_at(at).next().is_some() {
            return Ok(());
        }
        let rows = self.rebuilt.iter().find(|rebuilt| rebuilt.dropped == *dropped);
        let Some(rows) = rows.map(|rebuilt| rebuilt.before.rows) else { return Ok(()) };
        let what = uncopied(&dropped.name, rows);
        self.lose(at, &dropped.name, None, rows, what)
    }

    /// A new table with rows enough that are none of the old one's.
    fn refuse_unfed(&mut self, dropped: &DroppedTable) -> Result<()> {
        let (at, name) = (dropped.statement, &dropped.name);
        let rebuilt = self.rebuilt.iter().find(|rebuilt| rebuilt.dropped == *dropped);
        let Some(rows) = rebuilt.map(|rebuilt| rebuilt.before.rows) else { return Ok(()) };
        if dropped.fed || makes_views(self.statements) {
            return Ok(());
        }
        let may_be_fed =
            table::in_views(self.conn, name).map_err(Error::sqlite("reading the schema"))?;
        if may_be_fed {
            return Ok(());
        }
        let what =
            format!("drop table `{name}` with {}, and copy none into the new one", shown(rows));
        self.lose(at, name, None, rows, what)
    }

    fn has_rows(&self, at: usize, schema: &str, table: &str) -> Result<bool> {
        Ok(self.rows_in(at, schema, table)?.unwrap_or(false))
    }

    /// Whether a table has rows; `None` where there is no such table.
    fn rows_in(&self, at: usize, schema: &str, table: &str) -> Result<Option<bool>> {
        let (schema, table) = (quoted(schema), quoted(table));
        let any = format!("SELECT EXISTS (SELECT 1 FROM {schema}.{table})");
        match self.conn.query_row(&any, [], |row| row.get(0)) {
            Ok(some) => Ok(Some(some)),
            Err(error) if error.to_string().starts_with("no such table") => Ok(None),
            Err(error) => Err(self.undetermined(at, error)),
        }
    }

    /// Whether there is anything left to judge while the script runs, or after it.
    pub(crate) fn judges_later(&self) -> bool {
        let takes = |statement: &&Statement| match &statement.action {
            Action::Alter { change, .. } => matches!(change, Change::DropColumn(_)),
            Action::Write { table, .. } => self.terms.tells_deletes() || is_schema(&table.name),
            _ => false,
        };
        !self.terms.signed_off && (!self.rebuilt.is_empty() || self.statements.iter().any(takes))
    }

    /// Before each statement: a column that would go with its values is refused, and rows are
    /// counted where deletes are to be told.
    pub(crate) fn before_statement(&mut self, at: usize) -> Result<Option<Deletes>> {
        let Some(statement) = self.statements.get(at) else { return Ok(None) };
        match &statement.action {
            Action::Alter { table, change: Change::DropColumn(column) }
                if self.losses.is_old(at) =>
            {
                if !self.losses.drops_own_column(at) {
                    self.before_drop_column(at, table, column)?;
                }
                Ok(None)
            }
            Action::Write { table, .. } if is_schema(&table.name) => {
                let what = "edit the schema by hand, which can lose anything".to_owned();
                self.lose(at, &table.name, None, 0, what)?;
                Ok(None)
            }
            Action::Write { table, .. } if self.terms.tells_deletes() => {
                Deletes::before(self.conn, table, !self.losses.is_old(at))
                    .map_err(|error| self.undetermined(at, error))
            }
            Action::Drop { what: Object::Table, name } => {
                if self.losses.is_old(at) {
                    self.before_old_goes(at, name)?;
                }
                if self.terms.outside && !self.losses.is_inside(at) {
                    self.refuse_unkept(at)?;
                }
                Ok(None)
            }
            Action::Control(_) if self.terms.outside && self.losses.commits(at) => {
                self.refuse_unkept(at)?;
                Ok(None)
            }
            Action::Unknown if self.writes(at, statement)? => {
                let what = "run a statement of which it cannot be told what it loses".to_owned();
                self.lose(at, "", None, 0, what)?;
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// The old table of a rebuild, or one that goes for good, at the last moment.
    fn before_old_goes(&mut self, at: usize, name: &Name) -> Result<()> {
        let tables = &self.losses.tables;
        let found = tables.binary_search_by_key(&at, |table| table.statement).ok();
        let Some(dropped) = found.and_then(|found| tables.get(found)).cloned() else {
            return Ok(());
        };
        if self.terms.outside && dropped.schema == "main" {
            self.before_cascade(at, &name.name)?;
        }
        if self.terms.outside && !self.terms.signed_off {
            self.before_drop(&dropped, &name.name)?;
        }
        let Some(heir) = self.losses.heir_at(&dropped, at) else { return Ok(()) };
        let mut rebuilt = std::mem::take(&mut self.rebuilt);
        for table in rebuilt.iter_mut().filter(|table| table.dropped.statement == at) {
            table
                .look_at_both(self.conn, &name.name, &heir)
                .map_err(|error| self.undetermined(at, error))?;
            let missing = match self.losses.old_heir(&dropped) {
                Some(old) if self.filled.iter().any(|filled| filled == old) => table
                    .missing_in(self.conn, &name.name, &heir)
                    .map_err(|error| self.undetermined(at, error))?,
                _ => 0,
            };
            if missing > 0 {
                let (table, all) = (&dropped.name, shown(table.before.rows));
                let what = format!("leave `{table}` without {missing} of {all}");
                self.lose(at, table, None, missing, what)?;
            }
        }
        self.rebuilt = rebuilt;
        Ok(())
    }

    /// Whether a statement that we do not understand is one to SQLite, and one that writes.
    fn writes(&self, at: usize, statement: &Statement) -> Result<bool> {
        match self.conn.prepare(self.script.sql(statement)) {
            Ok(statement) => Ok(!statement.readonly()),
            Err(error) if is_about_sql(&error) => Ok(false),
            Err(error) => Err(self.undetermined(at, error)),
        }
    }

    fn before_drop_column(&mut self, at: usize, table: &Name, column: &str) -> Result<()> {
        let schema =
            table::schema_of(self.conn, table).map_err(Error::sqlite("reading the schema"))?;
        let (schema, table) = (schema.as_str(), table.name.as_ref());
        let generated = table::is_generated(self.conn, schema, table, column)
            .map_err(Error::sqlite("reading the schema"))?;
        // SQLite will say that there is no such column, and what is computed is not lost.
        if generated != Some(false) {
            return Ok(());
        }
        let name = quoted(column);
        let filled = format!("{}.{}", quoted(schema), quoted(table));
        let any = format!("SELECT EXISTS (SELECT 1 FROM {filled} WHERE {name} NOT NULL)");
        if self.ask(at, &any)? != 0 {
            let rows = self.ask(at, &format!("SELECT count({name}) FROM {filled}"))?;
            let what =
                format!("drop column `{column}` of `{table}`, which has values in {}", shown(rows));
            self.lose(at, table, Some(column), rows, what)?;
        }
        Ok(())
    }

    /// After each statement: rows that it deleted, where that is to be told.
    pub(crate) fn after_statement(&mut self, at: usize, counted: Option<Deletes>) -> Result<()> {
        let (Some(counted), Some(statement)) = (counted, self.statements.get(at)) else {
            return Ok(());
        };
        let Action::Write { verb, .. } = &statement.action else { return Ok(()) };
        let deleted = counted.after(self.conn, *verb, self.script.sql(statement));
        for (table, rows) in deleted.map_err(|error| self.undetermined(at, error))? {
            let what = format!("delete {} of `{table}`", shown(rows));
            self.lose(at, &table, None, rows, what)?;
        }
        Ok(())
    }

    /// After the last statement: what the rebuilt tables have lost.
    pub(crate) fn after(mut self) -> Result<Verdict> {
        for rebuilt in std::mem::take(&mut self.rebuilt) {
            self.compare(&rebuilt)?;
        }
        Ok(Verdict { waived: self.waived, warnings: self.warnings })
    }

    /// Outside a transaction foreign keys are the script's own affair, and where they are on, DROP
    /// TABLE deletes all rows first, with what that does to those that refer to them:
    /// <https://sqlite.org/foreignkeys.html#fk_schemacommands>.
    fn before_cascade(&mut self, at: usize, table: &str) -> Result<()> {
        if !enforces_foreign_keys(self.conn)? {
            return Ok(());
        }
        let children = acting_children(self.conn, table);
        for (child, column) in children.map_err(Error::sqlite("reading the schema"))? {
            let (name, from) = (quoted(&child), quoted(&column));
            let rows = self.ask(at, &format!("SELECT count({from}) FROM main.{name}"))?;
            if rows > 0 {
                let what = format!(
                    "drop table `{table}` while foreign keys are on, which deletes or empties {} \
                     of `{child}` (`PRAGMA foreign_keys = OFF` before it keeps them)",
                    shown(rows)
                );
                self.lose(at, &child, None, rows, what)?;
            }
        }
        Ok(())
    }

    /// Before what cannot be taken back, a drop outside any transaction or a commit of the script's
    /// own: whether everything that is rebuilt is in the table that takes its place, or else at
    /// least as many rows are in another one.
    fn refuse_unkept(&mut self, at: usize) -> Result<()> {
        if self.terms.signed_off {
            return Ok(());
        }
        let rebuilt = std::mem::take(&mut self.rebuilt);
        for table in rebuilt.iter().filter(|table| table.dropped.statement <= at) {
            if let Some(heir) = self.losses.heir_at(&table.dropped, at) {
                if let Some(now) = self.read(at, &heir)? {
                    self.compare_content(table, &now)?;
                }
                continue;
            }
            let mut most = 0;
            for other in self.losses.filled_at(at) {
                most = most.max(self.ask(at, &count("main", other))?);
            }
            let (name, rows) = (&table.before.name, table.before.rows);
            if most < rows {
                let what = uncopied(name, rows);
                self.lose(at, name, None, rows, what)?;
            }
        }
        self.rebuilt = rebuilt;
        Ok(())
    }

    fn read(&self, at: usize, table: &str) -> Result<Option<Table>> {
        Table::read(self.conn, table).map_err(|error| self.undetermined(at, error))
    }

    fn compare(&mut self, rebuilt: &Rebuilt) -> Result<()> {
        let (at, before) = (rebuilt.dropped.statement, &rebuilt.before);
        let name = &before.name;
        let Some(now) = self.read(at, name)? else {
            let what = format!("leave no table `{name}`, which had {}", shown(before.rows));
            return match before.rows {
                0 => Ok(()),
                rows => self.lose(at, name, None, rows, what),
            };
        };
        self.compare_content(rebuilt, &now)?;
        let changes = rebuilt.changes(self.conn, &now, |object| drops(self.statements, object));
        for what in changes.map_err(|error| self.undetermined(at, error))? {
            self.warn(at, name, what)?;
        }
        Ok(())
    }

    /// Rows and columns.
    fn compare_content(&mut self, rebuilt: &Rebuilt, now: &Table) -> Result<()> {
        let at = rebuilt.dropped.statement;
        let losses = rebuilt.losses(self.conn, now, |column| names(self.script, column));
        for loss in losses.map_err(|error| self.undetermined(at, error))? {
            let Loss { column, rows, what } = loss;
            self.lose(at, &rebuilt.before.name, column.as_deref(), rows, what)?;
        }
        Ok(())
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
            file: self.script.file.to_string(),
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

    /// A table that cannot be read, such as one of a module that is not there. Where somebody
    /// interrupted the reading, or is in the way, that is what is told.
    fn undetermined(&self, at: usize, error: rusqlite::Error) -> Error {
        if !is_about_sql(&error) {
            return Error::sqlite("looking at what would be lost")(error);
        }
        let start = self.statements.get(at).map_or(0, |statement| statement.start);
        let position = self.script.position(start);
        let kind = ErrorKind::DataLoss {
            file: self.script.file.to_string(),
            position: Some(position),
            what: "touch what cannot be looked into".to_owned(),
            table: String::new(),
            column: None,
            rows: 0,
        };
        Error::from(kind).at(self.script, position).because(error)
    }
}

fn count(schema: &str, table: &str) -> String {
    format!("SELECT count(*) FROM {}.{}", quoted(schema), quoted(table))
}

fn uncopied(table: &str, rows: i64) -> String {
    format!(
        "drop table `{table}`, outside any transaction, before another table has its {}",
        shown(rows)
    )
}
