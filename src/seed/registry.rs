//! The registry as a run needs it: read, checked, in the order it runs in; and what of it is to
//! run, a pure function of the sentinels.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use super::backfill::Backfill;
use super::conditions::{Conditions, Environments, Need};
use super::{Edited, Registered, Seed, Seeds, files};
use crate::error::{Error, ErrorKind, Result};
use crate::held::{Held, HeldBack, Progress};
use crate::ledger::Sentinel;
use crate::migration::Version;
use crate::sql::Script;

/// Every seed and backfill, each after those that it comes after.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registry {
    items: Vec<Item>,
    /// Where each name stands among them.
    by_name: HashMap<String, usize>,
    environments: Environments,
}

/// A seed or a backfill.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    Seed(Box<Seed>),
    Backfill(Box<Backfill>),
}

/// What the decision goes by besides the registry.
pub(crate) struct Now<'a> {
    pub(crate) sentinels: &'a [Sentinel],
    /// The newest version that is applied once the plan's steps are done.
    pub(crate) version: Option<Version>,
    /// Whether a newer program has been here.
    pub(crate) newer: bool,
    /// Those that this run has tried and left.
    pub(crate) passed: &'a [Held],
    pub(crate) deferred: Deferred,
}

/// What to do with deferred backfills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deferred {
    Leave,
    Run,
}

/// What is to run, in order, and what is not and why.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    pub(crate) run: Vec<String>,
    pub(crate) held: Vec<Held>,
    /// Why its sentinels cannot be those of this registry: the first such.
    pub(crate) refused: Option<Error>,
}

impl Item {
    pub(crate) fn name(&self) -> &str {
        match self {
            Item::Seed(seed) => &seed.name,
            Item::Backfill(backfill) => &backfill.name,
        }
    }

    pub(crate) fn conditions(&self) -> &Conditions {
        match self {
            Item::Seed(seed) => &seed.conditions,
            Item::Backfill(backfill) => &backfill.conditions,
        }
    }

    fn what(&self) -> &'static str {
        match self {
            Item::Seed(_) => "seed",
            Item::Backfill(_) => "backfill",
        }
    }

    /// Whether a sentinel says that it is done, for a program that may be older than it.
    pub(crate) fn is_done(&self, sentinel: &Sentinel, newer: bool) -> bool {
        match self {
            Item::Seed(seed) => {
                sentinel.is_done(seed.revision) && (newer || !seed.is_edited(sentinel))
            }
            Item::Backfill(backfill) => sentinel.is_done(backfill.revision),
        }
    }
}

impl Registry {
    /// Reads the files and refuses what is not sound: names, orders, environments.
    pub(crate) fn read(seeds: &Seeds, environments: &Environments) -> Result<Self> {
        let mut items = Vec::with_capacity(seeds.list.len());
        for registered in &seeds.list {
            match registered {
                Registered::Seed(seed) => items.push(Item::Seed(seed.clone())),
                Registered::Backfill(backfill) => items.push(Item::Backfill(backfill.clone())),
                Registered::Files(dir) => {
                    for seed in files::read(dir, seeds.edited)? {
                        items.push(Item::Seed(Box::new(seed)));
                    }
                }
            }
        }
        let none = Registry::none(environments)?;
        let places = places(&items)?;
        for item in &items {
            refuse_odd(item, &places, environments)?;
        }
        let order = order(&items, &places)?;
        let items: Vec<Item> = order.into_iter().filter_map(|at| items.get(at).cloned()).collect();
        let by_name = items.iter().enumerate().map(|(at, item)| (item.name().to_owned(), at));
        Ok(Registry { by_name: by_name.collect(), items, ..none })
    }

    /// That of an application without seeds.
    pub(crate) fn none(environments: &Environments) -> Result<Self> {
        match environments.fault() {
            Some(why) => Err(ErrorKind::BadSeed { why }.into()),
            None => Ok(Registry { environments: environments.clone(), ..Registry::default() }),
        }
    }

    /// Some of the items to be registered again, each with what its failure is to mean. They come
    /// after each other as before; what is left out is not waited for.
    pub(crate) fn seeds_of(&self, wanted: impl Fn(&Item) -> Option<Need>) -> Seeds {
        let chosen: Vec<(&Item, Need)> =
            self.items.iter().filter_map(|item| Some((item, wanted(item)?))).collect();
        let mut seeds = Seeds::new();
        for (item, need) in &chosen {
            let mut item = (*item).clone();
            let conditions = match &mut item {
                Item::Seed(seed) => &mut seed.conditions,
                Item::Backfill(backfill) => &mut backfill.conditions,
            };
            conditions.need = *need;
            conditions.after.retain(|after| chosen.iter().any(|(item, _)| item.name() == after));
            seeds.list.push(match item {
                Item::Seed(seed) => Registered::Seed(seed),
                Item::Backfill(backfill) => Registered::Backfill(backfill),
            });
        }
        seeds
    }

