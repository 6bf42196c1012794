//! What the lint looks for: each rule with the word it is allowed by, and why it is one.

/// A rule of the lint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Rule {
    RenamedAway,
    LostInRebuild,
    DoubleQuotedString,
    PragmaWithoutEffect,
    EditsSchema,
    CreateTableAs,
    CopyByStar,
    UniqueOverRows,
    RandomValues,
    TempLeftBehind,
    TempShadows,
    StaleFullText,
    EmptyDown,
}

/// Every rule, with its word and what is wrong with what it finds.
#[rustfmt::skip]
pub(crate) const RULES: [(Rule, &str, &str); 13] = [
    (Rule::RenamedAway, "renamed-away",
     "a rename takes the REFERENCES of other tables along, so that they name the old table: make \
      the new one under another name, copy, drop the old one, and rename the new one last"),
    (Rule::LostInRebuild, "lost-in-rebuild",
     "what stands on a table goes when it is dropped: make it again in the same script"),
    (Rule::DoubleQuotedString, "double-quoted-string",
     "SQLite takes a name in double quotes for a string where no column has it, and refuses a \
      later RENAME or DROP COLUMN for it: write strings in single quotes"),
    (Rule::PragmaWithoutEffect, "pragma-without-effect",
     "it does nothing inside a transaction, or is put back when the script ends: set it where the \
      application opens its connection"),
    (Rule::EditsSchema, "edits-schema",
     "an edit of sqlite_schema is not checked by SQLite, and is refused on connections in \
      defensive mode: rebuild the table instead"),
    (Rule::CreateTableAs, "create-table-as",
     "CREATE TABLE … AS takes over no key, no default and no CHECK: write the table's columns out \
      and INSERT into it"),
    (Rule::CopyByStar, "copy-by-star",
     "SELECT * copies by place, takes along generated columns, and gives rows other rowids where \
      the table has no INTEGER PRIMARY KEY: name the columns on both sides"),
    (Rule::UniqueOverRows, "unique-over-rows",
     "a table that was there before may hold duplicates, and the index then fails on some \
      databases only: DELETE or UPDATE them in the same script, before it"),
    (Rule::RandomValues, "random-values",
     "every database gets other rows by it, which no test or repair can expect: write the values \
      out, or derive them from what is there"),
    (Rule::TempLeftBehind, "temp-left-behind",
     "what is TEMP stays on the connection after the script, and later scripts and the application \
      see it: drop it at the script's end"),
    (Rule::TempShadows, "temp-shadows",
     "a name without a schema means the TEMP table as long as there is one: give it another name, \
      or write main.<name> wherever the other is meant"),
    (Rule::StaleFullText, "stale-full-text",
     "a full text index over another table does not notice rows that were there before it, or that \
      are written where no trigger tells it: INSERT INTO <index>(<index>) VALUES ('rebuild') at the script's end"),
    (Rule::EmptyDown, "empty-down",
     "a down that does nothing leaves what the up did: write it, or call the migration \
      irreversible and say why"),
];

impl Rule {
    /// The word that `-- landfall: allow …` takes.
    pub(crate) fn code(self) -> &'static str {
        RULES.iter().find(|(rule, ..)| *rule == self).map_or("", |(_, code, _)| code)
    }

    /// Why it is one, and what to do.
    pub(crate) fn explanation(self) -> &'static str {
        RULES.iter().find(|(rule, ..)| *rule == self).map_or("", |(.., why)| why)
    }

    pub(crate) fn of(code: &str) -> Option<Self> {
        RULES.iter().find(|(_, known, _)| *known == code).map(|(rule, ..)| *rule)
    }

    /// All the words, for an error that has to list them.
    pub(crate) fn codes() -> String {
        RULES.map(|(_, code, _)| code).join(", ")
    }
}
