//! What a script takes away in the end, followed through its renames. Text only: whether there is
//! anything to lose is for the database to say.

use std::collections::{BTreeMap, BTreeSet};

use super::action::{Action, Change, Control, Name, Object, Renamed, Verb};
use super::script::{Script, Statement};
use super::token::{Kind, Token, tokens, unquoted};

/// A table that was there before a script, as far as the text tells, and that it drops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DroppedTable {
    /// Where it stands: `main`, but for what an application or a script has attached.
    pub(crate) schema: String,
    /// The name it had before the script.
    pub(crate) name: String,
    /// Whether the statement that drops it names a schema. Where not, SQLite looks for it in what
    /// is attached, too.
    pub(crate) qualified: bool,
    /// The statement that drops it.
    pub(crate) statement: usize,
    /// Whether a table has that name again at the end: then it was rebuilt.
    pub(crate) rebuilt: bool,
    /// Whether the script makes that table itself, so that its text tells what went into it.
    pub(crate) made: bool,
    /// The table that has its name in the end.
    heir: Option<Origin>,
    /// Whether a statement that writes to the heir names this table, or one that has been written
    /// to from it.
    pub(crate) fed: bool,
}

/// What something was, statement by statement: each change is kept, and no copy of the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
struct History<K, V>(BTreeMap<K, Vec<(usize, V)>>);

impl<K, V> Default for History<K, V> {
    fn default() -> Self {
        History(BTreeMap::new())
    }
}

impl<K: Ord, V> History<K, V> {
    fn set(&mut self, statement: usize, key: K, value: V) {
        self.0.entry(key).or_default().push((statement, value));
    }

    fn last(&self, key: &K) -> Option<&V> {
        self.0.get(key)?.last().map(|(_, value)| value)
    }

    /// What it was after a statement.
    fn after(&self, statement: usize, key: &K) -> Option<&V> {
        let changes = self.0.get(key)?;
        let count = changes.partition_point(|(at, _)| *at <= statement);
        changes.get(count.checked_sub(1)?).map(|(_, value)| value)
    }
}

/// The tables in `main` at each place in a script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Standing {
    /// Where the table of a name comes from; `None` where a rollback leaves the name untouched.
    origins: History<String, Option<Origin>>,
    /// What a table is called, while it is there.
    names: History<Origin, Option<String>>,
    /// Whether a table that the script made has been given rows.
    filled: History<usize, bool>,
}

impl Standing {
    /// Takes over what a statement has changed.
    fn record(&mut self, at: usize, names: &mut Names) {
        for (schema, name) in std::mem::take(&mut names.changed) {
            if schema != "main" {
                continue;
            }
            let now = names.origins.get(&(schema, name.clone())).cloned();
            if let Some(Some(before)) = self.origins.last(&name)
                && self.names.last(before) == Some(&Some(name.clone()))
            {
                self.names.set(at, before.clone(), None);
            }
            if let Some(origin) = now.as_ref().filter(|origin| **origin != Origin::Gone) {
                self.names.set(at, origin.clone(), Some(name.clone()));
            }
            self.origins.set(at, name, now);
        }
        for made in std::mem::take(&mut names.refilled) {
            self.filled.set(at, made, names.filled.contains(&made));
        }
    }
}

/// What a script makes and takes away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    pub(crate) tables: Vec<DroppedTable>,
    /// Whether each statement is about a table that was there before the script.
    old: Vec<bool>,
    /// Statements that drop a column which the script itself added.
    own_columns: BTreeSet<usize>,
    standing: Standing,
    /// Whether each statement runs inside a transaction of the script's own, as far as the text
    /// tells, and whether it ends that.
    inside: Vec<bool>,
    ends: Vec<bool>,
}

/// Where a table of some name comes from, at one place in a script.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    /// It was there before, under this name.
    Before(String),
    /// The script made it, in this statement.
    Made(usize),
    /// It was dropped or renamed.
    Gone,
}

/// A schema and a table in it, in lower case.
type Key = (String, String);