    /// The same items, each seed from a file with another text to run.
    pub(crate) fn reading(&self, text: impl Fn(&Script) -> Script) -> Registry {
        let mut registry = self.clone();
        for item in &mut registry.items {
            if let Item::Seed(seed) = item
                && let Some(script) = &seed.script
            {
                **seed = seed.reading(text(script));
            }
        }
        registry
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Item> {
        self.items.iter()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Item> {
        self.items.get(*self.by_name.get(name)?)
    }

    pub(crate) fn seed(&self, name: &str) -> Option<&Seed> {
        match self.get(name)? {
            Item::Seed(seed) => Some(seed),
            Item::Backfill(_) => None,
        }
    }

    pub(crate) fn backfill(&self, name: &str) -> Option<&Backfill> {
        match self.get(name)? {
            Item::Backfill(backfill) => Some(backfill),
            Item::Seed(_) => None,
        }
    }

    /// A backfill, and before it those that it comes after, in their order.
    pub(crate) fn backfills_up_to<'n>(&'n self, name: &'n str) -> Vec<&'n str> {
        let mut wanted = HashSet::from([name]);
        for item in self.items.iter().rev() {
            if wanted.contains(item.name()) && matches!(item, Item::Backfill(_)) {
                wanted.extend(item.conditions().after.iter().map(String::as_str));
            }
        }
        let backfills = self.items.iter().filter(|item| matches!(item, Item::Backfill(_)));
        let names = backfills.map(Item::name).filter(|name| wanted.contains(*name));
        names.collect()
    }

    /// Of what is to run, the backfill whose turn it is where seeds do not run; and those that come
    /// after a seed, and so wait.
    pub(crate) fn without_seeds(&self, run: &[String]) -> (Option<&Backfill>, Vec<Held>) {
        let (mut next, mut waits, mut held) = (None, HashSet::new(), Vec::new());
        for item in run.iter().filter_map(|name| self.get(name)) {
            let after = item.conditions().after.iter().find(|after| waits.contains(after.as_str()));
            match (item, after) {
                (Item::Backfill(backfill), None) => {
                    next = next.or(Some(backfill.as_ref()));
                    continue;
                }
                (Item::Backfill(_), Some(name)) => {
                    held.push(Held::new(item.name(), HeldBack::After { name: name.clone() }));
                }
                (Item::Seed(_), _) => {}
            }
            waits.insert(item.name());
        }
        (next, held)
    }

    /// Whether an item is for the migrator's environment.
    pub(crate) fn is_here(&self, item: &Item) -> bool {
        self.environments.is_one_of(&item.conditions().environments)
    }

    /// What is to run and what is not.
    pub(crate) fn standing(&self, now: &Now<'_>) -> Standing {
        let sentinels: HashMap<&str, &Sentinel> =
            now.sentinels.iter().map(|sentinel| (sentinel.name.as_str(), sentinel)).collect();
        let mut standing = Standing::default();
        let mut waits: HashSet<&str> = HashSet::new();
        for item in &self.items {
            let sentinel = sentinels.get(item.name()).copied();
            if !self.is_here(item) {
                let only = item.conditions().environments.clone();
                standing.held.push(Held::new(item.name(), HeldBack::Environment { only }));
                continue;
            }
            if let Some(sentinel) = sentinel {
                let refusal = refusal(item, sentinel, now.newer);
                if let Some(error) = refusal {
                    let why = error.kind().to_string();
                    standing.held.push(Held::new(item.name(), HeldBack::Failed { why }));
                    standing.refused.get_or_insert(error);
                    continue;
                }
                if item.is_done(sentinel, now.newer) {
                    continue;
                }
            }
            match held_back(item, sentinel, now, &waits) {
                Some(why) => {
                    waits.insert(item.name());
                    standing.held.push(Held::new(item.name(), why));
                }
                None => standing.run.push(item.name().to_owned()),
            }
        }
        standing
    }
}

fn held_back(
    item: &Item,
    sentinel: Option<&Sentinel>,
    now: &Now<'_>,
    waits: &HashSet<&str>,
) -> Option<HeldBack> {
    if let Some(held) = now.passed.iter().find(|held| held.name == item.name()) {
        return Some(held.why.clone());
    }
    let conditions = item.conditions();
    if let Some(at_least) = conditions.at_least.filter(|at_least| now.version < Some(*at_least)) {
        return Some(HeldBack::Schema { at_least });
    }
    if let Some(name) = conditions.after.iter().find(|name| waits.contains(name.as_str())) {
        return Some(HeldBack::After { name: name.clone() });
    }
    match item {
        Item::Backfill(backfill) if backfill.is_deferred() && now.deferred == Deferred::Leave => {
            let progress = sentinel.filter(|s| s.revision == backfill.revision);
            let progress = progress.map_or(Progress::default(), Sentinel::progress);
            Some(HeldBack::Deferred { progress })
        }
        _ => None,
    }
}

/// Where each name stands in the registry.
fn places(items: &[Item]) -> Result<HashMap<&str, usize>> {
    let mut places: HashMap<&str, usize> = HashMap::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        if item.name().trim().is_empty() {
            return Err(unsound(format!("a {} has no name", item.what())));
        }
        if let Some(first) = places.insert(item.name(), at) {
            let first = items.get(first).map_or("seed", Item::what);
            let why = match (first, item.what()) {
                (first, second) if first == second => {
                    format!("two {first}s are called `{}`", item.name())
                }
                _ => format!("a seed and a backfill are both called `{}`", item.name()),
            };
            return Err(unsound(why));
        }
    }
    Ok(places)
}

fn refuse_odd(
    item: &Item,
    places: &HashMap<&str, usize>,
    environments: &Environments,
) -> Result<()> {
    let (what, name) = (item.what(), item.name());
    if let Item::Backfill(backfill) = item
        && let Some(why) = backfill.fault()
    {
        return Err(unsound(format!("backfill `{name}`: {why}")));
    }
    let conditions = item.conditions();
    if let Some(unknown) = conditions.environments.iter().find(|name| !environments.knows(name)) {
        let why = format!("{what} `{name}` names the environment `{unknown}`, which is unknown");
        let known = environments.declared.join(", ");
        return Err(unsound(why).advise(match known.is_empty() {
            true => "correct it, or declare the application's environments with \
                     `environments([…])`"
                .to_owned(),
            false => format!("the environments declared are: {known}"),
        }));
    }
    match conditions.after.iter().find(|after| !places.contains_key(after.as_str())) {
        Some(after) => {
            let why = format!("{what} `{name}` comes after `{after}`, which is not registered");
            Err(unsound(why))
        }
        None => Ok(()),
    }
}

/// Registered order, but for those that come after others: the first registered of those that
/// nothing holds up is next.
fn order(items: &[Item], places: &HashMap<&str, usize>) -> Result<Vec<usize>> {
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); items.len()];
    let mut open: Vec<usize> = vec![0; items.len()];
    for (at, item) in items.iter().enumerate() {
        for after in &item.conditions().after {
            let first = places.get(after.as_str()).and_then(|first| followers.get_mut(*first));
            if let (Some(list), Some(count)) = (first, open.get_mut(at)) {
                list.push(at);
                *count += 1;
            }
        }
    }
    let mut ready: BinaryHeap<Reverse<usize>> = open
        .iter()
        .enumerate()
        .filter(|(_, count)| **count == 0)
        .map(|(at, _)| Reverse(at))
        .collect();
    let mut order = Vec::with_capacity(items.len());
    while let Some(Reverse(at)) = ready.pop() {
        order.push(at);
        for follower in followers.get(at).into_iter().flatten() {
            if let Some(count) = open.get_mut(*follower) {
                *count -= 1;
                if *count == 0 {
                    ready.push(Reverse(*follower));
                }
            }
        }
    }
    if order.len() == items.len() {
        return Ok(order);
    }
    Err(unsound(format!("these wait for each other: {}", circle(items, places, &open))))
}

