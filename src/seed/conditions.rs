//! When a seed or a backfill may run, and what its failure means.

use crate::migration::Version;

/// What is said of a seed or backfill besides what it does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Conditions {
    /// Any of these; none is everywhere.
    pub(crate) environments: Vec<String>,
    pub(crate) at_least: Option<Version>,
    pub(crate) after: Vec<String>,
    pub(crate) need: Need,
}

/// What a failure means for the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Need {
    /// The start fails.
    #[default]
    Required,
    /// It is a warning, and the start goes on.
    Optional,
}

/// The environment that a migrator works in, and those that there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Environments {
    pub(crate) current: Option<String>,
    /// Those declared; where none are, [`COMMON`] and the current one.
    pub(crate) declared: Vec<String>,
}

/// Names that need no declaration. Another one that is not the migrator's own is taken for a typing
/// error: it would mean a seed that never runs.
const COMMON: [&str; 13] = [
    "ci",
    "demo",
    "dev",
    "development",
    "local",
    "prod",
    "production",
    "qa",
    "sandbox",
    "stage",
    "staging",
    "test",
    "testing",
];

impl Environments {
    pub(crate) fn knows(&self, name: &str) -> bool {
        if self.declared.is_empty() {
            COMMON.contains(&name) || self.current.as_deref() == Some(name)
        } else {
            self.declared.iter().any(|declared| declared == name)
        }
    }

    /// Why the migrator's own environment cannot be meant, if it cannot.
    pub(crate) fn fault(&self) -> Option<String> {
        let current = self.current.as_deref()?;
        (!self.knows(current)).then(|| {
            let declared = self.declared.join(", ");
            format!(
                "the migrator's environment `{current}` is not among those declared: {declared}"
            )
        })
    }

    pub(crate) fn is_one_of(&self, names: &[String]) -> bool {
        names.is_empty() || names.iter().any(|name| self.current.as_ref() == Some(name))
    }
}
