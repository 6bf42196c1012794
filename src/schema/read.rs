//! Reads a schema: what SQLite's pragmas tell, and of the text only the rest.

use std::collections::{BTreeMap, HashMap, HashSet};

use rusqlite::Connection;

use super::definition::{self, Definition};
use super::passed_over;
use super::phrase::{Names, Phrase, significant};
use super::table::{
    Body, Check, Collation, Column, ForeignKey, Generated, Index, KeyColumn, PrimaryKey, Rows,
    Table, Term, Trigger, Unique, View,
};
use super::{Objects, Snapshot, folded};
use crate::sql::action::Reader;
use crate::sql::token::Kind;

/// A row of `sqlite_schema`.
struct Entry {
    kind: String,
    name: String,
    table: String,
    sql: String,
}

/// What pragmas say of an index.
struct IndexFacts {
    name: String,
    unique: bool,
    /// `c` for one of its own, `u` and `pk` for constraints.
    origin: String,
    keys: Vec<Key>,
}

struct Key {
    /// None: an expression.
    name: Option<String>,
    descending: bool,
    collation: Collation,
}

/// What pragmas say of a table's column.
struct ColumnFacts {
    name: String,
    declared: String,
    not_null: bool,
    default: Option<String>,
    primary: i64,
    hidden: i64,
}

/// The table that a table's rows are asked of; views and virtual tables, whose modules may be
/// missing, are not asked.
const HOLDS_ROWS: &str = "m.type = 'table' AND m.rootpage > 0";

/// Only `main`, in one read transaction where there is none.
pub(super) fn read(conn: &Connection) -> rusqlite::Result<Snapshot> {
    let _reading = if conn.is_autocommit() { Some(conn.unchecked_transaction()?) } else { None };
    let entries = entries(conn)?;
    let mut columns = columns(conn)?;
    let mut indexes = indexes(conn)?;
    let mut keys = foreign_keys(conn)?;

    let mut names: HashSet<String> = entries.iter().map(|entry| folded(&entry.name)).collect();
    let of_columns = columns.values().flatten().map(|column| folded(&column.name));
    names.extend(of_columns);
    names.extend(["new", "old", "excluded", "rowid", "oid", "_rowid_"].map(str::to_owned));
    let names = |name: &str| names.contains(name);

    let mut objects = Objects::default();
    for entry in entries {
        let Entry { kind, name, table, sql } = entry;
        let key = folded(&name);
        match kind.as_str() {
            "table" => {
                let body = match columns.remove(&name) {
                    Some(columns) => {
                        let indexes = indexes.remove(&name).unwrap_or_default();
                        let keys = keys.remove(&name).unwrap_or_default();
                        let of_table = OfTable { sql: &sql, columns, keys };
                        Body::Rows(Box::new(of_table.rows(&name, indexes, &mut objects)))
                    }
                    None => virtual_table(&sql),
                };
                objects.tables.insert(key, Table { name, body });
            }
            // Of what is below a table, the text is read when the table's columns are known.
            "index" => drop(objects.index_texts.insert(key, sql)),
            "view" => {
                let body = Phrase::of(&sql, &definition::after_name(&sql), &names);
                objects.views.insert(key, View { name, body });
            }
            "trigger" => {
                objects.triggers.insert(key, trigger(name, table, &sql, &names));
            }
            _ => {}
        }
    }
    objects.read_index_texts();
    resolve_parents(&mut objects.tables);
    passed_over::forget(conn, &mut objects)?;
    Ok(Snapshot { objects })
}

fn entries(conn: &Connection) -> rusqlite::Result<Vec<Entry>> {
    let mut statement = conn.prepare(
        "SELECT type, name, tbl_name, sql FROM main.sqlite_master
         WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(Entry { kind: row.get(0)?, name: row.get(1)?, table: row.get(2)?, sql: row.get(3)? })
    })?;
    rows.collect()
}

