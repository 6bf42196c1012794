//! Pragmas that do nothing where they stand.

use super::Hit;
use crate::sql::{Action, Rule, Script};

/// Those that change something while a script runs, or in the file.
const EFFECTIVE: [&str; 17] = [
    "application_id",
    "case_sensitive_like",
    "default_cache_size",
    "defer_foreign_keys",
    "foreign_keys",
    "full_column_names",
    "hard_heap_limit",
    "ignore_check_constraints",
    "legacy_alter_table",
    "optimize",
    "recursive_triggers",
    "reverse_unordered_selects",
    "shrink_memory",
    "soft_heap_limit",
    "trusted_schema",
    "user_version",
    "writable_schema",
];

/// Those that ask, and may be given what to ask of.
const QUESTIONS: [&str; 20] = [
    "collation_list",
    "compile_options",
    "data_version",
    "database_list",
    "foreign_key_check",
    "foreign_key_list",
    "freelist_count",
    "function_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "module_list",
    "page_count",
    "pragma_list",
    "quick_check",
    "schema_version",
    "table_info",
    "table_list",
    "table_xinfo",
];

/// Those that only work outside a transaction.
const OUTSIDE: [&str; 8] = [
    "auto_vacuum",
    "encoding",
    "incremental_vacuum",
    "journal_mode",
    "page_size",
    "synchronous",
    "wal_checkpoint",
    "temp_store_directory",
];

/// Those that are the connection's, and are put back after the script.
const SESSION: [&str; 21] = [
    "analysis_limit",
    "automatic_index",
    "busy_timeout",
    "cache_size",
    "cache_spill",
    "cell_size_check",
    "checkpoint_fullfsync",
    "count_changes",
    "empty_result_callbacks",
    "fullfsync",
    "journal_size_limit",
    "locking_mode",
    "max_page_count",
    "mmap_size",
    "query_only",
    "read_uncommitted",
    "secure_delete",
    "short_column_names",
    "temp_store",
    "threads",
    "wal_autocheckpoint",
];

pub(super) fn look(script: &Script, found: &mut Vec<Hit>) {
    for statement in &script.statements {
        let Action::Pragma { name, value } = &statement.action else { continue };
        if name.as_ref() == "writable_schema" && value.as_ref().is_some_and(|value| turns_on(value))
        {
            let what = "the schema is made writable".to_owned();
            found.push(Hit::at(Rule::EditsSchema, script, statement.start, what));
        }
        let name = name.as_ref();
        let outside = script.directives().no_transaction;
        let why = if EFFECTIVE.contains(&name) || QUESTIONS.contains(&name) {
            continue;
        } else if OUTSIDE.contains(&name) {
            if outside || value.is_none() {
                continue;
            }
            "does nothing inside a transaction"
        } else if SESSION.contains(&name) {
            if value.is_none() {
                continue;
            }
            "lasts no longer than the script"
        } else {
            "is none that SQLite knows, which it passes over in silence"
        };
        let what = format!("PRAGMA {name} {why}");
        found.push(Hit::at(Rule::PragmaWithoutEffect, script, statement.start, what));
    }
}

fn turns_on(value: &str) -> bool {
    !matches!(value, "off" | "no" | "false" | "0" | "reset")
}
