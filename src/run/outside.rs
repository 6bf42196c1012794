//! A migration that runs outside any transaction: marked before, recorded after.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::guard::{Guard, Verdict};
use super::lock::{refuse_lost, roll_back};
use super::segment::{LOOKING, commit_failed};
use super::session::{KeysOff, MEANINGS};
use super::{Job, Run, empty_downs, statements};
use crate::error::{Error, ErrorKind, Result, is_about_sql};
use crate::escape::escaped;
use crate::event::Event;
use crate::ledger::{Holder, LiveRun, Mark};
use crate::migration::Version;
use crate::plan::{Direction, Goal, Step};
use crate::sql::action::Change;
use crate::sql::token::{Kind, Token, tokens};
use crate::sql::{Action, Control, Object, Script, Statement, quoted};

/// A migration that runs outside a transaction, as far as it has come.
struct Outside<'a> {
    job: &'a Job<'a>,
    script: &'a Script,
    mark: Mark,
    /// Whether it stands inside a transaction of the script's own.
    inside: bool,
    /// Whether another process has taken it over.
    lost: bool,
    /// Whether the mark tells exactly whether the statement that ran last is in effect.
    exact: bool,
    /// Whether the one that ran last, and only reads, has written something by way of a function.
    wrote: bool,
}

/// How a statement runs.
enum Way {
    /// In a transaction with its mark.
    WithItsMark,
    /// It writes nothing and needs no lock.
    Reads,
    /// SQLite runs it outside of a transaction only, or it begins or ends one.
    Alone,
}

