//! One segment: steps that share a transaction, from BEGIN to COMMIT.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction};

use super::aside::Aside;
use super::code_guard::CodeGuard;
use super::foreign_keys::{Touched, Wrongs, names};
use super::guard::{Guard, Verdict};
use super::lend::{Stands, TAKEN_BACK, is_sqlites, lend};
use super::lock::refuse_lost;
use super::objects::{self, Broken};
use super::session::KeysOff;
use super::undo::Recorder;
use super::{Job, Made, Run, empty_downs, statements};
use crate::error::{Error, ErrorKind, Result};
use crate::escape::escaped;
use crate::event::Event;
use crate::ledger::{Applied, Recorded};
use crate::migration::Deed;
use crate::plan::{Direction, ForeignKeys, Goal, Plan, Risk, Step, Work};
use crate::report::{HistoryEntry, Report};
use crate::source::Entry;
use crate::sql::action::Change;
use crate::sql::{Action, Object, Script, Statement};

/// What is done around the steps of a segment, and around one.
const CHECKING: &str = "checking the schema and the foreign keys of";
pub(super) const LOOKING: &str = "looking at what could be lost by";

/// How the schema and the keys were before, as far as the segment could harm them.
struct Before {
    broken: Vec<Broken>,
    keys: Option<(Touched, Wrongs)>,
}

/// Calls the function of a migration in code, which may enforce foreign keys.
pub(crate) type Call =
    fn(&Run<'_>, &Transaction<'_>, &Entry, &Deed, bool) -> Result<(Verdict, u64)>;

pub(crate) const CALL: Call = |run, tx, entry, deed, enforced| run.code(tx, entry, deed, enforced);

impl<'a> Run<'a> {
    /// Runs the first segment of a plan, if it is still what is to be done once the lock is held;
    /// otherwise does nothing, and the caller plans again. Returns the data version at which what is
    /// left of the plan is what is left to do.
    pub(super) fn segment(&mut self, plan: &Plan, made: Made) -> Result<Option<i64>> {
        let job = self.job;
        let preview = plan.first_segment();
        let code = preview.iter().any(|step| job.code(&step.work).is_some());
        let named = self.pragmas(preview);
        let undoes = preview.iter().any(|step| matches!(step.work, Work::Undo(_)));
        let changes = |name: &str| {
            // Putting back switches CHECK constraints off.
            code || named.contains(name) || (undoes && name == "ignore_check_constraints")
        };
        let settings = job.remember_settings(changes)?;
        drop(named);
        let off = preview.first().is_some_and(|step| step.foreign_keys == ForeignKeys::Off);
        job.supervisor.refuse_stopped()?;
        let keys = if off { Some(KeysOff::switch(job.conn)?) } else { None };
        let tx = job.patience.begin()?;
        let version = data_version(&tx)?;
        // Where it ends, and where repeatables come and go, the ledger is read in any case.
        let goes_on = plan.steps.len() > preview.len() && preview.iter().all(Step::is_versioned);
        let done = match made {
            Made::UnderLock { at } if at == version && goes_on => {
                let applied = Applied { begun: true, complete: true, ..Applied::default() };
                Some(self.carry_out(&tx, plan, &applied)?)
            }
            _ => self.inside(&tx, plan)?,
        };
        let Some(done) = done else { return Ok(None) };
        job.supervisor.refuse_interrupted()?;
        let committed = job.patience.commit(&tx, || self.is_stored(preview));
        committed.map_err(|error| {
            let by = preview.last().map(|step| job.label(step)).unwrap_or_default();
            commit_failed(error, &tx, by)
        })?;
        drop(tx);
        self.report.absorb(done);
        if let Some(keys) = keys {
            keys.restore()?;
        }
        settings.restore()?;
        job.tell(&Event::Committed);
        Ok(goes_on.then_some(version))
    }