/// The names of a circle among those that are still held up.
fn circle(items: &[Item], places: &HashMap<&str, usize>, open: &[usize]) -> String {
    let is_open = |at: &usize| open.get(*at).is_some_and(|count| *count > 0);
    let mut path: Vec<usize> = Vec::new();
    let mut next = (0..items.len()).find(is_open);
    while let Some(at) = next {
        if let Some(begin) = path.iter().position(|seen| *seen == at) {
            path.drain(..begin);
            path.push(at);
            break;
        }
        path.push(at);
        let after = items.get(at).map(|item| item.conditions().after.as_slice());
        next = after
            .into_iter()
            .flatten()
            .filter_map(|name| places.get(name.as_str()).copied())
            .find(is_open);
    }
    let names =
        path.iter().filter_map(|at| items.get(*at)).map(|item| format!("`{}`", item.name()));
    names.collect::<Vec<_>>().join(" after ")
}

fn refusal(item: &Item, sentinel: &Sentinel, newer: bool) -> Option<Error> {
    let is_backfill = matches!(item, Item::Backfill(_));
    let (what, name) = (item.what(), item.name());
    if sentinel.is_of_backfill() != is_backfill {
        let was = if is_backfill { "seed" } else { "backfill" };
        let why = format!("{what} `{name}` has the name of a {was} that has run on this database");
        return Some(unsound(why).advise(format!("give the {what} another name")));
    }
    let Item::Seed(seed) = item else { return None };
    if newer || seed.edited == Edited::RunAgain || !seed.is_edited(sentinel) {
        return None;
    }
    Some(Error::from(ErrorKind::SeedModified {
        name: name.to_owned(),
        file: seed.script.as_ref().map(|script| script.file.to_string()).unwrap_or_default(),
        recorded: sentinel.content.clone().unwrap_or_default(),
        found: seed.content.clone().unwrap_or_default(),
    }))
}

fn unsound(why: String) -> Error {
    ErrorKind::BadSeed { why }.into()
}