impl Run<'_> {
    pub(super) fn outside(&mut self, step: &Step) -> Result<()> {
        let job = self.job;
        let (Some(version), Some(script)) = (step.version, job.script(&step.work)) else {
            return Ok(());
        };
        refuse_counts(script)?;
        let live = LiveRun::begin();
        let mark = Mark {
            version,
            name: step.name.clone(),
            finished: 0,
            revert: step.direction == Direction::Revert,
            holder: Some(live.holder().clone()),
            at: None,
        };
        let settings = job.remember_settings(|_| true)?;
        let statements: Vec<&Statement> = script.statements.iter().collect();
        let terms = job.terms(script, true);
        job.supervise(step);
        let look = || job.patience.retry(|| Guard::before(job.conn, script, &statements, terms));
        let mut guard = job.supervisor.during(LOOKING, look)?;
        if guard.as_ref().is_some_and(Guard::judges_later) {
            self.refuse_loss_beforehand(script)?;
        }
        if !self.begin_outside(step, &mark)? {
            return Ok(());
        }
        let clock = Instant::now();
        job.supervise(step);
        job.tell(&step.started());
        let attached = databases(job.conn);
        let mut outside =
            Outside { job, script, mark, inside: false, lost: false, exact: true, wrote: false };
        let result = outside.statements(&mut guard).and_then(|rows| {
            let verdict = guard.map_or_else(|| Ok(Verdict::default()), Guard::after)?;
            let verify = job.verify_script(&step.work);
            verify
                .map_or(Ok(()), |verify| statements::verify(job.conn, verify, &job.supervisor))?;
            Ok((verdict, rows))
        });
        job.supervisor.end();
        roll_back(job.conn);
        detach_others(job.conn, &attached);
        let restored = settings.restore();
        let (verdict, rows) = result.map_err(|error| self.failed_outside(error, &outside))?;
        let took = clock.elapsed();
        self.end_outside(step, rows, took, verdict, live.holder())?;
        restored?;
        job.tell(&step.finished(took));
        log::debug!("{} {} in {took:?}", step.direction, escaped(step.label()));
        Ok(())
    }

    /// Refuses a script that would lose data before its first statement runs for good: in the middle
    /// of it, what ran before would stay. The statements run in a transaction that is rolled back.
    ///
    /// A script that SQLite cannot run so is judged as it goes, and so is what changes meanwhile, and one
    /// that calls functions of the application, which may do something that no ROLLBACK takes back. One
    /// that is wrapped in a transaction of its own takes itself back.
    fn refuse_loss_beforehand(&self, script: &Script) -> Result<()> {
        let job = self.job;
        let runs = |statement: &&Statement| match &statement.action {
            Action::Control(control) => *control == Control::Savepoint,
            Action::Vacuum | Action::Query | Action::Attach | Action::Detach => false,
            // The others have no part in what a statement does, and SQLite may refuse them here.
            Action::Pragma { name, .. } => {
                name.as_ref() != "foreign_keys" && MEANINGS.contains(&name.as_ref())
            }
            _ => true,
        };
        let fits = |statement: &Statement| {
            !matches!(statement.action, Action::Unknown | Action::Control(Control::Rollback))
        };
        let fits = !script.wraps() && script.statements.iter().all(fits);
        if !fits || calls_the_application(job.conn, script)? {
            return Ok(());
        }
        let statements: Vec<&Statement> = script.statements.iter().filter(runs).collect();
        // Between a BEGIN and a COMMIT of its own other rules hold than outside, and they are left out.
        let is_control = |statement: &Statement| matches!(&statement.action, Action::Control(control) if *control != Control::Savepoint);
        let outside = !script.statements.iter().any(is_control);
        let _settings = job.remember_settings(|_| true)?;
        let off = script.wants_foreign_keys_off();
        let _keys = if off { Some(KeysOff::switch(job.conn)?) } else { None };
        let tx = job.patience.begin()?;
        let judge = || -> Result<()> {
            let Some(mut guard) =
                Guard::before(&tx, script, &statements, job.terms(script, outside))?
            else {
                return Ok(());
            };
            for (at, statement) in statements.iter().enumerate() {
                let counted = guard.before_statement(at)?;
                refuse_lost(&tx)?;
                statements::execute(&tx, script, statement)?;
                refuse_lost(&tx)?;
                guard.after_statement(at, counted)?;
            }
            guard.after().map(drop)
        };
        let judged = job.supervisor.during(LOOKING, judge);
        job.supervisor.end();
        drop(tx);
        match judged {
            Err(error)
                if matches!(error.kind(), ErrorKind::DataLoss { .. }) || error.is_fault() =>
            {
                Err(error)
            }
            // What fails otherwise fails where it is run for good, and is told there.
            Err(error) if matches!(error.kind(), ErrorKind::Stopped { .. }) => Err(error),
            _ => Ok(()),
        }
    }

    /// Leaves the mark, if this is still what is to be done.
    fn begin_outside(&self, step: &Step, mark: &Mark) -> Result<bool> {
        let job = self.job;
        let tx = job.patience.begin()?;
        let applied = job.applied()?;
        if job.is_overtaken(&applied, self.goal) || applied.takeover.is_some() {
            return Ok(false);
        }
        let plan = job.plan_from(&applied, self.goal)?;
        let still = plan.first_segment().first().is_some_and(|first| {
            first.version == step.version
                && first.direction == step.direction
                && first.transaction.is_none()
        });
        if still {
            job.ledger.create()?;
            job.ledger.begin_mark(mark)?;
            job.ledger.record([])?;
            job.patience.commit(&tx, || job.has_mark(mark))?;
        }
        Ok(still)
    }

    /// Where nothing is in effect the mark goes: the first statement failed and took itself back,
    /// which one that stands by itself and was interrupted or met an I/O error need not have done, or
    /// a transaction of the script's own did and took its marks along.
    fn failed_outside(&self, error: Error, outside: &Outside<'_>) -> Error {
        let (job, mark, script) = (self.job, &outside.mark, outside.script);
        let ambiguous = error.is_ambiguous();
        let error = job.supervisor.explain(error);
        if outside.lost {
            let done = done(script, mark.finished);
            return error.changed(format!("{done}, and nothing was written since by this process"));
        }
        let read = job.patience.retry(|| job.ledger.read());
        let stored =
            read.ok().and_then(|applied| applied.mark).map_or(mark.finished, |m| m.finished);
        // A statement that stands by itself and was interrupted can be through all the same.
        let doubtful = !outside.inside && (outside.wrote || !outside.exact && ambiguous);
        let finished = if outside.inside { stored } else { mark.finished };
        let untouched = finished == 0 && !doubtful && !error.is_unknown();
        if untouched && job.patience.retry(|| outside.clear()).is_ok() {
            return error;
        }
        let mut advice = String::new();
        if let ErrorKind::DataLoss { .. } = error.kind() {
            advice.push_str(
                "if the loss is meant, add `-- landfall: allow-data-loss: <reason>` to the file; ",
            );
        }
        let run = script.statements.get(..finished).unwrap_or_default();
        let undone: Vec<String> =
            run.iter().rev().filter_map(|statement| undo_by_hand(script, statement)).collect();
        if !undone.is_empty() {
            advice.push_str(&format!("undo by hand, in this order: {}; then ", listed(&undone)));
        }
        advice.push_str(
            "call `repair` with a reason to run it again from its start; or do the rest of it by \
             hand and call `baseline` with its version to take it as done",
        );
        if let Some(path) = self.report.backup.as_ref().and_then(|backup| backup.path()) {
            advice.push_str(&format!("; or `restore` the backup {}", path.display()));
        }
        error
            .changed(format!(
                "it runs outside a transaction: {}{}, and it is marked as interrupted",
                done(script, finished),
                if doubtful { ", and the one that failed may be" } else { "" }
            ))
            .advise(advice)
    }

    fn end_outside(
        &mut self,
        step: &Step,
        rows: u64,
        took: Duration,
        verdict: Verdict,
        holder: &Holder,
    ) -> Result<()> {
        let before = self.report.clone();
        if let Err(error) = self.record_outside(step, rows, took, verdict, holder) {
            self.report = before;
            if let ErrorKind::TakenOver { .. } = error.kind() {
                return Err(error.changed("its statements are all in effect"));
            }
            return Err(match error.is_unknown() {
                true => error.changed(
                    "its statements are all in effect, but it is not known whether that is \
                     recorded",
                ),
                false => error.changed(
                    "its statements are all in effect, but that could not be recorded: it is \
                     marked as interrupted",
                ),
            });
        }
        self.job.tell(&Event::Committed);
        Ok(())
    }

    fn record_outside(
        &mut self,
        step: &Step,
        rows: u64,
        took: Duration,
        verdict: Verdict,
        holder: &Holder,
    ) -> Result<()> {
        let job = self.job;
        let tx = job.patience.begin()?;
        if !job.ledger.is_held_by(holder)? {
            return Err(taken_over(step.version, &step.name));
        }
        match (step.direction, step.version) {
            (Direction::Revert, Some(version)) => job.ledger.delete(version)?,
            _ => job.ledger.insert(self.row(step, took))?,
        }
        if self.goal == Goal::Down(crate::Target::Empty) {
            job.ledger.forget_seeds()?;
        }
        job.ledger.clear_mark()?;
        job.ledger.record(self.deeds(step, &verdict.waived))?;
        self.report.warnings.extend(verdict.warnings);
        self.report.warnings.extend(empty_downs::warnings(job.set, std::slice::from_ref(step)));
        self.report.add(step, rows, took);
        self.finish_if_done()?;
        job.patience.commit(&tx, || {
            let applied = job.ledger.read()?;
            let is_there = applied.migrations.iter().any(|row| Some(row.version) == step.version);
            Ok(applied.mark.is_none() && is_there == (step.direction != Direction::Revert))
        })
    }
}