/// The tables as the script has left them at one place in it.
#[derive(Clone, Default)]
struct Names {
    origins: BTreeMap<Key, Origin>,
    /// Columns that the script has added.
    added: BTreeMap<Key, BTreeSet<String>>,
    /// The statements of which the tables have been given rows since.
    filled: BTreeSet<usize>,
    /// What statements that write to a table name, followed through other tables. Only names that
    /// a dropped table can have had are kept.
    sources: BTreeMap<Origin, BTreeSet<String>>,
    /// The schemas that `origins` names.
    schemas: BTreeSet<String>,
    /// What of `origins` and `filled` the present statement changes.
    changed: Vec<Key>,
    refilled: Vec<usize>,
}

impl Names {
    /// A name without a schema is the TEMP table's, where the script has made one.
    fn key(&self, name: &Name) -> Key {
        let table = name.name.to_ascii_lowercase();
        if let Some(schema) = &name.schema {
            return (schema.to_ascii_lowercase(), table);
        }
        let temp = ("temp".to_owned(), table);
        match self.origins.get(&temp) {
            Some(Origin::Made(_)) => temp,
            _ => ("main".to_owned(), temp.1),
        }
    }

    fn origin(&self, key: &Key, name: &str) -> Origin {
        let unknown = || match key.0.as_str() {
            // The connection's own, like one that the script makes.
            "temp" => Origin::Made(usize::MAX),
            _ => Origin::Before(name.to_owned()),
        };
        self.origins.get(key).cloned().unwrap_or_else(unknown)
    }

    fn create(&mut self, key: Key, lenient: bool, at: usize) {
        // `IF NOT EXISTS` of a name that is taken, or that the script has not touched, may do
        // nothing. A TEMP table is the connection's own in any case.
        if !lenient || key.0 == "temp" || self.origins.get(&key) == Some(&Origin::Gone) {
            self.added.remove(&key);
            self.set(key, Origin::Made(at));
        }
    }

    fn set(&mut self, key: Key, origin: Origin) {
        if !self.schemas.contains(&key.0) {
            self.schemas.insert(key.0.clone());
        }
        self.changed.push(key.clone());
        self.origins.insert(key, origin);
    }

    /// Takes back all that has happened since. Names are never removed otherwise: those of before
    /// are all among those of now.
    fn back_to(&mut self, before: Names) {
        let now = std::mem::replace(self, before);
        let changed = |(key, origin): &(Key, Origin)| self.origins.get(key) != Some(origin);
        self.changed = now.origins.into_iter().filter(changed).map(|(key, _)| key).collect();
        self.refilled = now.filled.difference(&self.filled).copied().collect();
    }

    /// Whether the script has added a column, which it drops or renames now.
    fn forget_column(&mut self, key: &Key, column: &str) -> bool {
        let column = column.to_ascii_lowercase();
        self.added.get_mut(key).is_some_and(|columns| columns.remove(&column))
    }

    /// `gone` holds the names that a dropped table can have had.
    fn fill(&mut self, origin: Origin, sql: &str, gone: &BTreeSet<String>) {
        let mut sources = BTreeSet::new();
        let named = |token: &Token| matches!(token.kind, Kind::Word | Kind::Quoted | Kind::Text);
        for token in tokens(sql).filter(|token| !gone.is_empty() && named(token)) {
            let word = unquoted(token.text(sql)).to_ascii_lowercase();
            let mut from = |source: &Origin| {
                // What it has of its own rows it has already.
                if *source != origin {
                    sources.extend(self.sources.get(source).into_iter().flatten().cloned());
                }
                if let Origin::Before(name) = source {
                    let name = name.to_ascii_lowercase();
                    sources.extend(gone.contains(&name).then_some(name));
                }
            };
            let mut is_in_main = false;
            for schema in &self.schemas {
                if let Some(source) = self.origins.get(&(schema.clone(), word.clone())) {
                    from(source);
                    is_in_main |= schema == "main";
                }
            }
            if !is_in_main {
                from(&Origin::Before(word));
            }
        }
        if let Origin::Made(at) = origin
            && self.filled.insert(at)
        {
            self.refilled.push(at);
        }
        if !sources.is_empty() {
            self.sources.entry(origin).or_default().extend(sources);
        }
    }