    /// Whether the ledger says of every step of a segment what its transaction writes.
    fn is_stored(&self, steps: &[Step]) -> Result<bool> {
        let job = self.job;
        let applied = job.applied()?;
        let has =
            |step: &Step| applied.migrations.iter().any(|row| Some(row.version) == step.version);
        Ok(steps.iter().all(|step| match (step.direction, &step.work) {
            (_, Work::Undo(record)) if step.version.is_none() => {
                !applied.records.iter().any(|stored| stored.id == record.id)
            }
            (Direction::Apply | Direction::Mark, _) => has(step),
            (Direction::Revert, _) => !has(step),
            (Direction::Repeat, work) => job.script(work).is_none_or(|script| {
                let repeatables = &applied.repeatables;
                repeatables
                    .iter()
                    .any(|row| row.name == step.name && row.checksum == script.checksum)
            }),
            // It comes with others, or is planned again.
            (Direction::SetAside, _) => true,
        }))
    }

    /// The settings that the segment's scripts name.
    fn pragmas<'s>(&'s self, steps: &'s [Step]) -> BTreeSet<&'s str> {
        let statements = self.scripts(steps).flat_map(|script| &script.statements);
        let names = statements.filter_map(|statement| match &statement.action {
            Action::Pragma { name, .. } => Some(name.as_ref()),
            _ => None,
        });
        names.collect()
    }

    fn scripts<'s>(&'s self, steps: &'s [Step]) -> impl Iterator<Item = &'s Script> {
        steps.iter().filter_map(|step| self.job.script(&step.work))
    }

    /// Everything between BEGIN and COMMIT. Returns what there is to report once that is committed,
    /// or `None` where another process has been here in the meantime.
    fn inside(&mut self, tx: &Transaction<'_>, preview: &Plan) -> Result<Option<Report>> {
        let job = self.job;
        let applied = job.applied()?;
        if job.is_overtaken(&applied, self.goal) || applied.takeover.is_some() {
            return Ok(None);
        }
        if preview.of_nothing && !applied.begun {
            return self.carry_out(tx, preview, &applied).map(Some);
        }
        let plan = job.plan_from(&applied, self.goal)?;
        if !same(plan.first_segment(), preview.first_segment()) || plan.gate().is_some() {
            return Ok(None);
        }
        if applied.begun && !applied.complete {
            // Our triggers write to a table that somebody dropped: with them SQLite would rename
            // nothing.
            job.ledger.create()?;
        }
        self.carry_out(tx, &plan, &applied).map(Some)
    }

    /// The first segment of a plan that holds under the lock.
    fn carry_out(
        &mut self,
        tx: &Transaction<'_>,
        plan: &Plan,
        applied: &Applied,
    ) -> Result<Report> {
        let steps = plan.first_segment();
        if let Some(first) = steps.first() {
            self.job.supervise(first);
        }
        let before = self.job.supervisor.during(CHECKING, || self.before(steps))?;
        let committed = std::mem::take(&mut self.report);
        let result = self.steps_and_checks(tx, steps, applied, &before).and_then(|()| {
            let last = steps.len() == plan.steps.len() && plan.seeds.is_empty();
            if last { self.finish(plan) } else { Ok(()) }
        });
        let report = std::mem::replace(&mut self.report, committed);
        result.map(|()| report)
    }

    fn steps_and_checks(
        &mut self,
        tx: &Transaction<'_>,
        steps: &[Step],
        applied: &Applied,
        before: &Before,
    ) -> Result<()> {
        let job = self.job;
        // On the way down, and before a migration outside any transaction, they stay away.
        let stay = matches!(self.goal, Goal::Down(_))
            || steps.iter().all(|step| step.direction == Direction::SetAside);
        let aside = if stay { None } else { Some(Aside::remember(job, steps)?) };
        let mut done = Vec::with_capacity(steps.len());
        for step in steps {
            let clock = Instant::now();
            job.supervise(step);
            job.tell(&step.started());
            let (verdict, rows) = self.step(tx, step, before)?;
            let took = clock.elapsed();
            job.tell(&step.finished(took));
            log::debug!("{} {} in {took:?}", step.direction, escaped(step.label()));
            self.report.add(step, rows, took);
            self.report.warnings.extend(verdict.warnings);
            done.push((took, verdict.waived));
        }
        self.report.warnings.extend(empty_downs::warnings(job.set, steps));
        refuse_lost(tx)?;
        let back = aside.map_or(Ok(Vec::new()), |aside| aside.put_back(tx))?;
        let supervisor = &job.supervisor;
        supervisor.during(CHECKING, || self.after(steps, before))?;
        supervisor.end();
        refuse_lost(tx)?;
        self.write_ledger(steps, &done, applied, &back)?;
        refuse_lost(tx)
    }

