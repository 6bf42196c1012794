//! A table as recording and undoing have to know it: which columns it stores, what tells a row
//! from the others, and which rows an insert can push out.

use rusqlite::{Connection, OptionalExtension as _};

use crate::sql::quoted;
use crate::sql::token::{Kind, Token, tokens, unquoted};

/// What a table's own row is called in the conditions of [`Shape::pushed_out`].
pub(super) const ROW: &str = "landfall_row";

/// One ordinary table of `main`.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) name: String,
    /// The columns that it stores; generated ones follow from these.
    pub(super) columns: Vec<String>,
    /// What tells its rows apart. Nothing, where columns have taken all three names of its rowid.
    pub(super) key: Vec<KeyPart>,
    /// Whether the key is a rowid that is none of the columns.
    pub(super) hidden_key: bool,
    pub(super) without_rowid: bool,
    /// For each way in which REPLACE can push a row out, the condition that it is [`ROW`] for a
    /// row `NEW`.
    pub(super) pushed_out: Vec<String>,
}

/// A column of the key.
#[derive(Clone, Debug)]
pub(super) struct KeyPart {
    pub(super) name: String,
    /// By which its values are the same or not, where that is not said by the column.
    pub(super) collation: String,
}

/// A column as `PRAGMA table_xinfo` tells it: <https://sqlite.org/pragma.html#pragma_table_xinfo>.
struct Column {
    name: String,
    generated: bool,
    in_key: bool,
    /// What takes the place of NULL where that is not allowed and conflicts are replaced:
    /// <https://sqlite.org/lang_conflict.html>.
    stand_in: Option<String>,
}

/// A unique index: the columns or expressions that it is over, and for which rows.
struct Unique {
    name: String,
    is_key: bool,
    partial: bool,
}

/// A term of an index; an expression has no column.
struct Term {
    column: Option<String>,
    collation: String,
}

impl Shape {
    /// The table as it is now. `None` where there is none of that name.
    pub(super) fn of(conn: &Connection, name: &str) -> rusqlite::Result<Option<Self>> {
        let Some(without_rowid) = conn
            .query_row(
                "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?1
                 AND type = 'table'",
                [name],
                |row| row.get(0),
            )
            .optional()?
        else {
            return Ok(None);
        };
        let columns = columns(conn, name)?;
        let indexes = unique_indexes(conn, name)?;
        let mut shape = Shape {
            name: name.to_owned(),
            columns: columns.iter().filter(|c| !c.generated).map(|c| c.name.clone()).collect(),
            key: Vec::new(),
            hidden_key: false,
            without_rowid,
            pushed_out: Vec::new(),
        };
        if without_rowid {
            for index in indexes.iter().filter(|index| index.is_key) {
                shape.key.extend(terms(conn, &index.name)?.into_iter().filter_map(|term| {
                    Some(KeyPart { name: term.column?, collation: term.collation })
                }));
            }
        } else {
            shape.find_rowid(&columns, &indexes);
        }
        if let Some(rowid) = shape.key.first().filter(|_| !without_rowid) {
            let rowid = quoted(&rowid.name);
            shape.pushed_out.push(format!("{ROW}.{rowid} = NEW.{rowid}"));
        }
        for index in &indexes {
            shape.pushed_out.push(condition(conn, index, &columns)?);
        }
        Ok(Some(shape))
    }

    /// The column that is the rowid, or else whichever of its names is no column's:
    /// <https://sqlite.org/lang_createtable.html#rowid>.
    fn find_rowid(&mut self, columns: &[Column], indexes: &[Unique]) {
        let mut key = columns.iter().filter(|column| column.in_key);
        let alias = match (key.next(), key.next()) {
            // A primary key that is not the rowid has an index of its own.
            (Some(column), None) if !indexes.iter().any(|index| index.is_key) => {
                Some(column.name.clone())
            }
            _ => None,
        };
        self.hidden_key = alias.is_none();
        let free = |name: &&str| !columns.iter().any(|c| c.name.eq_ignore_ascii_case(name));
        let name = alias.or_else(|| {
            let mut names = ["rowid", "_rowid_", "oid"].into_iter();
            names.find(free).map(str::to_owned)
        });
        let collation = "BINARY".to_owned();
        self.key.extend(name.map(|name| KeyPart { name, collation }));
    }

    /// What must be the same for a record to fit: one line, to be compared as it stands.
    pub(super) fn signature(&self) -> String {
        let names = |names: &mut dyn Iterator<Item = &String>| {
            names.map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
        };
        let key = names(&mut self.key.iter().map(|part| &part.name));
        format!("{} ({}) by {key}", quoted(&self.name), names(&mut self.columns.iter()))
    }

