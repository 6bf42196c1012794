//! What to do about what went wrong, where that does not depend on more than its kind.

use super::ErrorKind;
use crate::escape::escaped_lines;
use crate::schema::Change;
use crate::source::naming::is_repeatable;

/// How many statements are shown.
const SHOWN: usize = 20;

fn mending(changes: &[Change]) -> String {
    let statements: Vec<&String> = changes.iter().flat_map(Change::statements).collect();
    let rebuilds = changes.iter().filter(|change| change.statements().is_empty()).count();
    let mut text = "find out who changed it".to_owned();
    if !statements.is_empty() {
        text.push_str("; these statements mend it, and a DROP takes data with it:");
        for statement in statements.iter().take(SHOWN) {
            text.push_str("\n    ");
            text.push_str(&escaped_lines(statement).to_string().replace('\n', "\n    "));
            text.push(';');
        }
        if let Some(more @ 1..) = statements.len().checked_sub(SHOWN) {
            text.push_str(&format!("\n    and {more} more"));
        }
        text.push_str("\nor, if it is meant, ");
    } else {
        text.push_str("; if it is meant, ");
    }
    text.push_str("put it into a migration, or leave it out with `ignore_drift_of`");
    match rebuilds {
        0 => {}
        1 => text.push_str("; one difference takes a rebuild of its table"),
        n => text.push_str(&format!("; {n} differences take a rebuild of their tables")),
    }
    text
}

