//! The lint: what in a set is known to go wrong, and what of that a script allows itself.
//! Text only: what has to be asked of a database is asked in `proof`, and settled here.

mod pragmas;
mod statements;
mod temporary;

use crate::finding::{Check, Finding};
use crate::seed::{Item, Registry};
use crate::source::Set;
use crate::sql::{Position, Rule, Script};

/// Something that a rule has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) rule: Rule,
    pub(crate) file: String,
    pub(crate) position: Option<Position>,
    pub(crate) what: String,
}

impl Hit {
    pub(crate) fn at(rule: Rule, script: &Script, byte: usize, what: String) -> Self {
        let position = Some(script.position(byte));
        Hit { rule, file: script.file.to_string(), position, what }
    }
}

/// What a script is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Up,
    Down,
    Seed,
    Other,
}

/// Every script of a set and of its seeds.
fn scripts<'a>(set: &'a Set, seeds: &'a Registry) -> Vec<(Kind, &'a Script)> {
    let mut all = Vec::new();
    for entry in &set.migrations {
        all.extend(entry.task.script().map(|script| (Kind::Up, script)));
        all.extend(entry.down.as_deref().map(|script| (Kind::Down, script)));
        all.extend(entry.verify.as_deref().map(|script| (Kind::Other, script)));
    }
    all.extend(set.baselines.iter().map(|baseline| (Kind::Other, &baseline.script)));
    all.extend(set.repeatables.iter().map(|repeatable| (Kind::Other, &repeatable.script)));
    all.extend(seeds.iter().filter_map(|item| match item {
        Item::Seed(seed) => seed.script.as_deref().map(|script| (Kind::Seed, script)),
        Item::Backfill(_) => None,
    }));
    all
}

/// Where a script's first statement stands.
pub(crate) fn beginning(set: &Set, seeds: &Registry, file: &str) -> Option<Position> {
    let scripts = scripts(set, seeds);
    let (_, script) = scripts.into_iter().find(|(_, script)| script.file == file)?;
    let first = script.statements.first().map_or(0, |statement| statement.start);
    Some(script.position(first))
}

/// What the texts of a set tell.
pub(crate) fn hits(set: &Set, seeds: &Registry) -> Vec<Hit> {
    let scripts = scripts(set, seeds);
    let mut found = Vec::new();
    for (kind, script) in &scripts {
        statements::look(*kind, script, &mut found);
        pragmas::look(script, &mut found);
        temporary::look(script, &scripts, &mut found);
    }
    found
}

/// Findings, without those that their script allows; and each allowance that nothing needed, of
/// the rules that were looked for.
pub(crate) fn settle(
    set: &Set,
    seeds: &Registry,
    hits: Vec<Hit>,
    was_looked_for: impl Fn(Rule) -> bool,
) -> Vec<Finding> {
    let scripts = scripts(set, seeds);
    let allows = |hit: &Hit| {
        let allowed =
            |script: &Script| script.directives().allowed.iter().any(|a| a.rule == hit.rule);
        scripts.iter().any(|(_, script)| script.file == hit.file && allowed(script))
    };
    let (allowed, standing): (Vec<Hit>, Vec<Hit>) = hits.into_iter().partition(allows);
    let mut findings: Vec<Finding> = standing.into_iter().map(finding).collect();
    for (_, script) in &scripts {
        for allow in &script.directives().allowed {
            let needed =
                allowed.iter().any(|hit| hit.rule == allow.rule && hit.file == script.file);
            if needed || !was_looked_for(allow.rule) {
                continue;
            }
            findings.push(Finding {
                check: Check::Lint,
                code: "unused-allow",
                file: Some(script.file.to_string()),
                position: Some(script.position(allow.at)),
                what: format!("`allow {}` allows nothing that is there", allow.rule.code()),
                advice: "remove the line".to_owned(),
            });
        }
    }
    findings
}

fn finding(hit: Hit) -> Finding {
    let code = hit.rule.code();
    Finding {
        check: if hit.rule == Rule::EmptyDown { Check::Downs } else { Check::Lint },
        code,
        file: Some(hit.file),
        position: hit.position,
        what: hit.what,
        advice: format!(
            "{}; or, if it is meant, write `-- landfall: allow {code}: <reason>` at its head",
            hit.rule.explanation()
        ),
    }
}
