//! The n-th system call of a kind fails, once or from then on, while a verb is at it.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use landfall::{Error, Report};

use crate::calls::{Fault, KINDS, Kind, Plan, Watch, watched};
use crate::scenes::{
    ADOPT, APPLY, BACKFILL, BACKUP, EACH, OPEN, OPEN_COPY, RESTORE, REVERT, Scene, State, UNDO,
    assert_sound, copy, settings, synchronous,
};

/// What the calls of a kind can fail with. What SQLite and std try again until it works out is
/// never for ever.
fn faults(kind: Kind) -> &'static [(Fault, bool)] {
    use Fault::{Eintr, Eio, Enospc, Short};
    match kind {
        Kind::Open => &[(Eio, false), (Eio, true), (Enospc, false), (Eintr, false)],
        Kind::Read => &[(Eio, false), (Eio, true), (Eintr, false), (Short, false)],
        Kind::Write => &[
            (Eio, false),
            (Eio, true),
            (Enospc, false),
            (Enospc, true),
            (Eintr, false),
            (Short, false),
        ],
        Kind::Sync => &[(Eio, false), (Eio, true), (Enospc, false), (Eintr, false)],
        Kind::Truncate => &[(Eio, false), (Eio, true), (Eintr, false)],
        Kind::Unlink => &[(Eio, false), (Eio, true), (Eintr, false)],
        Kind::Rename | Kind::Link => &[(Eio, false), (Eio, true), (Enospc, false), (Eintr, false)],
        Kind::Lock => &[(Eio, false), (Eio, true), (Eintr, false)],
        Kind::Stat => &[(Eio, false), (Eio, true)],
    }
}

/// What became of the faults.
#[derive(Default)]
struct Figures {
    injected: u64,
    went_through: u64,
    not_known: u64,
}

/// Has the calls of a scene fail: about so many of each kind in each way, and the first ones after
/// some of the syncs and deletions that make a commit.
fn fails_anywhere(scene: Scene, mode: &str, some: u64) {
    let start = tempfile::tempdir().unwrap();
    scene.prepare(start.path(), mode);
    let before = State::of(start.path());
    let (end, Watch { calls, commits, .. }) = undisturbed(scene, mode, start.path());
    assert_ne!(before, end, "{}", scene.name);
    let mut figures: BTreeMap<(Kind, Fault, bool), Figures> = BTreeMap::new();
    let mut wrong = Vec::new();
    for kind in KINDS {
        let total = calls[kind as usize];
        let stride = if crate::all() { 1 } else { total.div_ceil(some).max(1) };
        for (way, &(fault, for_ever)) in faults(kind).iter().enumerate() {
            // The last ones are about the commit, and each way has others.
            let first = 1 + (total + stride - 1 + way as u64 * stride / 2) % stride;
            let spread = (first..).step_by(stride as usize);
            let after = |nth: usize| Some(commits.get(nth * commits.len() / 3)?[kind as usize] + 1);
            let is_late = fault == Fault::Eio
                && !crate::all()
                && matches!(kind, Kind::Lock | Kind::Stat | Kind::Sync | Kind::Truncate);
            let after = (0..3).filter(|_| is_late).filter_map(after);
            for at in after.chain(spread) {
                let plan = Plan { kind, fault, at, for_ever };
                let one = || fails_once(scene, mode, plan, start.path(), &before, &end);
                match catch_unwind(AssertUnwindSafe(one)) {
                    Ok(None) if at > total => break,
                    Ok(None) => {}
                    Ok(Some(outcome)) => {
                        let figures = figures.entry((kind, fault, for_ever)).or_default();
                        figures.injected += 1;
                        figures.went_through += u64::from(outcome == Outcome::WentThrough);
                        figures.not_known += u64::from(outcome == Outcome::NotKnown);
                    }
                    Err(panic) => {
                        let text = panic.downcast_ref::<String>().cloned();
                        let text = text.or(panic.downcast_ref::<&str>().map(ToString::to_string));
                        wrong.push(format!("{plan:?}: {}", text.unwrap_or_default()));
                    }
                }
            }
        }
    }
    let name = scene.name;
    for ((kind, fault, for_ever), Figures { injected, went_through, not_known }) in figures {
        let ever = if for_ever { " for ever" } else { "" };
        println!(
            "{name}, {mode}, {kind:?} {fault:?}{ever}: {injected} injected, {went_through} went \
             through, {not_known} not known"
        );
    }
    let more = wrong.len();
    wrong.truncate(12);
    assert!(wrong.is_empty(), "{name}, {mode}: {more} wrong\n\n{}", wrong.join("\n\n"));
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    WentThrough,
    Failed,
    NotKnown,
}

