//! Verbs that put back what was: what a record holds, or a whole backup.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::backup::restore;
use crate::damage::Damage;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Applied, Deed, Record, Recorded, damaged_line};
use crate::migrator::{Migrator, told};
use crate::plan::Goal;
use crate::report::{Done, Report};
use crate::run::{self, Job, preflight, undo};

/// Undoing what was recorded.
impl Migrator {
    /// Writes: takes back the last run of a seed that is [`undoable`](crate::Seed::undoable). Every
    /// row that it changed becomes what it was, the application's triggers staying quiet, and its
    /// sentinel too, so that the next [`apply`](Migrator::apply) runs it again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::CannotUndo`] where there is no record of it: it has not run, was taken back
    /// already, or the record was forgotten; or where its tables have other columns now; or where
    /// this or, as far as that can be told, any other record is damaged.
    /// [`ErrorKind::ChangedSince`] where rows were changed after it and
    /// [`changed_since`](Migrator::changed_since) does not allow overwriting them;
    /// [`ErrorKind::ForeignKeys`] where rows made since refer to what would go. Nothing is changed
    /// by any error.
    ///
    /// ```
    /// use landfall::{Migrator, Seed, Seeds};
    ///
    /// let family = Seed::new("family", |tx| {
    ///     tx.execute("INSERT INTO contact_group(name) VALUES ('Family')", []).map(drop)
    /// });
    /// let migrator = Migrator::from_dir("migrations-example")
    ///     .seeds(Seeds::new().add(family.undoable()));
    /// let conn = migrator.open_in_memory()?;
    /// let report = migrator.revert_seed(&conn, "family")?;
    /// assert_eq!(report.reverted[0].name, "family");
    /// # Ok::<(), landfall::Error>(())
    /// ```
    pub fn revert_seed(&self, conn: &Connection, name: &str) -> Result<Report> {
        self.judge(conn, self.try_revert_seed(conn, name))
    }

    fn try_revert_seed(&self, conn: &Connection, name: &str) -> Result<Report> {
        preflight::refuse_transaction(conn)?;
        let ledger = self.ledger_of(conn)?;
        let set = self.load()?;
        let job = self.job(conn, &ledger, &set)?;
        let job = Job { put_back: Some(undo::put_back), ..job };
        let Applied { records, damaged, .. } = job.patience.retry(|| job.applied())?;
        if let Some(found) = damaged.first() {
            return Err(damaged_line(found));
        }
        let of_it =
            |record: &&Record| record.name == name && matches!(record.of, Recorded::Seed { .. });
        match records.iter().rfind(of_it) {
            Some(record) => told(run::run(&job, Goal::Undo(record.id))),
            None => {
                let why = "there is no record of it: it has not run, was taken back already, is \
                           not `undoable`, or the record was forgotten";
                let (what, why) = (format!("seed {name}"), why.to_owned());
                Err(ErrorKind::CannotUndo { what, why }.into())
            }
        }
    }

    /// Writes the ledger only: forgets what was recorded longer ago than that, to make room. What
    /// is forgotten can no longer be undone: a migration that says `undo` becomes irreversible.
    /// Records whose line is damaged, which stop every revert, are forgotten whatever their age.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InTransaction`], [`ErrorKind::ReadOnly`], [`ErrorKind::Busy`]. Nothing is
    /// changed by any error.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # let migrator = landfall::Migrator::from_dir("migrations-example");
    /// # let conn = migrator.open_in_memory()?;
    /// let month = Duration::from_secs(30 * 24 * 60 * 60);
    /// let report = migrator.forget_undo(&conn, month)?;
    /// assert!(report.forgotten.is_empty());
    /// # Ok::<(), landfall::Error>(())
    /// ```
    pub fn forget_undo(&self, conn: &Connection, older_than: Duration) -> Result<Report> {
        self.judge(conn, self.try_forget_undo(conn, older_than))
    }

    fn try_forget_undo(&self, conn: &Connection, older_than: Duration) -> Result<Report> {
        preflight::refuse_transaction(conn)?;
        let clock = Instant::now();
        let ledger = self.ledger_of(conn)?;
        let patience = self.patience(conn)?;
        let mut report = Report::default();
        let Applied { records, damaged, .. } = patience.retry(|| ledger.read())?;
        if records.is_empty() && damaged.is_empty() {
            return Ok(report);
        }
        if let Some(why) = preflight::read_only(conn)? {
            let steps = "old records are to be forgotten".to_owned();
            return Err(ErrorKind::ReadOnly { steps, why }.into());
        }
        let tx = patience.begin()?;
        for (version, name) in ledger.forget_older(older_than)? {
            let detail = Some("what it changed can no longer be undone");
            let forgotten =
                Deed { action: "forget", version, name: Some(&name), detail, ..Deed::default() };
            ledger.record([forgotten])?;
            report.forgotten.push(Done::in_ledger(version, name));
        }
        let left = ledger.read()?.records;
        patience.commit(&tx, || {
            let now = ledger.read()?;
            Ok(now.records == left && now.damaged.is_empty())
        })?;
        report.took = clock.elapsed();
        told(Ok(report))
    }
}

