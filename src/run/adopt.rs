//! Takes over another tool's ledger: proved, decided again under the lock, written at once.

use super::{Job, Run, lock};
use crate::adoption::{Adoption, Proof};
use crate::error::{Error, ErrorKind, Result, Unfit};
use crate::event::Event;
use crate::ledger::{Applied, Ledger, Takeover};
use crate::plan::Plan;
use crate::schema::Snapshot;
use crate::source::Set;

/// What a takeover rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proved {
    /// Nothing: its ledger is trusted, or there is none.
    Unasked,
    /// Nothing: another process has been at it since the plan was made.
    Overtaken,
    /// The schema was compared when it was this version: as long as it is, nobody has changed it.
    /// <https://sqlite.org/pragma.html#pragma_schema_version>
    At(i64),
}

/// How a schema differs from what these make that are applied, in words.
type Differences<'a> = dyn Fn(&Applied, Snapshot) -> Result<Vec<String>> + 'a;

/// A ledger to be taken over, and what does it.
pub(crate) struct Adopting<'a> {
    adoption: &'a Adoption,
    differences: Box<Differences<'a>>,
    find: fn(&Ledger<'_>, &Set, &Adoption) -> Result<Option<Takeover>>,
    prove: fn(&Job<'_>, &Takeover, &Differences<'_>) -> Result<Proved>,
    take_over: fn(&mut Run<'_>, Plan, Proved) -> Result<Plan>,
}

impl<'a> Adopting<'a> {
    pub(crate) fn new(
        adoption: &'a Adoption,
        differences: impl Fn(&Applied, Snapshot) -> Result<Vec<String>> + 'a,
    ) -> Self {
        Adopting {
            adoption,
            differences: Box::new(differences),
            find: |ledger, set, adoption| ledger.takeover(set, adoption),
            prove: |job, takeover, differences| job.prove_all_of(takeover, differences),
            take_over: |run, plan, proved| run.take_over_all(plan, proved),
        }
    }

    /// What there is to be taken over.
    pub(super) fn find(&self, ledger: &Ledger<'_>, set: &Set) -> Result<Option<Takeover>> {
        (self.find)(ledger, set, self.adoption)
    }
}

impl Run<'_> {
    /// Takes over what the plan says is to be taken over, and plans again.
    pub(super) fn take_over(&mut self, plan: Plan, proved: Proved) -> Result<Plan> {
        match &self.job.adopt {
            Some(adopting) => (adopting.take_over)(self, plan, proved),
            None => Ok(plan),
        }
    }

    /// Whatever was written since to their ledger or to the schema is looked at first.
    fn take_over_all(&mut self, mut plan: Plan, mut proved: Proved) -> Result<Plan> {
        while let Some(takeover) = plan.takeover.take() {
            let done = self.write_taken(&takeover, proved)?;
            plan = self.plan_patiently()?;
            if !done {
                proved = self.job.prove(&plan)?;
            }
        }
        Ok(plan)
    }

    fn write_taken(&mut self, preview: &Takeover, proved: Proved) -> Result<bool> {
        let job = self.job;
        let tx = job.patience.begin()?;
        let applied = job.applied()?;
        let stands = match proved {
            Proved::Unasked => true,
            Proved::Overtaken => false,
            Proved::At(version) => job.schema_version()? == version,
        };
        if applied.takeover.as_deref() != Some(preview) || !stands {
            return Ok(false);
        }
        job.ledger.take_over(preview)?;
        job.patience.commit(&tx, || Ok(job.applied()?.takeover.is_none()))?;
        drop(tx);
        let edited = preview.edited().iter();
        self.report.warnings.extend(edited.map(|file| {
            let tool = preview.told.tool;
            format!("{file} is not what {tool} applied, by its checksum, and was taken as it is")
        }));
        self.report.adopted = Some(preview.told.clone());
        job.tell(&Event::Committed);
        Ok(true)
    }
}

impl Job<'_> {
    /// Compares the schema with what the migrations make that are to be taken over. Reads only.
    pub(crate) fn prove(&self, plan: &Plan) -> Result<Proved> {
        match (&self.adopt, plan.takeover.as_deref()) {
            (Some(adopting), Some(takeover)) => {
                (adopting.prove)(self, takeover, &adopting.differences)
            }
            _ => Ok(Proved::Unasked),
        }
    }

    fn prove_all_of(&self, takeover: &Takeover, differences: &Differences<'_>) -> Result<Proved> {
        if takeover.told.proof == Proof::Trusted {
            return Ok(Proved::Unasked);
        }
        let (applied, version, live) = self.patience.retry(|| {
            let _at_one_moment =
                self.conn.is_autocommit().then(|| lock::read(self.conn)).transpose()?;
            Ok((self.applied()?, self.schema_version()?, Snapshot::of(self.conn)?))
        })?;
        if applied.takeover.as_deref() != Some(takeover) {
            return Ok(Proved::Overtaken);
        }
        let differences = differences(&applied, live)
            .map_err(|error| takeover.refused(Unfit::CannotReplay).because(error))?;
        if differences.is_empty() {
            return Ok(Proved::At(version));
        }
        if takeover.is_guess {
            let number = takeover.told.migrations.len();
            return Err(takeover.refused(Unfit::Guess { number }));
        }
        let (tool, ledger) = (takeover.told.tool, takeover.told.ledger.clone());
        let kind = ErrorKind::Unproved { tool: tool.name(), ledger, differences };
        Err(Error::from(kind).advise(format!(
            "bring the schema in line by hand, or correct the files; or, if the schema is right as \
             it is, take the ledger at its word with `.adopt({}.trusting())`",
            tool.variant()
        )))
    }

    fn schema_version(&self) -> Result<i64> {
        self.conn
            .query_row("PRAGMA main.schema_version", [], |row| row.get(0))
            .map_err(Error::sqlite("asking whether the schema has changed"))
    }
}
