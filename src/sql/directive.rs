//! The `-- landfall: …` lines at the head of a script.

use super::rule::Rule;
use super::script::Fault;

/// What a script says of itself before its first statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Directives {
    pub(crate) no_transaction: bool,
    pub(crate) foreign_keys_off: bool,
    pub(crate) allow_data_loss: Option<String>,
    pub(crate) irreversible: Option<String>,
    pub(crate) replaces: Option<Replaces>,
    pub(crate) compatible: Option<String>,
    pub(crate) breaking: bool,
    pub(crate) requires: Vec<Requirement>,
    pub(crate) undo: bool,
    pub(crate) allowed: Vec<Allow>,
    pub(crate) seed: OfSeed,
}

/// `allow <code>: <reason>`: what the lint is not to find in this script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Allow {
    pub(crate) rule: Rule,
    pub(crate) reason: String,
    /// The byte where it stands.
    pub(crate) at: usize,
}

/// What only a seed's file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OfSeed {
    pub(crate) after: Vec<String>,
    pub(crate) environments: Vec<String>,
    pub(crate) optional: bool,
    pub(crate) sentinel: Option<String>,
    pub(crate) at_least: Option<i64>,
}

/// `replaces sha256:…: reason`: an edit of an applied migration, on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Replaces {
    pub(crate) checksum: String,
    pub(crate) reason: String,
}

impl Replaces {
    /// A checksum may be cut short, to no fewer than eight digits.
    pub(crate) fn names(&self, checksum: &str) -> bool {
        checksum.starts_with(&self.checksum)
    }
}

/// What a script needs of the SQLite that runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Requirement {
    /// As `rusqlite::version_number` counts: 3.35.0 is 3,035,000.
    Sqlite {
        at_least: i32,
    },
    Module(String),
    Function(String),
    Collation(String),
    /// Not of SQLite: this backfill done.
    Backfill(String),
}

/// The forms that a directive can take, for the error that has to list them.
pub(crate) const FORMS: &str = "no-transaction | foreign-keys off | breaking | \
    compatible: <reason> | irreversible: <reason> | allow-data-loss: <reason> | \
    allow <code>: <reason> | replaces sha256:<hex>: <reason> | requires sqlite >= <version> | \
    requires module|function|collation <name> | requires backfill <name> | undo; and in a seed's \
    file: after <seed> | environment <name> | optional | when-schema-at-least <version> | \
    sentinel: <query>";

/// The words that directives begin with.
const WORDS: [&str; 15] = [
    "after",
    "allow",
    "allow-data-loss",
    "breaking",
    "compatible",
    "environment",
    "foreign-keys",
    "irreversible",
    "no-transaction",
    "optional",
    "replaces",
    "requires",
    "sentinel",
    "undo",
    "when-schema-at-least",
];

/// Those of a script that says nothing of itself.
pub(crate) static NONE: Directives = Directives {
    no_transaction: false,
    foreign_keys_off: false,
    allow_data_loss: None,
    irreversible: None,
    replaces: None,
    compatible: None,
    breaking: false,
    requires: Vec::new(),
    undo: false,
    allowed: Vec::new(),
    seed: OfSeed {
        after: Vec::new(),
        environments: Vec::new(),
        optional: false,
        sentinel: None,
        at_least: None,
    },
};

impl Directives {
    pub(crate) fn is_empty(&self) -> bool {
        *self == NONE
    }

