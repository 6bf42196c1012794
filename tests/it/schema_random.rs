//! Random schemas: made in one way and in another they are the same, and every change is found.

use landfall::rusqlite::Connection;
use landfall::schema::{Kind, Snapshot, diff};
use proptest::prelude::*;

use crate::support::memory;

/// Numbers that follow from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len())]
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.roll(100) < percent
    }
}

#[derive(Clone, Debug)]
struct Column {
    name: String,
    kind: &'static str,
    not_null: bool,
    default: &'static str,
    collate: &'static str,
    check: bool,
    unique: bool,
    /// The table that it refers to, and how.
    refers: Option<(usize, &'static str)>,
}

#[derive(Clone, Debug)]
struct Table {
    name: String,
    columns: Vec<Column>,
    primary: Vec<usize>,
    pair_check: bool,
    without_rowid: bool,
    /// By which column, descending, with a filter.
    index: Option<(usize, bool, bool, bool)>,
    trigger: Option<(usize, &'static str)>,
    view: Option<(usize, &'static str)>,
}

const NAMES: [&str; 14] = [
    "a", "Name", "order", "group by", "it's", "x\"y", "ä", "select", "b2", "_c", "key", "[d]",
    "1st", "value",
];

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A schema, by the dice.
fn model(dice: &mut Dice) -> Vec<Table> {
    let mut tables = Vec::new();
    for at in 0..1 + dice.roll(3) {
        let mut columns: Vec<Column> = Vec::new();
        for n in 0..2 + dice.roll(4) {
            let mut name = dice.one(&NAMES).to_owned();
            if columns.iter().any(|column| column.name == name) {
                name = format!("c{n}");
            }
            let default = dice.one(&[
                "",
                "",
                "'Text'",
                "5",
                "-1.5",
                "CURRENT_TIMESTAMP",
                "x'0A'",
                "TRUE",
                "(1 + 2)",
            ]);
            columns.push(Column {
                name,
                kind: dice.one(&["", "TEXT", "INTEGER", "INT", "VARCHAR(10)", "DOUBLE PRECISION"]),
                not_null: dice.chance(30),
                default,
                collate: dice.one(&["", "", "NOCASE", "RTRIM"]),
                check: dice.chance(25),
                unique: dice.chance(15),
                refers: dice.chance(25).then(|| {
                    (
                        dice.roll(at + 1),
                        dice.one(&[
                            "",
                            " ON DELETE CASCADE",
                            " ON UPDATE SET NULL DEFERRABLE INITIALLY DEFERRED",
                        ]),
                    )
                }),
            });
        }
        let count = columns.len();
        let primary = match dice.roll(4) {
            0 => vec![],
            1 => vec![0],
            2 => vec![dice.roll(count)],
            _ => vec![1, 0],
        };
        tables.push(Table {
            name: format!("{}{at}", dice.one(&["t", "Order ", "x\"", "ä"])),
            without_rowid: !primary.is_empty() && dice.chance(30),
            primary,
            pair_check: dice.chance(30),
            index: dice
                .chance(60)
                .then(|| (dice.roll(count), dice.chance(50), dice.chance(30), dice.chance(30))),
            trigger: dice
                .chance(40)
                .then(|| (dice.roll(count), dice.one(&["'Text'", "5", "NULL"]))),
            view: dice.chance(40).then(|| (dice.roll(count), dice.one(&["'Text'", "5"]))),
            columns,
        });
    }
    tables
}

/// How things are written: quotes, case, white space, comments.
struct Hand<'d> {
    dice: &'d mut Dice,
    wild: bool,
}

impl Hand<'_> {
    fn name(&mut self, name: &str) -> String {
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && !["order", "select", "key"].contains(&name);
        if !self.wild {
            return quoted(name);
        }
        match self.dice.roll(4) {
            0 if plain => name.to_owned(),
            1 if plain => name.to_ascii_uppercase(),
            2 if !name.contains(']') => format!("[{name}]"),
            3 => format!("`{name}`"),
            _ => quoted(name),
        }
    }

    /// A keyword or several.
    fn word(&mut self, word: &str) -> String {
        if !self.wild {
            return format!(" {word} ");
        }
        let space = self.dice.one(&[" ", "\n", "\t ", " /* ; ' */ ", " -- \"x\n"]);
        let word = if self.dice.chance(50) { word.to_ascii_lowercase() } else { word.to_owned() };
        format!("{space}{word}{space}")
    }