impl Outside<'_> {
    /// Returns how many rows the statements changed.
    fn statements(&mut self, guard: &mut Option<Guard<'_>>) -> Result<u64> {
        let (conn, script) = (self.job.conn, self.script);
        let mut rows = 0;
        for (at, statement) in script.statements.iter().enumerate() {
            let way = self.way(statement);
            self.exact = !matches!(way, Way::Alone);
            let before = conn.total_changes();
            if conn.is_autocommit() {
                if let Way::WithItsMark = way {
                    rows += self.with_its_mark(at, statement, guard)?;
                    continue;
                }
                self.job.patience.retry(|| self.refuse_taken_over())?;
            }
            let ran = self.guarded(conn, at, statement, guard);
            // A function that a query calls can write by itself.
            self.wrote = matches!(way, Way::Reads) && conn.total_changes() != before;
            rows += ran?;
            self.mark.finished = at + 1;
            self.inside = !conn.is_autocommit();
            if at + 1 < script.statements.len() {
                self.note()?;
            }
        }
        if conn.is_autocommit() {
            return Ok(rows);
        }
        let position = script.position(script.end());
        let kind = ErrorKind::TransactionControl {
            file: script.file.to_string(),
            position,
            statement: "BEGIN without COMMIT".to_owned(),
        };
        Err(Error::from(kind).at(script, position).advise("end the transaction that it begins"))
    }

    fn way(&self, statement: &Statement) -> Way {
        match &statement.action {
            Action::Control(_)
            | Action::Pragma { .. }
            | Action::Vacuum
            | Action::Attach
            | Action::Detach => Way::Alone,
            Action::Query | Action::Unknown => {
                match self.job.conn.prepare(self.script.sql(statement)) {
                    Ok(prepared) if !prepared.readonly() => Way::WithItsMark,
                    // One that does not compile fails by itself.
                    _ => Way::Reads,
                }
            }
            _ => Way::WithItsMark,
        }
    }

    /// Runs a statement under the write lock, which it would take for itself in any case, in one
    /// transaction with its mark: nobody can write between the guard's last look and the statement,
    /// no other process can have taken the migration over, and what the mark counts is exact.
    fn with_its_mark(
        &mut self,
        at: usize,
        statement: &Statement,
        guard: &mut Option<Guard<'_>>,
    ) -> Result<u64> {
        let job = self.job;
        let tx = job.patience.begin()?;
        self.refuse_taken_over()?;
        let rows = self.guarded(&tx, at, statement, guard)?;
        job.supervisor.refuse_interrupted()?;
        let done = Mark { finished: at + 1, ..self.mark.clone() };
        refuse_lost(&tx)?;
        self.move_mark(&done)?;
        let committed = job.patience.commit(&tx, || job.has_mark(&done));
        committed.map_err(|error| {
            let position = self.script.position(statement.start);
            let place = format!("{} at {position}", self.script.file);
            commit_failed(error, &tx, place).at(self.script, position)
        })?;
        self.mark = done;
        Ok(rows)
    }

    /// One statement, between the guard's looks.
    fn guarded(
        &self,
        conn: &Connection,
        at: usize,
        statement: &Statement,
        guard: &mut Option<Guard<'_>>,
    ) -> Result<u64> {
        let nth = (at + 1, self.script.statements.len());
        // What is through stays: only what comes before may be interrupted.
        let (rows, counted) = self.job.supervisor.statement(self.script, statement, nth, || {
            let counted = match guard {
                Some(guard) => guard.before_statement(at)?,
                None => None,
            };
            Ok((statements::execute(conn, self.script, statement)?, counted))
        })?;
        if let Some(guard) = guard {
            guard.after_statement(at, counted)?;
        }
        Ok(rows)
    }

    /// Writes down how far it is: inside a transaction of the script's own as a part of that.
    fn note(&mut self) -> Result<()> {
        let job = self.job;
        let mark = self.mark.clone();
        if self.inside {
            return job.patience.retry(|| self.move_mark(&mark));
        }
        let tx = job.patience.begin()?;
        self.move_mark(&mark)?;
        job.patience.commit(&tx, || job.has_mark(&mark))
    }

    fn move_mark(&mut self, mark: &Mark) -> Result<()> {
        if self.job.ledger.move_mark(mark)? {
            return Ok(());
        }
        self.lost = true;
        Err(taken_over(Some(mark.version), &mark.name))
    }

    /// Refuses to go on where the mark is not this run's any more: another process counted it as
    /// interrupted. A process that was stopped for long may find that when it goes on.
    fn refuse_taken_over(&mut self) -> Result<()> {
        let Some(holder) = &self.mark.holder else { return Ok(()) };
        if self.job.ledger.is_held_by(holder)? {
            return Ok(());
        }
        self.lost = true;
        Err(taken_over(Some(self.mark.version), &self.mark.name))
    }

    /// Takes the mark away, where it is this run's.
    fn clear(&self) -> Result<()> {
        let job = self.job;
        let tx = job.patience.begin_once()?;
        let Some(holder) = &self.mark.holder else { return Ok(()) };
        if job.ledger.is_held_by(holder)? {
            job.ledger.clear_mark()?;
        }
        job.patience.commit(&tx, || Ok(!job.ledger.is_held_by(holder)?))
    }
}