    fn rename(&mut self, key: Key, to: &str, origin: Origin) {
        let new = (key.0.clone(), to.to_ascii_lowercase());
        if let Some(columns) = self.added.remove(&key) {
            self.added.entry(new.clone()).or_default().extend(columns);
        }
        self.set(key, Origin::Gone);
        self.set(new, origin);
    }
}

impl Losses {
    pub(crate) fn of(script: &Script, statements: &[&Statement]) -> Self {
        let mut losses = Losses::default();
        let mut names = Names::default();
        let mut transaction = Transaction {
            rolls_back: statements.iter().any(|statement| rolls_back(script, statement)),
            ..Transaction::default()
        };
        let gone = may_go(statements);
        for (at, statement) in statements.iter().enumerate() {
            let mut old = false;
            losses.inside.push(transaction.is_open());
            let sql = script.sql(statement);
            let ends = transaction.step(&statement.action, sql, &mut names);
            losses.ends.push(ends);
            match &statement.action {
                Action::Create {
                    what: Object::Table | Object::VirtualTable,
                    name,
                    lenient,
                    temp,
                    filled,
                    ..
                } => {
                    let schema = match (temp, &name.schema) {
                        (true, _) => "temp".to_owned(),
                        (false, Some(schema)) => schema.to_ascii_lowercase(),
                        (false, None) => "main".to_owned(),
                    };
                    let key = (schema, name.name.to_ascii_lowercase());
                    names.create(key.clone(), *lenient, at);
                    if *filled {
                        let made = names.origin(&key, &name.name);
                        names.fill(made, script.sql(statement), &gone);
                    }
                }
                Action::Drop { what: Object::Table, name } => {
                    let key = names.key(name);
                    if let Origin::Before(before) = names.origin(&key, &name.name) {
                        old = true;
                        losses.tables.push(DroppedTable {
                            schema: key.0.clone(),
                            name: before,
                            qualified: name.schema.is_some(),
                            statement: at,
                            rebuilt: false,
                            made: false,
                            heir: None,
                            fed: false,
                        });
                    }
                    names.added.remove(&key);
                    names.set(key, Origin::Gone);
                }
                Action::Alter { table, change } => {
                    let key = names.key(table);
                    let origin = names.origin(&key, &table.name);
                    old = matches!(origin, Origin::Before(_));
                    match change {
                        Change::RenameTable(to) => names.rename(key, to, origin),
                        Change::AddColumn(column) => {
                            let column = column.to_ascii_lowercase();
                            names.added.entry(key).or_default().insert(column);
                        }
                        Change::DropColumn(column) => {
                            if names.forget_column(&key, column) {
                                losses.own_columns.insert(at);
                            }
                        }
                        Change::RenameColumn(renamed) => {
                            let Renamed { from, to } = &**renamed;
                            if names.forget_column(&key, from) {
                                let column = to.to_ascii_lowercase();
                                names.added.entry(key).or_default().insert(column);
                            }
                        }
                        Change::Other => {}
                    }
                }
                Action::Write { table, .. } => {
                    let key = names.key(table);
                    let origin = names.origin(&key, &table.name);
                    old = matches!(origin, Origin::Before(_));
                    names.fill(origin, script.sql(statement), &gone);
                }
                _ => {}
            }
            losses.old.push(old);
            losses.standing.record(at, &mut names);
        }
        for table in &mut losses.tables {
            let key = (table.schema.clone(), table.name.to_ascii_lowercase());
            let last = names.origins.get(&key);
            // Of other databases only that they had rows is known.
            table.made = matches!(last, Some(Origin::Made(_)));
            if key.0 == "main" {
                table.heir = last.filter(|origin| **origin != Origin::Gone).cloned();
            }
            table.rebuilt = table.heir.is_some();
            let sources = table.heir.as_ref().and_then(|heir| names.sources.get(heir));
            table.fed = sources.is_some_and(|sources| sources.contains(&key.1));
        }
        losses
    }