    fn column(&mut self, tables: &[Table], column: &Column) -> String {
        let mut text = self.name(&column.name);
        text.push_str(&self.word(column.kind));
        let mut parts = Vec::new();
        if column.not_null {
            parts.push(self.word("NOT NULL"));
        }
        if !column.default.is_empty() {
            let default = column.default;
            let bare = self.wild && self.dice.chance(50) && !default.starts_with('(');
            parts.push(match bare && default != "CURRENT_TIMESTAMP" && default != "TRUE" {
                true => format!("{}({default})", self.word("DEFAULT")),
                false => format!("{}{default} ", self.word("DEFAULT")),
            });
        }
        if !column.collate.is_empty() {
            parts.push(format!("{}{}", self.word("COLLATE"), self.word(column.collate)));
        }
        if column.check {
            let name = self.name(&column.name);
            let wrapped = if self.wild && self.dice.chance(50) { ("((", "))") } else { ("(", ")") };
            parts.push(format!(
                "{}{}{name}{}'Text'{}",
                self.word("CHECK"),
                wrapped.0,
                self.word("IS NOT"),
                wrapped.1
            ));
        }
        if column.unique {
            parts.push(self.word("UNIQUE"));
        }
        if let Some((parent, actions)) = column.refers {
            let parent = &tables[parent];
            let (name, to) = (self.name(&parent.name), self.name(&parent.columns[0].name));
            parts.push(format!("{}{name}({to}){}", self.word("REFERENCES"), self.word(actions)));
        }
        // A deferral belongs to the key before it; nothing else minds its place.
        if self.wild {
            for at in (1..parts.len()).rev() {
                let other = self.dice.roll(at + 1);
                parts.swap(at, other);
            }
        }
        text + &parts.concat()
    }

    fn table(&mut self, tables: &[Table], table: &Table) -> String {
        let name = self.name(&table.name);
        let mut items: Vec<String> =
            table.columns.iter().map(|column| self.column(tables, column)).collect();
        if !table.primary.is_empty() {
            let names: Vec<String> =
                table.primary.iter().map(|at| self.name(&table.columns[*at].name)).collect();
            items.push(format!("{}({})", self.word("PRIMARY KEY"), names.join(",")));
        }
        if table.pair_check {
            let (a, b) = (self.name(&table.columns[0].name), self.name(&table.columns[1].name));
            let unlike = if self.wild { self.dice.one(&["<>", "!="]) } else { "<>" };
            items.push(format!("{}({a}{unlike}{b})", self.word("CHECK")));
        }
        let tail = if table.without_rowid { self.word("WITHOUT ROWID") } else { String::new() };
        format!("{}{name}({}){tail}", self.word("CREATE TABLE"), items.join(","))
    }

