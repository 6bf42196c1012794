//! Databases that began with an older program: seeded at its version, and migrated since. Those that
//! have become the same go on as one, so that there are few at any time.

use rusqlite::Connection;

use super::empty::differences;
use super::lab::{Keys, Lab, Stage, State};
use super::seeds::End;
use super::told::{finding, found, list};
use crate::error::Result;
use crate::finding::{Check, Finding};
use crate::migration::{Target, Version};

pub(super) struct Fronts<'l> {
    lab: &'l Lab,
    open: Vec<Front>,
    is_wanted: bool,
}

struct Front {
    conn: Connection,
    /// The versions that it stands for.
    from: Vec<Option<Version>>,
    state: State,
    /// What has run, so that the end runs the rest.
    sown: Vec<String>,
}

impl<'l> Fronts<'l> {
    pub(super) fn new(lab: &'l Lab, is_wanted: bool) -> Self {
        Fronts { lab, open: Vec::new(), is_wanted: is_wanted && lab.has_seeds() }
    }

    /// Another database, which an older program has brought to a version and seeded.
    pub(super) fn start(&mut self, plain: &Connection, at: Option<Version>) -> Result<()> {
        if !self.is_wanted {
            return Ok(());
        }
        let conn = self.lab.copy(plain, Keys::On)?;
        // A seed that fails was not there yet: it is for a later version.
        if self.lab.program_at(at)?.apply(&conn).is_err() {
            return Ok(());
        }
        let sown: Vec<String> = self
            .lab
            .ledger(&conn)?
            .sentinels()?
            .into_iter()
            .map(|sentinel| sentinel.name)
            .collect();
        if sown.is_empty() {
            return Ok(());
        }
        let state = self.lab.state(&conn)?;
        self.open.push(Front { conn, from: vec![at], state, sown });
        self.merge();
        Ok(())
    }

    fn merge(&mut self) {
        let mut merged: Vec<Front> = Vec::new();
        for front in std::mem::take(&mut self.open) {
            let same = merged
                .iter_mut()
                .find(|other| other.sown == front.sown && Lab::is_same(&other.state, &front.state));
            match same {
                Some(other) => other.from.extend(front.from),
                None => merged.push(front),
            }
        }
        self.open = merged;
    }

    /// Each of them goes one version up.
    pub(super) fn step(&mut self, stage: &Stage, findings: &mut Vec<Finding>) -> Result<()> {
        let mut open = Vec::new();
        for mut front in std::mem::take(&mut self.open) {
            let to = Target::Version(stage.version);
            if let Err(error) = self.lab.careless().apply_to(&front.conn, to) {
                let what = format!("it fails on a database seeded at version {}", front.versions());
                let (code, file) = ("fails-after-seeds", Some(stage.file.as_str()));
                findings.push(finding(Check::Convergence, code, file, &what, &error));
                continue;
            }
            front.state = self.lab.state(&front.conn)?;
            open.push(front);
        }
        self.open = open;
        self.merge();
        Ok(())
    }

    /// Each of them is started by the newest program, and has to be as one that began with it.
    pub(super) fn end(&mut self, end: &End, findings: &mut Vec<Finding>) -> Result<()> {
        for front in std::mem::take(&mut self.open) {
            let seeded = format!("a database seeded at version {}", front.versions());
            let whole = self.lab.whole();
            let result = whole.apply(&front.conn).and_then(|_| whole.run_backfills(&front.conn));
            if let Err(error) = result {
                let what = format!("the newest program cannot start on {seeded}");
                let code = "fails-after-seeds";
                findings.push(finding(Check::Convergence, code, None, &what, &error));
                continue;
            }
            let mut differences = differences(&end.state, &self.lab.state(&front.conn)?);
            differences.retain(|told| !end.drawn.contains(told));
            if !differences.is_empty() {
                let what = format!(
                    "{seeded} ({}) does not become what a new one is: {}",
                    front.sown.join(", "),
                    list(&differences)
                );
                let advice = "migrate the rows that older seeds have written, raise the seed's \
                              revision so that it corrects them, or hold the seed back until the \
                              version it is written for with `when_schema_at_least`";
                let code = "seeds-do-not-converge";
                let file = front.file(self.lab);
                findings.push(found(Check::Convergence, code, file, what, advice));
            }
        }
        Ok(())
    }
}

impl Front {
    /// The file of the seed that has run, if it is one.
    fn file<'l>(&self, lab: &'l Lab) -> Option<&'l str> {
        let [only] = self.sown.as_slice() else { return None };
        let script = lab.registry.seed(only)?.script.as_deref()?;
        Some(script.file.as_ref())
    }

    /// `3`, `3 to 5`; what nothing was applied to counts as 0.
    fn versions(&self) -> String {
        let shown = |version: &Option<Version>| version.map_or(0, Version::get);
        match self.from.as_slice() {
            [only] => shown(only).to_string(),
            [first, .., last] => format!("{} to {}", shown(first), shown(last)),
            [] => String::new(),
        }
    }
}