/// What the verb makes of it where nothing fails, and how many calls of each kind that takes.
fn undisturbed(scene: Scene, mode: &str, start: &Path) -> (State, Watch) {
    let dir = tempfile::tempdir().unwrap();
    copy(start, dir.path());
    let mut watch = Watch::default();
    let mut conn = scene.connect(dir.path(), mode);
    watched(&mut watch, || scene.act(&mut conn, dir.path())).unwrap();
    drop(conn);
    assert_sound(dir.path(), scene.name);
    (State::of(dir.path()), watch)
}

/// `None` where nothing failed, for there are not so many calls.
fn fails_once(
    scene: Scene,
    mode: &str,
    plan: Plan,
    start: &Path,
    before: &State,
    end: &State,
) -> Option<Outcome> {
    let dir = tempfile::tempdir().unwrap();
    copy(start, dir.path());
    let mut conn = scene.connect(dir.path(), mode);
    let were = conn.as_ref().map(settings);
    let mut watch = Watch { plan: Some(plan), ..Watch::default() };
    let result = watched(&mut watch, || scene.act(&mut conn, dir.path()));
    if watch.injected == 0 {
        return None;
    }
    let told = match &result {
        Ok(_) => "Ok".to_owned(),
        Err(error) => format!("{error:?}"),
    };
    if let (Some(conn), Some(were)) = (&conn, were) {
        assert!(conn.is_autocommit(), "a transaction is open: {told}");
        assert_eq!(settings(conn), were, "{told}");
        if !plan.for_ever {
            assert!(synchronous(conn).is_none_or(|now| now == 2), "{told}");
        }
    }
    drop(conn);
    assert_sound(dir.path(), &told);
    let now = State::of(dir.path());
    let outcome = match &result {
        Ok(_) => {
            assert_eq!(now, *end, "it went through");
            Outcome::WentThrough
        }
        // The file appears whole or not at all, and may be there when it cannot be opened.
        Err(error) if scene.name == OPEN_COPY.name && now == *end => {
            assert!(error.to_string().contains("the file is made, and whole"), "{told}");
            Outcome::Failed
        }
        Err(error) => assert_told(error, before, &now, &told),
    };
    if now != *end {
        let next = scene.next_start(dir.path(), mode);
        assert!(next.is_ok(), "the next start failed: {next:?}\nafter: {told}");
        assert_sound(dir.path(), &format!("after the next start, after {told}"));
        assert_eq!(State::of(dir.path()), *end, "after the next start, after {told}");
    }
    Some(outcome)
}

/// That an error says what state the database is in, and lists what is done.
fn assert_told(error: &Error, before: &State, now: &State, told: &str) -> Outcome {
    let text = error.to_string();
    let nothing = Report::default();
    let done = error.report().unwrap_or(&nothing);
    let reported = Changes::reported(done);
    let found = Changes::found(before, now);
    if text.contains("it is not known whether") {
        assert!(reported.is_part_of(&found), "{reported:?}, and {found:?}: {told}");
        return Outcome::NotKnown;
    }
    assert_eq!(reported, found, "{told}");
    if text.ends_with("; nothing was changed") {
        assert_eq!(now, before, "{told}");
    }
    assert!(now == before || !found.is_empty(), "{found:?}: {told}");
    Outcome::Failed
}

/// What was done, by a report or by the difference between two states.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changes {
    applied: BTreeSet<String>,
    reverted: BTreeSet<String>,
    seeds: BTreeSet<String>,
    adopted: bool,
    restored: bool,
}