    /// The stored columns of the row with a key.
    pub(super) fn select_row(&self) -> String {
        let columns = self.columns_of("").join(", ");
        format!("SELECT {columns} FROM {} WHERE {}", self.table(), self.has_key())
    }

    pub(super) fn delete_row(&self) -> String {
        format!("DELETE FROM {} WHERE {}", self.table(), self.has_key())
    }

    /// A constraint that says `ON CONFLICT REPLACE` of itself must not push anything out.
    pub(super) fn insert_row(&self) -> String {
        let mut columns = if self.hidden_key { self.key_of("") } else { Vec::new() };
        columns.extend(self.columns_of(""));
        let values: Vec<String> = (1..=columns.len()).map(|at| format!("?{at}")).collect();
        format!(
            "INSERT OR ABORT INTO {} ({}) VALUES ({})",
            self.table(),
            columns.join(", "),
            values.join(", ")
        )
    }

    /// That [`ROW`] has the key of `of`, such as `NEW.`.
    pub(super) fn same_key(&self, of: &str) -> String {
        let parts = self.key.iter().map(|part| {
            let (name, collation) = (quoted(&part.name), quoted(&part.collation));
            format!("{ROW}.{name} COLLATE {collation} = {of}{name}")
        });
        parts.collect::<Vec<_>>().join(" AND ")
    }

    fn has_key(&self) -> String {
        let parts = self.key.iter().enumerate().map(|(at, part)| {
            let (name, collation) = (quoted(&part.name), quoted(&part.collation));
            let collate =
                if self.without_rowid { format!(" COLLATE {collation}") } else { String::new() };
            format!("{name}{collate} = ?{}", at + 1)
        });
        parts.collect::<Vec<_>>().join(" AND ")
    }

    pub(super) fn table(&self) -> String {
        format!("main.{}", quoted(&self.name))
    }

    /// The key's columns and then the stored ones, each after `of`, such as `NEW.`.
    pub(super) fn key_of(&self, of: &str) -> Vec<String> {
        self.key.iter().map(|part| format!("{of}{}", quoted(&part.name))).collect()
    }

    pub(super) fn columns_of(&self, of: &str) -> Vec<String> {
        self.columns.iter().map(|name| format!("{of}{}", quoted(name))).collect()
    }
}

/// The tables of `main` that are `table`, `virtual` or, of a virtual one, `shadow`:
/// <https://sqlite.org/pragma.html#pragma_table_list>.
pub(super) fn tables(conn: &Connection, kind: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = conn.prepare(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = ?1
           AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
    )?;
    let rows = statement.query_map([kind], |row| row.get(0))?;
    rows.collect()
}

fn columns(conn: &Connection, table: &str) -> rusqlite::Result<Vec<Column>> {
    let mut statement = conn.prepare(
        "SELECT name, hidden, pk, \"notnull\", dflt_value FROM pragma_table_xinfo(?1, 'main')",
    )?;
    let rows = statement.query_map([table], |row| {
        let (hidden, key): (i64, i64) = (row.get(1)?, row.get(2)?);
        let not_null: bool = row.get(3)?;
        let default: Option<String> = row.get(4)?;
        Ok(Column {
            name: row.get(0)?,
            generated: hidden == 2 || hidden == 3,
            in_key: key > 0,
            stand_in: default.filter(|_| not_null).map(|text| literal(&text)),
        })
    })?;
    rows.collect()
}

/// A default as an expression: a bare word is a string there.
fn literal(default: &str) -> String {
    const CONSTANTS: [&str; 6] =
        ["NULL", "TRUE", "FALSE", "CURRENT_TIME", "CURRENT_DATE", "CURRENT_TIMESTAMP"];
    let words = significant(default);
    match words.as_slice() {
        [word] if matches!(word.kind, Kind::Word | Kind::Quoted) => {
            let text = word.text(default);
            if CONSTANTS.iter().any(|constant| text.eq_ignore_ascii_case(constant)) {
                text.to_owned()
            } else {
                format!("'{}'", unquoted(text).replace('\'', "''"))
            }
        }
        _ => format!("({default})"),
    }
}

fn unique_indexes(conn: &Connection, table: &str) -> rusqlite::Result<Vec<Unique>> {
    let mut statement = conn.prepare(
        "SELECT name, origin = 'pk', partial FROM pragma_index_list(?1, 'main')
         WHERE \"unique\" ORDER BY seq",
    )?;
    let rows = statement.query_map([table], |row| {
        Ok(Unique { name: row.get(0)?, is_key: row.get(1)?, partial: row.get(2)? })
    })?;
    rows.collect()
}

/// The terms that an index is unique by: <https://sqlite.org/pragma.html#pragma_index_xinfo>.
fn terms(conn: &Connection, index: &str) -> rusqlite::Result<Vec<Term>> {
    let mut statement = conn.prepare(
        "SELECT name, coll FROM pragma_index_xinfo(?1, 'main') WHERE key ORDER BY seqno",
    )?;
    let rows = statement
        .query_map([index], |row| Ok(Term { column: row.get(0)?, collation: row.get(1)? }))?;
    rows.collect()
}