/// Of every table, in its order.
fn columns(conn: &Connection) -> rusqlite::Result<HashMap<String, Vec<ColumnFacts>>> {
    let mut statement = conn.prepare(&format!(
        "SELECT m.name, x.name, x.type, x.\"notnull\", x.dflt_value, x.pk, x.hidden
         FROM main.sqlite_master m, pragma_table_xinfo(m.name, 'main') x WHERE {HOLDS_ROWS}"
    ))?;
    let mut rows = statement.query([])?;
    let mut columns: HashMap<String, Vec<ColumnFacts>> = HashMap::new();
    while let Some(row) = rows.next()? {
        columns.entry(row.get(0)?).or_default().push(ColumnFacts {
            name: row.get(1)?,
            declared: row.get(2)?,
            not_null: row.get(3)?,
            default: row.get(4)?,
            primary: row.get(5)?,
            hidden: row.get(6)?,
        });
    }
    Ok(columns)
}

fn indexes(conn: &Connection) -> rusqlite::Result<HashMap<String, Vec<IndexFacts>>> {
    let mut statement = conn.prepare(&format!(
        "SELECT m.name, i.name, i.\"unique\", i.origin, x.name, x.\"desc\", x.coll
         FROM main.sqlite_master m, pragma_index_list(m.name, 'main') i,
              pragma_index_xinfo(i.name, 'main') x
         WHERE {HOLDS_ROWS} AND x.key"
    ))?;
    let mut rows = statement.query([])?;
    let mut indexes: HashMap<String, Vec<IndexFacts>> = HashMap::new();
    while let Some(row) = rows.next()? {
        let of_table = indexes.entry(row.get(0)?).or_default();
        let name: String = row.get(1)?;
        let key = Key {
            name: row.get(4)?,
            descending: row.get(5)?,
            collation: Collation::named(&row.get::<_, Option<String>>(6)?.unwrap_or_default()),
        };
        match of_table.last_mut() {
            Some(last) if last.name == name => last.keys.push(key),
            _ => of_table.push(IndexFacts {
                name,
                unique: row.get(2)?,
                origin: row.get(3)?,
                keys: vec![key],
            }),
        }
    }
    Ok(indexes)
}

/// Of every table, in the order of its text, which is the reverse of the pragma's.
fn foreign_keys(conn: &Connection) -> rusqlite::Result<HashMap<String, Vec<ForeignKey>>> {
    let mut statement = conn.prepare(&format!(
        "SELECT m.name, k.id, k.\"table\", k.\"from\", k.\"to\", k.on_update, k.on_delete
         FROM main.sqlite_master m, pragma_foreign_key_list(m.name, 'main') k
         WHERE {HOLDS_ROWS} ORDER BY m.name, k.id DESC, k.seq"
    ))?;
    let mut rows = statement.query([])?;
    let mut keys: HashMap<String, Vec<ForeignKey>> = HashMap::new();
    let mut last = None;
    while let Some(row) = rows.next()? {
        let table: String = row.get(0)?;
        let id: i64 = row.get(1)?;
        let from: String = row.get(3)?;
        let to: Option<String> = row.get(4)?;
        let this = Some((table.clone(), id));
        let of_table = keys.entry(table).or_default();
        if last == this
            && let Some(key) = of_table.last_mut()
        {
            key.from.push(from);
            key.to.extend(to);
        } else {
            of_table.push(ForeignKey {
                from: vec![from],
                parent: row.get(2)?,
                to: to.into_iter().collect(),
                on_update: row.get(5)?,
                on_delete: row.get(6)?,
                deferred: false,
            });
        }
        last = this;
    }
    Ok(keys)
}

/// What is known of a table before its parts are put together.
struct OfTable<'a> {
    sql: &'a str,
    columns: Vec<ColumnFacts>,
    keys: Vec<ForeignKey>,
}