impl Job<'_> {
    /// Whether this is the mark that is stored.
    fn has_mark(&self, wanted: &Mark) -> Result<bool> {
        Ok(self.ledger.read()?.mark.is_some_and(|mark| mark.is(wanted)))
    }
}

/// The names in a statement that a parenthesis follows, in the way of a function's.
fn called<'s>(script: &'s Script, statement: &Statement) -> Vec<&'s str> {
    let sql = script.sql(statement);
    let tokens: Vec<Token> = tokens(sql).filter(|token| token.is_significant()).collect();
    let pairs = tokens.iter().zip(tokens.iter().skip(1));
    let calls = pairs.filter(|(name, next)| name.kind == Kind::Word && next.text(sql) == "(");
    calls.map(|(name, _)| name.text(sql)).collect()
}

/// Whether a script calls a function that is not SQLite's own.
fn calls_the_application(conn: &Connection, script: &Script) -> Result<bool> {
    let names: BTreeSet<&str> =
        script.statements.iter().flat_map(|statement| called(script, statement)).collect();
    let ask = || {
        let mut own = conn.prepare(
            "SELECT 1 FROM pragma_function_list WHERE NOT builtin AND name = ?1 COLLATE NOCASE",
        )?;
        for name in names {
            if own.exists([name])? {
                return Ok(true);
            }
        }
        Ok(false)
    };
    match ask() {
        // A release before 3.30 does not tell.
        Err(error) if is_about_sql(&error) => Ok(true),
        answer => answer.map_err(Error::sqlite("asking which functions are the application's")),
    }
}