    /// Says also how many rows it changed.
    fn step(&self, tx: &Transaction<'_>, step: &Step, before: &Before) -> Result<(Verdict, u64)> {
        let recorder = self.recorder(tx, step)?;
        let (verdict, mut rows) = if let Some((entry, deed)) = self.job.code(&step.work) {
            let enforced = self.job.enforces && step.foreign_keys == ForeignKeys::Unchanged;
            let Some(call) = self.job.call else {
                let failed = Error::from(ErrorKind::Code { name: entry.label().to_owned() });
                return Err(failed.because("migrations in code were not to be there"));
            };
            call(self, tx, entry, deed, enforced)?
        } else if let Some(script) = self.job.script(&step.work) {
            self.script(tx, script, before)?
        } else {
            Default::default()
        };
        if let Work::Undo(record) = &step.work {
            let policy = self.job.undo.changed_since;
            let what = match step.version {
                Some(_) => format!("migration {}", step.label()),
                None => format!("seed {}", step.name),
            };
            let Some(put_back) = self.job.put_back else {
                let why = "nothing was to go back".to_owned();
                return Err(ErrorKind::CannotUndo { what, why }.into());
            };
            rows = put_back(tx, self.job.ledger, record, &what, policy, &self.job.supervisor)?;
        }
        if let Some((entry, recorder)) = recorder {
            rows = rows.saturating_sub(recorder.kept()?);
            let of = Recorded::Migration(entry.version);
            let (ledger, terms) = (self.job.ledger, &self.job.undo);
            let finish = || recorder.finish(ledger, &of, &entry.name, terms);
            self.job.supervisor.during("recording what was changed by", finish)?;
        }
        if let Some(script) = self.job.verify_script(&step.work) {
            statements::verify(tx, script, &self.job.supervisor)?;
        }
        Ok((verdict, rows))
    }