impl OfTable<'_> {
    fn rows(self, name: &str, indexes: Vec<IndexFacts>, objects: &mut Objects) -> Rows {
        let sql = self.sql;
        let text = definition::table(sql);
        let known: HashSet<String> =
            self.columns.iter().map(|column| folded(&column.name)).collect();
        let names = |name: &str| known.contains(name);
        let mut rows = Rows {
            strict: text.strict,
            without_rowid: text.without_rowid,
            rest: Phrase::of(sql, &text.rest, &names),
            ..Rows::default()
        };
        let mut primary: Vec<(i64, KeyColumn)> = Vec::new();
        for (at, facts) in self.columns.into_iter().enumerate() {
            let collation = text.columns.get(at).and_then(|column| column.collation.as_deref());
            if facts.primary > 0 {
                primary.push((
                    facts.primary,
                    KeyColumn {
                        name: facts.name.clone(),
                        collation: collation.map(Collation::named).unwrap_or_default(),
                        descending: false,
                    },
                ));
            }
            rows.columns.push(column(sql, facts, &text, at, &names));
        }
        primary.sort_by_key(|(place, _)| *place);
        let mut primary: Vec<KeyColumn> = primary.into_iter().map(|(_, key)| key).collect();
        let mut is_rowid = !rows.without_rowid;
        for index in indexes {
            let keys = || {
                let keys = index.keys.iter().filter_map(|key| {
                    Some(KeyColumn {
                        name: key.name.clone()?,
                        collation: key.collation.clone(),
                        descending: key.descending,
                    })
                });
                keys.collect::<Vec<_>>()
            };
            match index.origin.as_str() {
                "pk" => (primary, is_rowid) = (keys(), false),
                "u" => {
                    let columns = keys();
                    let names: Vec<String> = columns.iter().map(|key| folded(&key.name)).collect();
                    let mut conflicts = text.unique_conflicts.iter();
                    let conflict = conflicts.find(|(columns, _)| *columns == names);
                    let conflict = conflict.map(|(_, conflict)| conflict.clone());
                    rows.uniques.push(Unique { columns, conflict });
                }
                _ => objects.index(name, index),
            }
        }
        if !primary.is_empty() {
            rows.primary_key = Some(PrimaryKey {
                columns: primary,
                is_rowid,
                autoincrement: text.autoincrement,
                conflict: text.primary_conflict,
            });
        }
        rows.foreign_keys = self.keys;
        for (key, deferred) in rows.foreign_keys.iter_mut().zip(text.deferred) {
            key.deferred = deferred;
        }
        let checks = text.checks.into_iter().map(|check| Check {
            name: check.name,
            expression: Phrase::expression(sql, &check.expression, &names),
            of_column: check.of_column.and_then(|at| Some(folded(&rows.columns.get(at)?.name))),
        });
        rows.checks = checks.collect();
        rows
    }
}

fn column(sql: &str, facts: ColumnFacts, text: &Definition, at: usize, names: Names<'_>) -> Column {
    let said = text.columns.get(at).filter(|said| said.name.eq_ignore_ascii_case(&facts.name));
    let generated = said.and_then(|said| said.generated.as_ref()).map(|tokens| Generated {
        expression: Phrase::expression(sql, tokens, names),
        stored: facts.hidden == 3,
    });
    let conflict = said.and_then(|said| said.not_null_conflict.clone());
    // Releases differ in whether they tell it in the case that it was written in.
    let declared = facts.declared.to_ascii_uppercase();
    Column {
        declared: Phrase::of(&declared, &significant(&declared), &|_| true),
        not_null: facts.not_null.then_some(conflict),
        default: facts.default.as_deref().and_then(|text| default(text, names)),
        generated,
        collation: said
            .and_then(|said| said.collation.as_deref())
            .map(Collation::named)
            .unwrap_or_default(),
        name: facts.name,
    }
}

/// A bare name is a string: <https://sqlite.org/lang_createtable.html#the_default_clause>.
fn default(text: &str, names: Names<'_>) -> Option<Phrase> {
    let tokens = significant(text);
    let phrase = Phrase::expression(text, &tokens, names);
    if phrase.is("null") {
        return None;
    }
    if let [token] = tokens.as_slice() {
        let said = token.text(text);
        let is_name = match token.kind {
            Kind::Word => !crate::sql::keyword::needs_quotes(&said.to_ascii_lowercase()),
            Kind::Quoted => true,
            _ => false,
        };
        if is_name {
            return Some(Phrase::literal(&crate::sql::token::unquoted(said)));
        }
    }
    Some(phrase)
}