    /// What the table that takes a dropped one's name in the end is called at a statement that
    /// drops a table or commits, if it is there already and stays.
    pub(crate) fn heir_at(&self, dropped: &DroppedTable, statement: usize) -> Option<String> {
        let heir = dropped.heir.as_ref()?;
        let Standing { origins, names, .. } = &self.standing;
        if let Some(Some(name)) = names.after(statement, heir) {
            return Some(name.clone());
        }
        match heir {
            // Under its own name, as long as the script has not touched that.
            Origin::Before(name) => {
                let touched = origins.after(statement, &name.to_ascii_lowercase());
                (!matches!(touched, Some(Some(_)))).then(|| name.clone())
            }
            _ => None,
        }
    }

    /// The tables in `main` that the script has made and put rows into, and that stay, at a
    /// statement that drops another one or commits.
    pub(crate) fn filled_at(&self, statement: usize) -> impl Iterator<Item = &str> {
        let Standing { names, filled, .. } = &self.standing;
        let is_filled = move |at: &&usize| filled.after(statement, at) == Some(&true);
        filled
            .0
            .keys()
            .filter(is_filled)
            .filter_map(move |at| names.after(statement, &Origin::Made(*at))?.as_deref())
    }

    /// Whether a statement runs inside a transaction that the script itself has begun.
    pub(crate) fn is_inside(&self, statement: usize) -> bool {
        self.inside.get(statement).is_some_and(|inside| *inside)
    }

    /// Whether a statement commits a transaction that the script itself has begun.
    pub(crate) fn commits(&self, statement: usize) -> bool {
        self.ends.get(statement).is_some_and(|ends| *ends)
    }

    /// Whether a dropped table's name goes to another one that was there before.
    pub(crate) fn old_heir<'a>(&self, dropped: &'a DroppedTable) -> Option<&'a str> {
        match &dropped.heir {
            Some(Origin::Before(name)) => Some(name),
            _ => None,
        }
    }

    /// Whether a statement is about a table that was there before the script.
    pub(crate) fn is_old(&self, statement: usize) -> bool {
        self.old.get(statement).is_some_and(|old| *old)
    }

    /// Whether a statement drops a column that the script itself added.
    pub(crate) fn drops_own_column(&self, statement: usize) -> bool {
        self.own_columns.contains(&statement)
    }
}

/// A transaction of a script's own, followed through its text. One is begun by `BEGIN`, or by a
/// savepoint outside of it: <https://sqlite.org/lang_savepoint.html>.
#[derive(Default)]
struct Transaction {
    /// Whether the script rolls anything back at all: only then names are kept.
    rolls_back: bool,
    is_begun: bool,
    /// The names as they were at `BEGIN`.
    begun: Option<Names>,
    /// And at each savepoint that is open.
    savepoints: Vec<(String, Option<Names>)>,
}

impl Transaction {
    fn is_open(&self) -> bool {
        self.is_begun || !self.savepoints.is_empty()
    }

    fn kept(&self, names: &Names) -> Option<Names> {
        self.rolls_back.then(|| names.clone())
    }

    fn end(&mut self) -> Self {
        let none = Transaction { rolls_back: self.rolls_back, ..Transaction::default() };
        std::mem::replace(self, none)
    }

    /// Says whether the statement commits it. What it rolls back, the names are told to forget.
    fn step(&mut self, action: &Action, sql: &str, names: &mut Names) -> bool {
        match action {
            Action::Control(Control::Begin) => {
                (self.is_begun, self.begun) = (true, self.kept(names));
            }
            Action::Control(Control::Commit) => {
                self.end();
                return true;
            }
            Action::Control(Control::Rollback) => {
                let open = self.end();
                let first = open.savepoints.into_iter().next().and_then(|(_, names)| names);
                if let Some(before) = open.begun.or(first) {
                    names.back_to(before);
                }
            }
            Action::Control(Control::Savepoint) => return self.step_savepoint(sql, names),
            _ => {}
        }
        false
    }