    /// Records what a migration changes, where it says that this can be undone.
    fn recorder<'t>(
        &self,
        tx: &'t Transaction<'_>,
        step: &Step,
    ) -> Result<Option<(&'a Entry, Recorder<'t>)>> {
        let job = self.job;
        let Some(entry) = job.recorded(step) else {
            return Ok(None);
        };
        let what = format!("migration {}", entry.label());
        let recorder = match entry.task.script() {
            Some(script) => Recorder::of_script(tx, job.ledger, script, what)?,
            None => Recorder::of_code(tx, job.ledger, what)?,
        };
        Ok(Some((entry, recorder)))
    }

    fn script(
        &self,
        tx: &Transaction<'_>,
        script: &Script,
        before: &Before,
    ) -> Result<(Verdict, u64)> {
        let statements: Vec<&Statement> = script.in_transaction().collect();
        let supervisor = &self.job.supervisor;
        let terms = self.job.terms(script, false);
        let look = || Guard::before(tx, script, &statements, terms);
        let mut guard = supervisor.during(LOOKING, look)?;
        let mut rows = 0;
        for (at, statement) in statements.iter().enumerate() {
            rows += supervisor.statement(script, statement, (at + 1, statements.len()), || {
                let counted = match &mut guard {
                    Some(guard) => guard.before_statement(at)?,
                    None => None,
                };
                refuse_lost(tx)?;
                let rows = statements::execute(tx, script, statement)
                    .map_err(|error| self.explain(error, before))?;
                refuse_ended(tx, || {
                    let position = script.position(statement.start);
                    let kind = ErrorKind::Statement { file: script.file.to_string(), position };
                    Error::from(kind)
                        .at(script, position)
                        .changed("the statement ended the transaction, which took everything back")
                })?;
                if let Some(guard) = &mut guard {
                    guard.after_statement(at, counted)?;
                }
                Ok(rows)
            })?;
        }
        let Some(guard) = guard else { return Ok((Verdict::default(), rows)) };
        let verdict = supervisor.during(LOOKING, || guard.after())?;
        Ok((verdict, rows))
    }

    fn code(
        &self,
        tx: &Transaction<'_>,
        entry: &Entry,
        deed: &Deed,
        enforced: bool,
    ) -> Result<(Verdict, u64)> {
        let supervisor = &self.job.supervisor;
        let policy = self.job.policies.data_loss;
        let guard = supervisor.during(LOOKING, || CodeGuard::before(tx, policy))?;
        let ((returned, rows), stands) = lend(tx, enforced, |tx| {
            let before = tx.total_changes();
            let returned = supervisor.lending(Duration::ZERO, || deed(tx));
            (returned, tx.total_changes().saturating_sub(before))
        })?;
        match (returned, stands) {
            (Ok(()), Stands::Yes) => {}
            (Ok(()), Stands::No) => return Err(ended(entry.label().to_owned())),
            (Err(error), stands) => {
                let kind = ErrorKind::Code { name: entry.label().to_owned() };
                let is_sqlites = is_sqlites(&error) || supervisor.has_interrupted();
                let failed = Error::from(kind).because(error);
                return Err(match stands {
                    Stands::Yes => failed,
                    Stands::No if is_sqlites => failed.changed(TAKEN_BACK),
                    Stands::No => failed.changed(SELF_ENDED),
                });
            }
        }
        let Some(guard) = guard else { return Ok((Verdict::default(), rows)) };
        let verdict = supervisor.during(LOOKING, || guard.after(entry))?;
        Ok((verdict, rows))
    }

    /// Says more of a failure than SQLite does, where the schema tells more.
    fn explain(&self, error: Error, before: &Before) -> Error {
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        if let Some(object) = refused_object(&cause) {
            return error.advise(self.advice_on(object, before));
        }
        let adopts = cause.contains("already exists")
            && self.job.ledger.read().is_ok_and(|applied| applied.migrations.is_empty());
        let is_apply = |entry: &HistoryEntry| entry.action == "apply";
        if adopts && self.job.ledger.history().is_ok_and(|lines| lines.iter().any(is_apply)) {
            return error.advise(
                "the ledger says that nothing is applied, and its history that something was: where \
                 that was not reverted, rows of the ledger are lost; execute `PRAGMA \
                 integrity_check`, and `restore` a backup if the file is damaged",
            );
        }
        if adopts {
            let likely = crate::ledger::adopt::likely(self.job.conn).ok().flatten();
            let theirs = likely.map(|(tool, ledger)| {
                let variant = tool.variant();
                format!("if its `{ledger}` is the ledger of {tool}, take it over with `.adopt({variant})`; ")
            });
            return error.advise(format!(
                "the database has no ledger and is not empty: {}if it is already at one of the \
                 set's versions, call `baseline` with that version once",
                theirs.unwrap_or_default()
            ));
        }
        error
    }

    /// What to do about an object for whose sake SQLite refuses an ALTER TABLE.
    fn advice_on(&self, object: &str, before: &Before) -> String {
        let is_in =
            |broken: &[Broken]| broken.iter().any(|b| b.object.eq_ignore_ascii_case(object));
        if object.starts_with("table ") {
            format!("the definition of {object} itself still needs it: rebuild {object} instead")
        } else if is_in(&before.broken) {
            format!(
                "{object} did not work before either, and SQLite refuses to rename or drop \
                 anything while that is so: drop {object} first, in a migration before this one \
                 or at the head of this one, and create it again after"
            )
        } else if objects::broken(self.job.conn).is_ok_and(|now| is_in(&now)) {
            format!(
                "{object} stands on what was dropped before this statement: drop {object} first \
                 and create it again after, or keep it in a repeatable, which is set aside and \
                 run again by itself"
            )
        } else {
            format!("drop {object} before this statement and create it again after it")
        }
    }

    fn before(&self, steps: &[Step]) -> Result<Before> {
        let conn = self.job.conn;
        let broken = match steps.iter().any(|step| step.risk != Risk::Nothing) {
            true => objects::broken(conn)?,
            false => Vec::new(),
        };
        let off = steps.iter().any(|step| step.foreign_keys == ForeignKeys::Off);
        let drops_index = self
            .scripts(steps)
            .flat_map(|script| &script.statements)
            .any(|s| matches!(s.action, Action::Drop { what: Object::Index, .. }));
        let keys = if off || drops_index {
            let touched = self.touched(steps).with_triggers(conn)?;
            let wrongs = Wrongs::now(conn, &touched)?;
            Some((touched, wrongs))
        } else {
            None
        };
        Ok(Before { broken, keys })
    }

    /// What the segment broke that worked before.
    fn after(&mut self, steps: &[Step], before: &Before) -> Result<()> {
        if steps.iter().any(|step| step.risk != Risk::Nothing) {
            self.refuse_newly_broken(steps, &before.broken)?;
        }
        if let Some((touched, wrongs)) = &before.keys {
            let now = Wrongs::now(self.job.conn, touched)?;
            let by = || {
                let blamed = steps.iter().rfind(|step| self.may_be_blamed(step));
                blamed.or(steps.last()).map(|step| self.job.label(step)).unwrap_or_default()
            };
            let dangling = now.newly_dangling(wrongs);
            if !dangling.is_empty() {
                return Err(ErrorKind::ForeignKeys { by: by(), broken: dangling }.into());
            }
            let renames = self.renames(steps);
            let mut broken = now.new_since(wrongs, &renames);
            broken.extend(now.newly_mismatched(wrongs, &renames));
            if broken.is_empty() {
                return Ok(());
            }
            if self.job.enforces {
                return Err(ErrorKind::ForeignKeys { by: by(), broken }.into());
            }
            // Who works with foreign keys off has decided that they may be broken.
            self.report.warnings.extend(broken);
        }
        Ok(())
    }

    fn may_be_blamed(&self, step: &Step) -> bool {
        step.risk == Risk::Breaks
            || self.job.script(&step.work).is_some_and(Script::wants_foreign_keys_off)
    }

    fn refuse_newly_broken(&self, steps: &[Step], before: &[Broken]) -> Result<()> {
        let now = objects::broken(self.job.conn)?;
        let new = now.into_iter().find(|broken| {
            let same = |was: &&Broken| was.object == broken.object && was.sql == broken.sql;
            !before.iter().any(|was| same(&was)) && !broken.lacks_what_the_application_gives()
        });
        let Some(broken) = new else { return Ok(()) };
        let makes = |step: &Step| {
            let script = self.job.script(&step.work);
            script.is_some_and(|script| script.text.contains(&broken.sql))
        };
        let names = |step: &&Step| {
            let Some(script) = self.job.script(&step.work) else { return true };
            script.statements.iter().any(|statement| match &statement.action {
                Action::Drop { name, .. } | Action::Alter { table: name, .. } => {
                    broken.sql.to_ascii_lowercase().contains(&name.name.to_ascii_lowercase())
                }
                _ => false,
            })
        };
        let mut risky = steps.iter().rev().filter(|step| step.risk != Risk::Nothing);
        // Who changed what the object stands on, rather than who made it as it always was.
        let changed = risky.clone().find(|step| !makes(step) && names(step));
        let made = steps.iter().rev().find(|step| makes(step));
        let blamed = changed.or(made).or_else(|| risky.next());
        Err(ErrorKind::BrokenObject {
            by: blamed.map(|step| self.job.label(step)).unwrap_or_default(),
            object: broken.object,
            why: broken.why,
        }
        .into())
    }

    /// The tables that the segment's scripts name as what they change.
    fn touched(&self, steps: &[Step]) -> Touched {
        let anywhere =
            |step: &Step| self.job.code(&step.work).is_some() || matches!(step.work, Work::Undo(_));
        if steps.iter().any(anywhere) {
            return Touched::Everything;
        }
        let mut tables = BTreeSet::new();
        let scripts = self.scripts(steps);
        let statements =
            scripts.flat_map(|script| script.statements.iter().map(move |s| (script, s)));
        for (script, statement) in statements {
            match &statement.action {
                Action::Create { what: Object::Trigger, .. } => {
                    tables.extend(names(script.sql(statement)));
                }
                Action::Create { name, .. }
                | Action::Drop { name, .. }
                | Action::Write { table: name, .. } => {
                    tables.insert(name.name.to_ascii_lowercase());
                }
                Action::Alter { table, change } => {
                    tables.insert(table.name.to_ascii_lowercase());
                    if let Change::RenameTable(to) = change {
                        tables.insert(to.to_ascii_lowercase());
                    }
                }
                Action::Unknown => return Touched::Everything,
                _ => {}
            }
        }
        Touched::Tables(tables)
    }

    fn renames(&self, steps: &[Step]) -> Vec<(String, String)> {
        let statements = self.scripts(steps).flat_map(|script| &script.statements);
        let renames = statements.filter_map(|statement| match &statement.action {
            Action::Alter { table, change: Change::RenameTable(to) } => {
                Some((table.name.to_ascii_lowercase(), to.to_ascii_lowercase()))
            }
            _ => None,
        });
        renames.collect()
    }
}