pub(super) fn virtual_table(sql: &str) -> Body {
    let tokens = definition::after_name(sql);
    let mut r = Reader { text: sql, tokens: &tokens };
    r.skip("USING");
    let module = r.identifier().unwrap_or_default().to_ascii_lowercase();
    Body::Virtual { module, arguments: Phrase::verbatim(sql, r.tokens) }
}

fn trigger(name: String, table: String, sql: &str, names: Names<'_>) -> Trigger {
    let mut tokens = definition::after_name(sql);
    let mut r = Reader { text: sql, tokens: &tokens };
    let timing = if r.skip("AFTER") {
        "AFTER"
    } else if r.skip("INSTEAD") {
        r.skip("OF");
        "INSTEAD OF"
    } else {
        r.skip("BEFORE");
        "BEFORE"
    };
    let from = tokens.len() - r.tokens.len();
    tokens.drain(..from);
    let said = |at: usize, word: &str| {
        tokens.get(at).is_some_and(|token| token.text(sql).eq_ignore_ascii_case(word))
    };
    let each = (0..tokens.len()).find(|&at| said(at, "FOR") && said(at + 1, "EACH"));
    let begins = (0..tokens.len()).find(|&at| said(at, "BEGIN"));
    if let Some(each) = each.filter(|each| Some(*each) < begins) {
        tokens.drain(each..(each + 3).min(tokens.len()));
    }
    Trigger { name, table, timing, body: Phrase::of(sql, &tokens, names) }
}

impl Objects {
    /// Keeps what pragmas say of an index; expressions come from its text.
    fn index(&mut self, table: &str, facts: IndexFacts) {
        let terms = facts.keys.into_iter().map(|key| Term {
            is_column: key.name.is_some(),
            what: key.name.map(|name| name_phrase(&name)).unwrap_or_default(),
            collation: key.collation,
            descending: key.descending,
        });
        let index = Index {
            table: table.to_owned(),
            unique: facts.unique,
            terms: terms.collect(),
            filter: Phrase::default(),
            name: facts.name,
        };
        self.indexes.insert(folded(&index.name), index);
    }

    fn read_index_texts(&mut self) {
        for (name, sql) in std::mem::take(&mut self.index_texts) {
            let Some(index) = self.indexes.get_mut(&name) else { continue };
            let rows = self.tables.get(&folded(&index.table)).and_then(Table::rows);
            let names = |name: &str| rows.is_some_and(|rows| rows.column(name).is_some());
            let text = definition::index(&sql);
            for (term, tokens) in index.terms.iter_mut().zip(&text.terms) {
                if !term.is_column {
                    term.what = Phrase::expression(&sql, tokens, &names);
                }
            }
            index.filter = Phrase::expression(&sql, &text.filter, &names);
        }
    }
}

fn name_phrase(name: &str) -> Phrase {
    let quoted = crate::sql::quoted(name);
    Phrase::of(&quoted, &significant(&quoted), &|_| true)
}

/// A key that names no columns refers to the parent's primary key:
/// <https://sqlite.org/foreignkeys.html#fk_indexes>.
fn resolve_parents(tables: &mut BTreeMap<String, Table>) {
    let primary: HashMap<String, Vec<String>> = tables
        .iter()
        .filter_map(|(name, table)| {
            let key = table.rows()?.primary_key.as_ref()?;
            let columns = key.columns.iter().map(|column| column.name.clone());
            Some((name.clone(), columns.collect()))
        })
        .collect();
    for table in tables.values_mut() {
        let Body::Rows(rows) = &mut table.body else { continue };
        for key in rows.foreign_keys.iter_mut().filter(|key| key.to.is_empty()) {
            key.to = primary.get(&folded(&key.parent)).cloned().unwrap_or_default();
        }
    }
}