    /// `SAVEPOINT name`, `RELEASE [SAVEPOINT] name` or `ROLLBACK … TO name`, which leaves it open.
    fn step_savepoint(&mut self, sql: &str, names: &mut Names) -> bool {
        let mut words = tokens(sql).filter(|token| token.is_significant()).map(|t| t.text(sql));
        let verb = words.next().unwrap_or_default();
        let name = words.last().map(unquoted).unwrap_or_default().to_ascii_lowercase();
        if verb.eq_ignore_ascii_case("SAVEPOINT") {
            let kept = self.kept(names);
            self.savepoints.push((name, kept));
            return false;
        }
        let Some(at) = self.savepoints.iter().rposition(|(open, _)| *open == name) else {
            return false;
        };
        if verb.eq_ignore_ascii_case("RELEASE") {
            self.savepoints.truncate(at);
            return !self.is_open();
        }
        self.savepoints.truncate(at + 1);
        if let Some((_, Some(before))) = self.savepoints.last() {
            names.back_to(before.clone());
        }
        false
    }
}

/// Whether a statement is `ROLLBACK`, or `ROLLBACK TO` a savepoint.
fn rolls_back(script: &Script, statement: &Statement) -> bool {
    match &statement.action {
        Action::Control(Control::Rollback) => true,
        Action::Control(Control::Savepoint) => {
            let sql = script.sql(statement);
            let first = tokens(sql).find(|token| token.is_significant());
            first.is_some_and(|first| first.text(sql).eq_ignore_ascii_case("ROLLBACK"))
        }
        _ => false,
    }
}

/// The names that a table can have had which a script drops: it drops it by that name, or renames
/// it.
fn may_go(statements: &[&Statement]) -> BTreeSet<String> {
    let names = statements.iter().filter_map(|statement| match &statement.action {
        Action::Drop { what: Object::Table, name } => Some(name),
        Action::Alter { table, change: Change::RenameTable(_) } => Some(table),
        _ => None,
    });
    names.map(|name| name.name.to_ascii_lowercase()).collect()
}

/// Whether a script holds a statement that can lose data, as far as the text tells.
pub(crate) fn can_lose(script: &Script) -> bool {
    script.statements.iter().any(|statement| match &statement.action {
        Action::Drop { what, .. } => *what == Object::Table,
        Action::Alter { change, .. } => matches!(change, Change::DropColumn(_)),
        Action::Write { verb, table } => {
            !matches!(verb, Verb::Insert | Verb::Update) || is_schema(&table.name)
        }
        Action::Unknown => true,
        _ => false,
    })
}

/// Whether a script's text names a column, or takes all with `*`, or may mean it by `rowid`.
pub(crate) fn names(script: &Script, column: &str) -> bool {
    let text = &script.text;
    let all = [column, "*", "rowid", "_rowid_", "oid"];
    tokens(text)
        .filter(|token| token.is_significant())
        .map(|token| unquoted(token.text(text)))
        .any(|word| all.iter().any(|name| word.eq_ignore_ascii_case(name)))
}

/// Whether statements make a view or trigger: through these a table is written to or read from
/// without being named.
pub(crate) fn makes_views(statements: &[&Statement]) -> bool {
    statements.iter().any(|statement| match &statement.action {
        Action::Create { what, .. } => matches!(what, Object::View | Object::Trigger),
        _ => false,
    })
}

/// Whether statements drop an index or trigger, such as `index i`, by its name.
pub(crate) fn drops(statements: &[&Statement], object: &str) -> bool {
    statements.iter().any(|statement| match &statement.action {
        Action::Drop { what: Object::Index, name } => object == format!("index {}", name.name),
        Action::Drop { what: Object::Trigger, name } => object == format!("trigger {}", name.name),
        _ => false,
    })
}

/// Whether a table is SQLite's own record of the schema.
pub(crate) fn is_schema(table: &str) -> bool {
    ["sqlite_master", "sqlite_schema"].iter().any(|name| table.eq_ignore_ascii_case(name))
}