/// Refuses what counts rows that earlier statements changed: the mark is written in between.
fn refuse_counts(script: &Script) -> Result<()> {
    for statement in &script.statements {
        let is_body = matches!(statement.action, Action::Create { .. });
        let counts = ["changes", "total_changes"];
        let count = called(script, statement).into_iter().find(|name| {
            !is_body && counts.into_iter().any(|count| count.eq_ignore_ascii_case(name))
        });
        if let Some(name) = count {
            let position = script.position(statement.start);
            let why = format!(
                "{name}() would count what is written down between two statements of a migration \
                 outside a transaction"
            );
            let kind = ErrorKind::BadText { file: script.file.to_string(), position, why };
            return Err(Error::from(kind)
                .at(script, position)
                .advise("count the rows with a query; or let it run in a transaction"));
        }
    }
    Ok(())
}

fn taken_over(version: Option<Version>, name: &str) -> Error {
    ErrorKind::TakenOver { version: version.unwrap_or(Version(0)), name: name.to_owned() }.into()
}

/// Which statements are in effect, in words.
fn done(script: &Script, finished: usize) -> String {
    let done: Vec<String> = script
        .statements
        .iter()
        .take(finished)
        .map(|statement| {
            format!("{} at {}", gist(script, statement), script.position(statement.start))
        })
        .collect();
    match done.as_slice() {
        [] => "none of its statements is in effect".to_owned(),
        [one] => format!("{one} is in effect"),
        _ => format!("{} are in effect", listed(&done)),
    }
}

/// How many statements of a script are told one by one.
const TOLD: usize = 12;

fn listed(items: &[String]) -> String {
    match items.split_at_checked(TOLD) {
        Some((first, rest)) if !rest.is_empty() => {
            format!("{}, and {} more", first.join(", "), rest.len())
        }
        _ => items.join(", "),
    }
}

/// The first words of a statement, in quotes.
fn gist(script: &Script, statement: &Statement) -> String {
    const LONGEST: usize = 40;
    let words: Vec<&str> = script.sql(statement).split_whitespace().collect();
    let text = words.join(" ");
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("`{}…`", text.get(..end).unwrap_or_default().trim_end()),
        None => format!("`{text}`"),
    }
}

/// How a finished statement is taken back by hand.
fn undo_by_hand(script: &Script, statement: &Statement) -> Option<String> {
    let line = script.position(statement.start).line;
    Some(match &statement.action {
        Action::Create { what, name, .. } => {
            let what = match what {
                Object::Table | Object::VirtualTable => "table",
                Object::Index => "index",
                Object::View => "view",
                Object::Trigger => "trigger",
            };
            format!("drop the {what} `{}` that line {line} made", name.name)
        }
        Action::Alter { table, change: Change::RenameTable(to) } => {
            format!("rename `{to}` to `{}` again, which line {line} renamed", table.name)
        }
        Action::Alter { table, change: Change::RenameColumn(renamed) } => format!(
            "rename the column `{}` of `{}` to `{}` again, which line {line} renamed",
            renamed.to, table.name, renamed.from
        ),
        Action::Alter { table, change: Change::AddColumn(column) } => {
            format!("drop the column `{column}` of `{}` that line {line} added", table.name)
        }
        Action::Pragma { .. } | Action::Query | Action::Control(_) | Action::Vacuum => return None,
        _ => format!("what {} in line {line} did", gist(script, statement)),
    })
}

fn databases(conn: &Connection) -> Vec<String> {
    let list = || {
        let mut statement = conn.prepare("SELECT name FROM pragma_database_list")?;
        let names = statement.query_map([], |row| row.get(0))?;
        names.collect::<rusqlite::Result<Vec<String>>>()
    };
    list().unwrap_or_default()
}

fn detach_others(conn: &Connection, before: &[String]) {
    for name in databases(conn) {
        if name != "temp" && !before.contains(&name) {
            let _ = conn.execute_batch(&format!("DETACH {}", quoted(&name)));
        }
    }
}