    /// The words of those that are said.
    pub(crate) fn said(&self) -> impl Iterator<Item = &'static str> {
        let said = [
            !self.seed.after.is_empty(),
            !self.allowed.is_empty(),
            self.allow_data_loss.is_some(),
            self.breaking,
            self.compatible.is_some(),
            !self.seed.environments.is_empty(),
            self.foreign_keys_off,
            self.irreversible.is_some(),
            self.no_transaction,
            self.seed.optional,
            self.replaces.is_some(),
            !self.requires.is_empty(),
            self.seed.sentinel.is_some(),
            self.undo,
            self.seed.at_least.is_some(),
        ];
        WORDS.into_iter().zip(said).filter_map(|(word, said)| said.then_some(word))
    }

    /// Takes one comment line in; other comments are passed over. `at` is where it starts.
    pub(crate) fn read(&mut self, comment: &str, at: usize) -> Result<bool, Fault> {
        let fault = |why: String| Fault::directive(at, why);
        let Some(body) = body(comment) else {
            if is_near_miss(comment) {
                return Err(fault("a directive is written `-- landfall: …`".to_owned()));
            }
            return Ok(false);
        };
        let (word, rest) = body
            .split_once(|c: char| c == ':' || c.is_whitespace())
            .map_or((body, ""), |(word, _)| (word, body.get(word.len()..).unwrap_or_default()));
        let reason = || match rest.trim_start().strip_prefix(':').map(str::trim) {
            Some(reason) if !reason.is_empty() => Ok(reason.to_owned()),
            _ => Err(fault(format!("`{word}` has to give its reason: `{word}: <reason>`"))),
        };
        let once = |seen: bool| match seen {
            true => Err(fault(format!("`{word}` is said twice"))),
            false => Ok(()),
        };
        let contradicted = |said: bool, other: &str| match said {
            true => Err(fault(format!("`{word}` contradicts `{other}`"))),
            false => Ok(()),
        };
        match word {
            "no-transaction" if argument(rest).is_empty() => {
                once(self.no_transaction)?;
                self.no_transaction = true;
            }
            "foreign-keys" if argument(rest) == "off" => {
                once(self.foreign_keys_off)?;
                self.foreign_keys_off = true;
            }
            "breaking" if argument(rest).is_empty() => {
                once(self.breaking)?;
                contradicted(self.compatible.is_some(), "compatible")?;
                self.breaking = true;
            }
            "compatible" => {
                once(self.compatible.is_some())?;
                contradicted(self.breaking, "breaking")?;
                self.compatible = Some(reason()?);
            }
            "irreversible" => {
                once(self.irreversible.is_some())?;
                self.irreversible = Some(reason()?);
            }
            "allow-data-loss" => {
                once(self.allow_data_loss.is_some())?;
                self.allow_data_loss = Some(reason()?);
            }
            "allow" => {
                let allow = allow(rest, at).map_err(fault)?;
                let twice = self.allowed.iter().any(|said| said.rule == allow.rule);
                if twice {
                    return Err(fault(format!("`allow {}` is said twice", allow.rule.code())));
                }
                self.allowed.push(allow);
            }
            "replaces" => {
                once(self.replaces.is_some())?;
                self.replaces = Some(replaces(rest).map_err(fault)?);
            }
            "undo" if argument(rest).is_empty() => {
                once(self.undo)?;
                self.undo = true;
            }
            "requires" => self.requires.push(requirement(rest).map_err(fault)?),
            "after" if !argument(rest).is_empty() => {
                self.seed.after.push(argument(rest).to_owned());
            }
            "environment" if !argument(rest).is_empty() => {
                self.seed.environments.push(argument(rest).to_owned());
            }
            "optional" if argument(rest).is_empty() => {
                once(self.seed.optional)?;
                self.seed.optional = true;
            }
            "sentinel" => {
                once(self.seed.sentinel.is_some())?;
                self.seed.sentinel = Some(reason()?);
            }
            "when-schema-at-least" => {
                once(self.seed.at_least.is_some())?;
                let version = argument(rest).parse::<i64>();
                let number = || fault("write `when-schema-at-least <version>`".to_owned());
                self.seed.at_least = Some(version.map_err(|_| number())?);
            }
            _ => return Err(fault(format!("`{body}` is no directive"))),
        }
        Ok(true)
    }
}

/// What follows `-- landfall:`; also where that is written in other letters.
pub(crate) fn body(comment: &str) -> Option<&str> {
    Some(after_name(comment.strip_prefix("--")?)?.strip_prefix(':')?.trim())
}