impl Job<'_> {
    /// What is done from now on is part of this step.
    pub(super) fn supervise(&self, step: &Step) {
        let label = || match step.direction {
            Direction::Revert => format!("the revert of {}", self.label(step)),
            _ => format!("migration {}", self.label(step)),
        };
        self.supervisor.begin(step.version, &step.name, label);
    }
}

/// It is another as soon as another connection has committed anything, and the same after what this
/// one commits: <https://sqlite.org/pragma.html#pragma_data_version>.
pub(super) fn data_version(conn: &Connection) -> Result<i64> {
    conn.query_row("PRAGMA main.data_version", [], |row| row.get(0))
        .map_err(Error::sqlite("asking whether somebody else has written"))
}

/// A COMMIT that a deferred foreign key refuses leaves the transaction open, so that the rows can
/// still be asked for: <https://sqlite.org/foreignkeys.html#fk_deferred>.
pub(super) fn commit_failed(error: Error, tx: &Transaction<'_>, by: String) -> Error {
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    if !cause.contains("FOREIGN KEY") {
        return error;
    }
    let broken = Wrongs::now(tx, &Touched::Everything).map(|wrongs| wrongs.all());
    let kind = ErrorKind::ForeignKeys { by, broken: broken.unwrap_or_default() };
    Error::from(kind).because("a deferred key was still broken at the commit")
}