    /// What hangs on a table.
    fn others(&mut self, table: &Table, at: usize) -> Vec<String> {
        let name = self.name(&table.name);
        let mut all = Vec::new();
        if let Some((column, descending, expression, filter)) = table.index {
            let column = self.name(&table.columns[column].name);
            let term = if expression { format!("lower({column})") } else { column.clone() };
            let order = if descending { self.word("DESC") } else { String::new() };
            let filter = if filter {
                format!("{}{column}='Text'", self.word("WHERE"))
            } else {
                String::new()
            };
            let index = self.name(&format!("index {at}"));
            all.push(format!(
                "{}{index}{}{name}({term}{order}){filter}",
                self.word("CREATE INDEX"),
                self.word("ON")
            ));
        }
        if let Some((column, value)) = table.trigger {
            let column = self.name(&table.columns[column].name);
            let trigger = self.name(&format!("trigger {at}"));
            let each = if self.wild && self.dice.chance(50) {
                self.word("FOR EACH ROW")
            } else {
                String::new()
            };
            all.push(format!(
                "{}{trigger}{}{name}{each}{}{}{name}{}{column}={value};{}",
                self.word("CREATE TRIGGER"),
                self.word("AFTER DELETE ON"),
                self.word("BEGIN"),
                self.word("UPDATE"),
                self.word("SET"),
                self.word("END"),
            ));
        }
        if let Some((column, value)) = table.view {
            let column = self.name(&table.columns[column].name);
            let view = self.name(&format!("view {at}"));
            all.push(format!(
                "{}{view}{}{name}.{column},{value}{}a{}{name}",
                self.word("CREATE VIEW"),
                self.word("AS SELECT"),
                self.word("AS"),
                self.word("FROM"),
            ));
        }
        all
    }
}

fn execute(conn: &Connection, sql: &str) {
    conn.execute_batch(sql).unwrap_or_else(|error| panic!("{error}\n{sql}"));
}

/// All at once, neatly.
fn straight(tables: &[Table]) -> Connection {
    let conn = memory();
    let mut dice = Dice(1);
    let mut hand = Hand { dice: &mut dice, wild: false };
    for (at, table) in tables.iter().enumerate() {
        execute(&conn, &hand.table(tables, table));
        hand.others(table, at).iter().for_each(|sql| execute(&conn, sql));
    }
    conn
}

/// Under other names first, with columns too few and too many, written in whatever hand, some
/// tables made twice.
fn winding(tables: &[Table], dice: &mut Dice) -> Connection {
    let conn = memory();
    execute(&conn, "PRAGMA foreign_keys = OFF");
    let mut early = tables.to_vec();
    let mut renames = Vec::new();
    let mut added: Vec<(usize, Column)> = Vec::new();
    let mut dropped = Vec::new();
    for (at, table) in early.iter_mut().enumerate() {
        if dice.chance(50) {
            let name = format!("old {at}");
            let (from, to) = (quoted(&name), quoted(&table.name));
            renames.push(format!("ALTER TABLE {from} RENAME TO {to}"));
            table.name = name;
        }
        for (n, column) in table.columns.iter_mut().enumerate() {
            if dice.chance(30) {
                let name = format!("was{n}");
                let (from, to) = (quoted(&name), quoted(&column.name));
                // By the name that the table has in the end: tables are renamed first.
                let table = quoted(&tables[at].name);
                renames.push(format!("ALTER TABLE {table} RENAME COLUMN {from} TO {to}"));
                column.name = name;
            }
        }
        // The last column comes later, where that can be.
        let last = table.columns.len() - 1;
        let used = |column: &Option<usize>| *column == Some(last);
        let column = &table.columns[last];
        let can = last >= 2
            && !column.unique
            && !table.primary.contains(&last)
            && column.default != "CURRENT_TIMESTAMP"
            && column.default != "(1 + 2)"
            && !(column.not_null && column.default.is_empty())
            && !used(&table.index.map(|(at, ..)| at))
            && !used(&table.trigger.map(|(at, _)| at))
            && !used(&table.view.map(|(at, _)| at));
        if can && dice.chance(50) {
            added.extend(table.columns.pop().map(|column| (at, column)));
        }
        if dice.chance(40) {
            let place = dice.roll(table.columns.len() + 1);
            let junk = Column {
                name: "junk".to_owned(),
                kind: "TEXT",
                not_null: false,
                default: "",
                collate: "",
                check: dice.chance(30),
                unique: false,
                refers: None,
            };
            table.columns.insert(place, junk);
            let shift = |at: &mut usize| *at += usize::from(*at >= place);
            table.primary.iter_mut().for_each(shift);
            table.index.iter_mut().for_each(|(at, ..)| shift(at));
            table.trigger.iter_mut().for_each(|(at, _)| shift(at));
            table.view.iter_mut().for_each(|(at, _)| shift(at));
            if !(table.pair_check && place < 2) && place > 0 {
                dropped.push(format!("ALTER TABLE {} DROP COLUMN junk", quoted(&table.name)));
            } else {
                // It would be a part of the CHECK, or what is referred to.
                table.columns.remove(place);
                let back = |at: &mut usize| *at -= usize::from(*at > place);
                table.primary.iter_mut().for_each(back);
                table.index.iter_mut().for_each(|(at, ..)| back(at));
                table.trigger.iter_mut().for_each(|(at, _)| back(at));
                table.view.iter_mut().for_each(|(at, _)| back(at));
            }
        }
    }
    let rebuilt: Vec<bool> = early.iter().map(|_| dice.chance(30)).collect();
    for (at, table) in early.iter().enumerate() {
        let mut hand = Hand { dice, wild: true };
        if rebuilt[at] {
            // Made, and made again in its place, with a key that others have to it.
            let draft = Table { name: format!("draft {at}"), ..table.clone() };
            execute(&conn, &format!("CREATE TABLE {}(x)", quoted(&table.name)));
            execute(&conn, &hand.table(&early, &draft));
            execute(&conn, &format!("DROP TABLE {}", quoted(&table.name)));
            execute(
                &conn,
                &format!("ALTER TABLE {} RENAME TO {}", quoted(&draft.name), quoted(&table.name)),
            );
        } else {
            execute(&conn, &hand.table(&early, table));
        }
        hand.others(table, at).iter().for_each(|sql| execute(&conn, sql));
    }
    dropped.iter().for_each(|sql| execute(&conn, sql));
    for (at, column) in &added {
        let mut hand = Hand { dice, wild: true };
        let sql = format!(
            "ALTER TABLE {} ADD {} NULL",
            quoted(&early[*at].name),
            hand.column(&early, column)
        );
        execute(&conn, &sql);
    }
    renames.sort_by_key(|sql| sql.contains(" RENAME COLUMN "));
    renames.iter().for_each(|sql| execute(&conn, sql));
    conn
}

/// Something else, and what kind of change that has to be.
fn mutate(tables: &mut Vec<Table>, dice: &mut Dice) -> Kind {
    let at = dice.roll(tables.len());
    let last = tables.len() - 1;
    let count = tables[at].columns.len();
    let column = dice.roll(count);
    let text = |is: &str| if is == "TEXT" { "INT" } else { "TEXT" };
    let refers = tables
        .iter()
        .any(|t| t.columns.iter().any(|c| matches!(c.refers, Some((p, _)) if p == last)));
    let table = &mut tables[at];
    let key = table.primary.contains(&column);
    match dice.roll(15) {
        0 if last > 0 && !refers => {
            tables.pop();
            return Kind::Table;
        }
        1 => {
            table.columns.push(Column {
                name: "more".into(),
                refers: None,
                unique: false,
                ..table.columns[0].clone()
            });
            return Kind::Column;
        }
        2 if !table.pair_check
            && table.primary.is_empty()
            && column > 0
            && table.index.is_none()
            && table.trigger.is_none()
            && table.view.is_none() =>
        {
            table.columns.remove(column);
            return Kind::Column;
        }
        3 => table.columns[column].kind = text(table.columns[column].kind),
        4 if !(key && table.without_rowid) => {
            let flag = &mut table.columns[column].not_null;
            *flag = !*flag;
            return Kind::NotNull;
        }
        5 => {
            let default = &mut table.columns[column].default;
            *default = if *default == "'Text'" { "'text'" } else { "'Text'" };
            return Kind::Default;
        }
        6 => {
            let collate = &mut table.columns[column].collate;
            *collate = if *collate == "NOCASE" { "RTRIM" } else { "NOCASE" };
            return Kind::Collation;
        }
        7 => {
            let flag = &mut table.columns[column].check;
            *flag = !*flag;
            return Kind::Check;
        }
        8 if !key || table.primary.len() > 1 => {
            let flag = &mut table.columns[column].unique;
            *flag = !*flag;
            return Kind::Unique;
        }
        9 => {
            let refers = &mut table.columns[column].refers;
            *refers = match refers {
                None => Some((at, "")),
                Some((parent, "")) => Some((*parent, " ON DELETE CASCADE")),
                Some(_) => None,
            };
            return Kind::ForeignKey;
        }
        10 if !table.without_rowid => {
            table.primary = if table.primary == [1, 0] { vec![0, 1] } else { vec![1, 0] };
            return Kind::PrimaryKey;
        }
        11 => {
            table.index = match table.index {
                Some((on, descending, e, f)) => Some((on, !descending, e, f)),
                None => Some((column, false, false, false)),
            };
            return Kind::Index;
        }
        12 => {
            table.trigger = match table.trigger {
                Some((on, "'Text'")) => Some((on, "'text'")),
                Some(_) => None,
                None => Some((column, "5")),
            };
            return Kind::Trigger;
        }
        13 => {
            table.view = match table.view {
                Some((on, "'Text'")) => Some((on, "'text'")),
                Some(_) => None,
                None => Some((column, "5")),
            };
            return Kind::View;
        }
        14 if column > 0
            && !table.pair_check
            && column + 1 < count
            && table.primary.is_empty()
            && table.index.is_none()
            && table.trigger.is_none()
            && table.view.is_none() =>
        {
            table.columns.swap(column, column + 1);
            return Kind::ColumnOrder;
        }
        _ => table.columns[column].kind = text(table.columns[column].kind),
    }
    Kind::Type
}

fn of(conn: &Connection) -> Snapshot {
    Snapshot::of(conn).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn made_in_another_way_it_is_the_same(seed in 1u64..) {
        let mut dice = Dice(seed);
        let tables = model(&mut dice);
        let (one, other) = (of(&straight(&tables)), of(&winding(&tables, &mut dice)));
        prop_assert_eq!(diff(&one, &other), [], "{}\n{}", one.to_sql(), other.to_sql());
        let again = memory();
        execute(&again, &other.to_sql());
        prop_assert_eq!(diff(&one, &of(&again)), []);
    }

    #[test]
    fn every_change_is_found_and_mended_where_it_can_be(seed in 1u64..) {
        let mut dice = Dice(seed);
        let tables = model(&mut dice);
        let mut other = tables.clone();
        let kind = mutate(&mut other, &mut dice);
        let conn = straight(&tables);
        let (one, other) = (of(&conn), of(&winding(&other, &mut dice)));
        let changes = diff(&one, &other);
        prop_assert!(changes.iter().any(|change| change.kind == kind), "{:?} {:#?}", kind, changes);
        prop_assert!(!diff(&other, &one).is_empty());
        if changes.iter().all(|change| !change.statements().is_empty()) {
            for change in &changes {
                change.statements().iter().for_each(|sql| execute(&conn, sql));
            }
            prop_assert_eq!(diff(&of(&conn), &other), []);
        }
    }
}