/// What follows the library's name at the head of a comment.
fn after_name(said: &str) -> Option<&str> {
    let (name, rest) = said.trim().split_at_checked("landfall".len())?;
    name.eq_ignore_ascii_case("landfall").then(|| rest.trim_start())
}

/// Whether a comment looks like a directive and is none: it would be passed over in silence.
fn is_near_miss(comment: &str) -> bool {
    if let Some(said) = comment.strip_prefix("/*") {
        return after_name(said).is_some_and(|rest| rest.starts_with(':'));
    }
    let said = comment.strip_prefix("--").and_then(after_name).unwrap_or_default();
    let word = said.split([' ', ':']).next().unwrap_or_default();
    WORDS.contains(&word)
}

/// What stands before an optional `: reason`.
fn argument(rest: &str) -> &str {
    rest.split_once(':').map_or(rest, |(argument, _)| argument).trim()
}

fn allow(rest: &str, at: usize) -> Result<Allow, String> {
    let (code, reason) = rest.split_once(':').unwrap_or((rest, ""));
    let (code, reason) = (code.trim(), reason.trim());
    let Some(rule) = Rule::of(code) else {
        let what = if code.is_empty() { "names no rule" } else { "is no rule of the lint" };
        return Err(format!("`allow {code}` {what}: the rules are {}", Rule::codes()));
    };
    if reason.is_empty() {
        return Err(format!("`allow` has to give its reason: `allow {code}: <reason>`"));
    }
    Ok(Allow { rule, reason: reason.to_owned(), at })
}

fn replaces(rest: &str) -> Result<Replaces, String> {
    let usage = || "write `replaces sha256:<hex>: <reason>`".to_owned();
    let (checksum, reason) = rest
        .trim()
        .strip_prefix("sha256:")
        .and_then(|rest| rest.split_once(':'))
        .ok_or_else(usage)?;
    let (digits, reason) = (checksum.trim(), reason.trim());
    let hex = digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if !hex || !(8..=64).contains(&digits.len()) {
        return Err(format!("`sha256:{digits}` is no checksum: 8 to 64 digits 0-9 and a-f"));
    }
    if reason.is_empty() {
        return Err(format!(
            "`replaces` has to give its reason: `replaces sha256:{digits}: <reason>`"
        ));
    }
    Ok(Replaces { checksum: format!("sha256:{digits}"), reason: reason.to_owned() })
}

fn requirement(rest: &str) -> Result<Requirement, String> {
    let said = argument(rest);
    let (what, which) = said.split_once(char::is_whitespace).unwrap_or((said, ""));
    let which = which.trim();
    match (what, which) {
        ("sqlite", which) => which
            .strip_prefix(">=")
            .and_then(|version| version_number(version.trim()))
            .map(|at_least| Requirement::Sqlite { at_least })
            .ok_or_else(|| "write `requires sqlite >= 3.35` or `>= 3.35.5`".to_owned()),
        (_, "") => Err(format!("`requires {what}` has to name what it requires")),
        ("module", name) => Ok(Requirement::Module(name.to_owned())),
        ("function", name) => Ok(Requirement::Function(name.to_owned())),
        ("collation", name) => Ok(Requirement::Collation(name.to_owned())),
        ("backfill", name) => Ok(Requirement::Backfill(name.to_owned())),
        _ => {
            Err(format!("`requires {what}`: only sqlite, module, function, collation or backfill"))
        }
    }
}

/// `3.35.5` as SQLite counts it: 3035005.
fn version_number(version: &str) -> Option<i32> {
    let mut parts = version.split('.').map(|part| part.parse::<i32>().ok());
    let major = parts.next()??;
    let minor = parts.next().unwrap_or(Some(0))?;
    let patch = parts.next().unwrap_or(Some(0))?;
    let in_range = (3..=9).contains(&major) && (0..1000).contains(&minor);
    (in_range && (0..1000).contains(&patch) && parts.next().is_none())
        .then(|| major * 1_000_000 + minor * 1_000 + patch)
}