/// That [`ROW`] is in the way of `NEW` by this index.
fn condition(conn: &Connection, index: &Unique, columns: &[Column]) -> rusqlite::Result<String> {
    let sql: Option<String> = conn
        .query_row(
            "SELECT sql FROM main.sqlite_master WHERE type = 'index' AND name = ?1",
            [&index.name],
            |row| row.get(0),
        )
        .optional()?
        .flatten();
    let definition = sql.as_deref().map(Definition::read).unwrap_or_default();
    let mut parts = Vec::new();
    for (at, term) in terms(conn, &index.name)?.iter().enumerate() {
        parts.push(match &term.column {
            Some(name) => {
                let column = quoted(name);
                let same = columns.iter().find(|column| column.name == *name);
                let new = match same.and_then(|column| column.stand_in.as_ref()) {
                    Some(stand_in) => format!("coalesce(NEW.{column}, {stand_in})"),
                    None => format!("NEW.{column}"),
                };
                format!("{ROW}.{column} COLLATE {} = {new}", quoted(&term.collation))
            }
            None => {
                let text = definition.terms.get(at).copied().unwrap_or("NULL");
                let collation = quoted(&term.collation);
                format!("({text}) COLLATE {collation} = ({})", of_new(text, columns))
            }
        });
    }
    if let (true, Some(only)) = (index.partial, definition.only) {
        parts.push(format!("({only})"));
    }
    Ok(format!("({})", parts.join(" AND ")))
}

/// What a `CREATE INDEX` says in its parentheses and after its `WHERE`.
#[derive(Default)]
struct Definition<'a> {
    terms: Vec<&'a str>,
    only: Option<&'a str>,
}

impl<'a> Definition<'a> {
    fn read(sql: &'a str) -> Self {
        let mut definition = Definition::default();
        let mut depth = 0usize;
        let mut from = None;
        let mut last = 0;
        let mut tokens = significant(sql).into_iter();
        for token in tokens.by_ref() {
            let text = token.text(sql);
            let ends = matches!((text, depth), (")" | ",", 1));
            match text {
                "(" => depth += 1,
                ")" => depth = depth.saturating_sub(1),
                _ => {}
            }
            if let (true, Some(from)) = (ends, from) {
                definition.terms.push(without_order(sql.get(from..last).unwrap_or_default()));
            }
            match text {
                "(" if depth == 1 => from = Some(token.end),
                "," if depth == 1 => from = Some(token.end),
                ")" if depth == 0 => break,
                _ => {}
            }
            last = token.end;
        }
        if tokens.next().is_some_and(|token| token.text(sql).eq_ignore_ascii_case("WHERE")) {
            definition.only = tokens.next().and_then(|token| sql.get(token.start..));
        }
        definition
    }
}

/// A term without `ASC` or `DESC` at its end.
fn without_order(term: &str) -> &str {
    let last = significant(term).into_iter().next_back();
    let order = last.filter(|token| {
        let text = token.text(term);
        token.kind == Kind::Word
            && (text.eq_ignore_ascii_case("ASC") || text.eq_ignore_ascii_case("DESC"))
    });
    order.and_then(|token| term.get(..token.start)).unwrap_or(term).trim()
}

/// An expression over a row's columns as one over those of `NEW`.
fn of_new(expression: &str, columns: &[Column]) -> String {
    let words = significant(expression);
    let mut out = String::new();
    let mut copied = 0;
    for (at, token) in words.iter().enumerate() {
        let text = token.text(expression);
        let is = |at: Option<usize>, wanted: &[&str]| {
            let word = at.and_then(|at| words.get(at)).map(|token| token.text(expression));
            word.is_some_and(|word| wanted.iter().any(|w| word.eq_ignore_ascii_case(w)))
        };
        // `f(…)`, `CAST(… AS text)` and `COLLATE name` name no column.
        let names_other = is(Some(at + 1), &["("]) || is(at.checked_sub(1), &["AS", "COLLATE"]);
        if !matches!(token.kind, Kind::Word | Kind::Quoted) || names_other {
            continue;
        }
        let name = unquoted(text);
        if columns.iter().any(|column| column.name.eq_ignore_ascii_case(&name)) {
            out.push_str(expression.get(copied..token.start).unwrap_or_default());
            out.push_str(&format!("NEW.{}", quoted(&name)));
            copied = token.end;
        }
    }
    out.push_str(expression.get(copied..).unwrap_or_default());
    out
}

fn significant(text: &str) -> Vec<Token> {
    tokens(text).filter(|token| token.is_significant()).collect()
}