/// Putting a backup back.
impl Migrator {
    /// Writes: puts a backup's content in the place of the whole database's, in one transaction,
    /// through SQLite's backup API: other connections see the one or the other, a `-wal` of what
    /// was there before is no danger, and the connection keeps its settings. What has been
    /// written since the backup is lost. The history, which is now the backup's, is told in that
    /// same transaction: the record is written into a temporary copy of the backup, which SQLite
    /// keeps where it keeps its temporary files, and that is what is put in place. Where it cannot
    /// be made, for want of room or because a trigger on the history needs a function of the
    /// application, the record follows in a transaction of its own: a process that dies between
    /// the two leaves the backup restored and not on record.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Backup`] for a file that is missing, damaged or not a backup of this
    /// application, told by its `application_id` (where the database has one) and its ledger;
    /// [`ErrorKind::InTransaction`], [`ErrorKind::ReadOnly`], [`ErrorKind::Busy`],
    /// [`ErrorKind::Stopped`]; [`ErrorKind::Damaged`] for a database whose header cannot be read,
    /// which has to be moved away first. The database is as it was, unless the error says that only
    /// the record in the history failed, or that it is not known whether the backup is stored: then
    /// restore it again.
    ///
    /// ```
    /// use landfall::{Backup, Migration, Migrator, Target};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let migrator = Migrator::from_migrations([
    ///     Migration::sql(1, "note", "CREATE TABLE note(text TEXT)"),
    ///     Migration::sql(2, "clear", "DELETE FROM note"),
    /// ])
    /// .backup(Backup::to_dir(folder.path()));
    /// let mut conn = landfall::rusqlite::Connection::open(folder.path().join("app.db"))?;
    /// migrator.apply_to(&conn, Target::Steps(1))?;
    /// conn.execute("INSERT INTO note VALUES ('keep me')", [])?;
    ///
    /// let report = migrator.apply(&conn)?;
    /// let backup = report.backup.as_ref().and_then(|backup| backup.path()).unwrap();
    /// migrator.restore(&mut conn, backup)?;
    /// let text: String = conn.query_row("SELECT text FROM note", [], |row| row.get(0))?;
    /// assert_eq!(text, "keep me");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn restore(&self, conn: &mut Connection, backup: impl AsRef<Path>) -> Result<Report> {
        let result = self.try_restore(conn, backup.as_ref());
        self.judge(conn, result)
    }

    fn try_restore(&self, conn: &mut Connection, backup: &Path) -> Result<Report> {
        preflight::refuse_transaction(conn)?;
        if let Some(why) = preflight::read_only(conn)? {
            let steps = "a backup is to be restored".to_owned();
            return Err(ErrorKind::ReadOnly { steps, why }.into());
        }
        let clock = Instant::now();
        let path = backup;
        refuse_headless(conn)?;
        let set = self.load()?;
        let supervisor = self.supervisor(conn);
        supervisor.refuse_stopped()?;
        supervisor.begin(None, "restore", || format!("the backup {}", path.display()));
        let mut source = restore::Source::open(path, &self.prefix, &supervisor)?;
        let applied = self.readable(conn)?;
        let live = restore::Live { conn, applied: &applied, set: &set, prefix: &self.prefix };
        source.refuse_other(&live)?;
        conn.flush_prepared_statement_cache();
        let tell = supervisor.copying(self.listener());
        let recorded = source.record(self.wait, &tell, |copy| self.record_restore(copy, path));
        let before = self.ledger_of(conn)?.last_line().ok();
        if let Err(error) = source.put_into(conn, self.wait, &tell) {
            if !error.is_ambiguous() {
                return Err(error);
            }
            // The backup API commits by itself.
            let restored = self.ledger_of(source.conn())?.last_line().ok();
            let ledger = self.ledger_of(conn)?;
            let stored = || {
                let now = Some(ledger.last_line()?);
                if before == restored || (now != before && now != restored) {
                    let doing = "telling the database from the backup";
                    return Err(ErrorKind::Sqlite { doing }.into());
                }
                Ok(now == restored)
            };
            self.patience(conn)?.settle(error, stored)?;
        }
        supervisor.close();
        let restored = Some(path.to_owned());
        let mut report = Report { restored, ..Report::default() };
        if recorded.is_err() {
            self.record_restore(conn, path).map_err(|error| {
                let told = match error.is_unknown() {
                    true => "the backup is restored, but it is not known whether that is recorded",
                    false => "the backup is restored, but that could not be recorded",
                };
                error.changed(format!("{told} in its history")).after(report.clone())
            })?;
        }
        report.took = clock.elapsed();
        told(Ok(report))
    }

    /// What the ledger says, if it can be read at all: a damaged database is one to restore.
    fn readable(&self, conn: &Connection) -> Result<Applied> {
        let ledger = self.ledger_of(conn)?;
        let read = self.patience(conn)?.retry(|| ledger.read());
        match read {
            Err(error) if matches!(error.kind(), ErrorKind::Busy { .. }) => Err(error),
            read => Ok(read.unwrap_or_default()),
        }
    }

    fn record_restore(&self, conn: &Connection, path: &Path) -> Result<()> {
        let ledger = self.ledger_of(conn)?;
        let patience = self.patience(conn)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let tx = patience.begin()?;
        ledger.create()?;
        let detail = Some(name.as_ref());
        ledger.record([Deed { action: "restore", detail, ..Deed::default() }])?;
        let line = ledger.last_line()?;
        patience.commit(&tx, || Ok(ledger.last_line()? == line))
    }
}

/// SQLite writes into no file whose header it cannot read, which it would say of the backup's name.
fn refuse_headless(conn: &Connection) -> Result<()> {
    let version = conn.query_row("PRAGMA main.schema_version", [], |row| row.get::<_, i64>(0));
    match version {
        Err(error) if Damage::of(&error) == Some(Damage::Header) => {
            Err(Error::sqlite("reading the database to be restored")(error))
        }
        _ => Ok(()),
    }
}