const SELF_ENDED: &str = "it ended the transaction itself, and what it had written by then, or \
                          has written since, may be stored";

/// `view v` in SQLite's `error in view v: …` and `error in view v after rename: …`.
fn refused_object(cause: &str) -> Option<&str> {
    let (object, _) = cause.strip_prefix("error in ")?.split_once(": ")?;
    let whens = [" after rename", " after drop column"];
    Some(whens.into_iter().find_map(|when| object.strip_suffix(when)).unwrap_or(object))
}

/// Whether two lists of steps are the same deeds in the same order.
fn same(steps: &[Step], preview: &[Step]) -> bool {
    let key = |step: &Step| (step.version, step.direction, step.foreign_keys, step.transaction);
    steps.len() == preview.len()
        && steps.iter().zip(preview).all(|(a, b)| key(a) == key(b) && a.name == b.name)
}

fn ended(label: String) -> Error {
    Error::from(ErrorKind::Code { name: label })
        .because("the function ended the transaction that it was handed")
        .changed(SELF_ENDED)
        .advise("leave BEGIN, COMMIT and ROLLBACK to the migrator")
}

/// The connection is asked after everything that runs, whatever it returned.
fn refuse_ended(tx: &Transaction<'_>, error: impl FnOnce() -> Error) -> Result<()> {
    if tx.is_autocommit() { Err(error()) } else { Ok(()) }
}