impl Changes {
    fn reported(report: &Report) -> Self {
        let versions = |done: &[landfall::Done]| {
            done.iter().filter_map(|done| done.version).map(|version| version.to_string()).collect()
        };
        let mut seeds: BTreeSet<String> =
            report.seeds.iter().map(|seed| format!("{}|1|NULL", seed.name)).collect();
        seeds.extend(report.backfills.iter().map(|done| {
            format!("{}|{}|{}", done.name, u8::from(done.is_finished), done.progress.done)
        }));
        seeds.extend(
            report
                .reverted
                .iter()
                .filter(|done| done.version.is_none())
                .map(|seed| format!("{}|1|NULL", seed.name)),
        );
        Changes {
            applied: versions(&report.applied),
            reverted: versions(&report.reverted),
            seeds,
            adopted: report.adopted.is_some(),
            restored: report.restored.is_some(),
        }
    }

    fn found(before: &State, now: &State) -> Self {
        let count = |state: &State, action: &str| {
            state.history.iter().filter(|line| line.starts_with(action)).count()
        };
        let added = |action| count(now, action) > count(before, action);
        let (adopted, restored) = (added("adopt"), added("restore"));
        if restored {
            return Changes { restored, ..Changes::default() };
        }
        let mut applied: BTreeSet<String> =
            now.versions.difference(&before.versions).cloned().collect();
        if adopted {
            applied.retain(|version| version.parse::<u32>().unwrap() > 4);
        }
        Changes {
            applied,
            reverted: before.versions.difference(&now.versions).cloned().collect(),
            seeds: now.seeds.symmetric_difference(&before.seeds).cloned().collect(),
            adopted,
            restored,
        }
    }

    fn is_empty(&self) -> bool {
        *self == Changes::default()
    }

    fn is_part_of(&self, all: &Changes) -> bool {
        self.applied.is_subset(&all.applied)
            && self.reverted.is_subset(&all.reverted)
            && self.adopted <= all.adopted
            && self.restored <= all.restored
    }
}

const MODES: [&str; 4] = ["DELETE", "WAL", "PERSIST", "TRUNCATE"];
const SOME: u64 = 2;

macro_rules! fails {
    ($($name:ident: $scene:expr;)*) => {$(
        #[test]
        fn $name() {
            let modes = if crate::all() { 4 } else { 2 };
            MODES.iter().take(modes).for_each(|mode| fails_anywhere($scene, mode, SOME));
        }
    )*};
}

fails! {
    failing_calls_in_apply_are_told: APPLY;
    failing_calls_in_apply_each_are_told: EACH;
    failing_calls_in_revert_are_told: REVERT;
    failing_calls_in_backup_are_told: BACKUP;
    failing_calls_in_restore_are_told: RESTORE;
    failing_calls_in_adopt_are_told: ADOPT;
    failing_calls_in_backfill_are_told: BACKFILL;
    failing_calls_in_undo_are_told: UNDO;
    failing_calls_in_open_are_told: OPEN;
    failing_calls_in_open_copy_are_told: OPEN_COPY;
}

/// That SQLite and std call the functions here: otherwise all of this would see nothing.
#[test]
fn every_kind_of_call_comes_through() {
    let mut seen = [0; KINDS.len()];
    for scene in [BACKUP, OPEN_COPY] {
        let start = tempfile::tempdir().unwrap();
        scene.prepare(start.path(), "TRUNCATE");
        let (_, Watch { calls, .. }) = undisturbed(scene, "TRUNCATE", start.path());
        seen.iter_mut().zip(calls).for_each(|(seen, calls)| *seen += calls);
    }
    for kind in KINDS {
        assert!(seen[kind as usize] > 0, "{kind:?}: {seen:?}");
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let mut watch = Watch::default();
    watched(&mut watch, || {
        use std::io::{Read as _, Write as _};
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(b"a").unwrap();
        file.sync_all().unwrap();
        file.set_len(0).unwrap();
        std::fs::File::open(&path).unwrap().read_to_end(&mut Vec::new()).unwrap();
        std::fs::rename(&path, dir.path().join("b")).unwrap();
        std::fs::hard_link(dir.path().join("b"), &path).unwrap();
        std::fs::remove_file(&path).unwrap();
    });
    for kind in KINDS.into_iter().filter(|kind| !matches!(kind, Kind::Lock | Kind::Stat)) {
        assert!(watch.calls[kind as usize] > 0, "{kind:?}: {:?}", watch.calls);
    }
}