impl ErrorKind {
    /// What to do next, where it does not depend on more than the kind.
    pub(super) fn advice(&self) -> Option<String> {
        let text = match self {
            ErrorKind::BadName { .. } => {
                "name it `0001_name.sql`, `0001_name.down.sql`, `0001_name.verify.sql`, \
                 `0050_name.baseline.sql`, `R__name.sql` or `20250214_0930_name.sql`, or move it \
                 out of the folder, or pass over it with `.ignore(\"<file>\")`"
            }
            ErrorKind::MixedLayouts { .. } => {
                "give each tool's files a folder of their own, or pass over the others with \
                 `.ignore(\"<file>\")`"
            }
            ErrorKind::AmbiguousLayout { .. } => "say whose it is: `.layout(Layout::…)`",
            ErrorKind::Renumbered { .. } => {
                "give the file that has come before it a version after the newest"
            }
            ErrorKind::DuplicateVersion { .. } => "give one of them another number or name",
            ErrorKind::OrphanDown { .. } => {
                "add its migration, correct the number, or remove the file"
            }
            ErrorKind::NotUtf8 { .. } => "save the file as UTF-8 text",
            ErrorKind::BadText { .. } => "close it where it was meant to end",
            ErrorKind::Directive { .. } => {
                return Some(format!("the directives are: {}", crate::sql::directive::FORMS));
            }
            ErrorKind::Stale { .. } => {
                "save the source file that says `include_dir!` and build again; a `build.rs` with \
                 `println!(\"cargo:rerun-if-changed=<folder>\");` makes Cargo notice by itself"
            }
            ErrorKind::Outdated { .. } => {
                "see below what differs; if that is meant, or the file is to be made, run the test \
                 again with `UPDATE_LOCK=1` in its environment, and commit the file"
            }
            ErrorKind::Kept { .. } => "check the path, and that its folder is there",
            ErrorKind::Source { .. } => "check the path, and that it is a readable folder",
            ErrorKind::Modified { recorded, .. } => {
                return Some(format!(
                    "restore the file as it was and put the change into a new migration; or, if \
                     the edit is meant, write `-- landfall: replaces {recorded}: <reason>` at its \
                     head, or call `repair` with a reason"
                ));
            }
            ErrorKind::Missing { .. } => {
                "bring it back; or, if it is gone for good, use `missing(Missing::Ignore)` \
                 or call `repair` with a reason"
            }
            ErrorKind::Late { .. } => {
                "rename it to a number above the newest; or, if it does not depend on the order, \
                 use `late(Late::Apply)`"
            }
            ErrorKind::Newer { .. } => {
                "start the newer program again; or, if this one has lost the migration, bring it \
                 back; or, to go back, revert with the newer one, or use `newer(Newer::Revert)`, \
                 which runs the down scripts stored in the ledger; or, if this program can work \
                 with the newer schema, use `newer(Newer::Ignore)`"
            }
            ErrorKind::ForeignLedger { adopt: Some(tool), .. } => {
                return Some(format!(
                    "to take it over, say `.adopt({})`; or give landfall's tables another name \
                     with `ledger(\"<prefix>\")`",
                    tool.variant()
                ));
            }
            ErrorKind::ForeignLedger { .. } => {
                "give landfall's tables another name with `ledger(\"<prefix>\")`"
            }
            ErrorKind::NotWritten { triggers, .. } => {
                return Some(match triggers.as_slice() {
                    [trigger] => format!(
                        "drop the trigger with `DROP TRIGGER \"{}\"`, or have it let the \
                         ledger's rows through, and start again",
                        trigger.replace('"', "\"\"")
                    ),
                    _ => "drop the trigger that does it, or have it let the ledger's rows \
                          through, and start again"
                        .to_owned(),
                });
            }
            ErrorKind::LostLedger { .. } => {
                "restore it from a backup; or, if nothing is applied, drop the ledger's other \
                 tables too; or drop them and call `baseline` with the version that the schema has"
            }
            ErrorKind::FutureFormat { .. } => "use the release of the program that wrote it",
            ErrorKind::UnknownTarget { .. } => "`status` lists the versions",
            ErrorKind::NotEmpty { .. } => {
                "if its schema is that of the baseline, call `baseline` with its version"
            }
            ErrorKind::InTransaction => "commit or roll back first, or use another connection",
            ErrorKind::ReadOnly { .. } => {
                "open the database for writing once with this program; a reader can ask \
                 `is_current` or `wait_until_current`"
            }
            ErrorKind::Busy { .. } => {
                "another process may still be migrating: start again later, or wait longer with \
                 `wait(<duration>)`"
            }
            ErrorKind::Stopped { .. } => "start again: it goes on from what is committed",
            ErrorKind::Shadowed { .. } => "drop or rename the TEMP one, or use a fresh connection",
            ErrorKind::TransactionControl { .. } => {
                "remove it: each migration and its row in the ledger are one transaction already; \
                 or write `-- landfall: no-transaction` at the head of the file"
            }
            ErrorKind::NeedsNoTransaction { .. } => {
                "put it into a migration of its own with `-- landfall: no-transaction` at its head"
            }
            ErrorKind::Statement { .. } => "correct the statement and start again",
            ErrorKind::Code { .. } | ErrorKind::Seed { .. } | ErrorKind::Backfill { .. } => {
                "see the cause below it, correct it and start again"
            }
            ErrorKind::SeedModified { .. } => {
                "restore the file as it was, and put the change into a seed of another name; or \
                 let it run again with `edited(Edited::RunAgain)`"
            }
            ErrorKind::BadSeed { .. } => "correct the registry",
            ErrorKind::DataLoss { position: None, .. } => {
                "if that is meant, say `.allow_data_loss(\"<reason>\")` of the migration"
            }
            ErrorKind::DataLoss { file, .. } if file.ends_with("(stored in the ledger)") => {
                "if that is meant, revert with `data_loss(DataLoss::Allow)`"
            }
            ErrorKind::DataLoss { file, .. } => {
                return Some(format!(
                    "if that is meant, write `-- landfall: allow-data-loss: <reason>` at the head \
                     of {file}; take a backup first"
                ));
            }
            ErrorKind::ForeignKeys { .. } => {
                "correct the migration so that every key finds its row"
            }
            ErrorKind::Verify { .. } => {
                "correct the migration, or the rows if it is long applied, or the verify script if \
                 it asks for too much"
            }
            ErrorKind::BrokenObject { by, .. } if is_repeatable(by) => {
                return Some(format!(
                    "correct `{by}` so that it fits the newest schema, or the migration that took \
                     away what it stands on"
                ));
            }
            ErrorKind::BrokenObject { .. } => {
                "drop and recreate it in the same migration, or keep it in a repeatable \
                 `R__<name>.sql`, which is set aside and run again by itself; if it is in one already, correct \
                 it there"
            }
            ErrorKind::Requires { .. } => {
                "use a build of SQLite that has it, or register it before migrating"
            }
            ErrorKind::Irreversible { .. } => {
                "restore a backup, or write its `.down.sql` and ship it"
            }
            ErrorKind::CannotRecord { .. } => {
                "take `undo` away from it; a down script or a backup is then the way back"
            }
            ErrorKind::UndoTooLarge { .. } => {
                "raise the limit with `undo_limit(<bytes>)`; or take `undo` away from it, and make \
                 a backup before it"
            }
            ErrorKind::CannotUndo { .. } => "`status` and `history` tell what has run",
            ErrorKind::ChangedSince { .. } => {
                "look at these rows; to put them back all the same, use \
                 `changed_since(ChangedSince::Overwrite)`"
            }
            ErrorKind::Interrupted { .. } => {
                "look at the database; then call `repair` with a reason to run it again from its \
                 start, or `baseline` with its version to take it as done"
            }
            ErrorKind::TakenOver { .. } => {
                "the other process counted it as interrupted: look at the database and at \
                 `history`, and start again once that process is through"
            }
            ErrorKind::Unsound { .. } => {
                "each finding says what to do; a check that is not for this application is left \
                 out with `.skip(Check::…, \"<reason>\")`"
            }
            ErrorKind::SandboxLeft => {
                "use `open_in_memory` for a test that begins or ends transactions"
            }
            ErrorKind::NotFresh { .. } => "open it with `open`; or remove it first",
            ErrorKind::NoReason { .. } => "say why in a few words",
            ErrorKind::NotCurrent { .. } => {
                "wait for the process that migrates, or run `apply` here"
            }
            ErrorKind::Drift { changes } => return Some(mending(changes)),
            ErrorKind::Adoption { .. }
            | ErrorKind::Unproved { .. }
            | ErrorKind::Locked { .. }
            | ErrorKind::Backup { .. }
            | ErrorKind::Damaged { .. }
            | ErrorKind::Sqlite { .. } => return None,
        };
        Some(text.to_owned())
    }
}
