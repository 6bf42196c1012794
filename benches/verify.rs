//! What `testing::verify` costs, and how that grows: `cargo bench --bench verify` prints a Markdown
//! table. With a number as its argument it verifies one set of that size, for a profiler.

use std::error::Error;
use std::time::Instant;

use landfall::testing::verify;
use landfall::{Migration, Migrator, Seed, Seeds};

/// Of five migrations one makes a table that refers to the one before, one adds a column, one an
/// index, one changes rows, and one rebuilds the table.
fn migration(n: usize) -> Migration {
    let table = n / 5;
    let (up, down) = match n % 5 {
        0 => {
            let parent = match table {
                0 => "INTEGER".to_owned(),
                _ => format!("INTEGER REFERENCES entity_{}(id) ON DELETE CASCADE", table - 1),
            };
            let up = format!(
                "CREATE TABLE entity_{table} (
                   id INTEGER PRIMARY KEY, parent_id {parent}, name TEXT NOT NULL UNIQUE,
                   kind TEXT NOT NULL DEFAULT 'plain' CHECK (kind IN ('plain', 'fine')),
                   made_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
                 )"
            );
            (up, format!("DROP TABLE entity_{table}"))
        }
        1 => (
            format!("ALTER TABLE entity_{table} ADD COLUMN rank INTEGER NOT NULL DEFAULT 0"),
            format!("ALTER TABLE entity_{table} DROP COLUMN rank"),
        ),
        2 => (
            format!("CREATE INDEX entity_{table}_by_kind ON entity_{table}(kind, rank)"),
            format!("DROP INDEX entity_{table}_by_kind"),
        ),
        3 => (
            format!("UPDATE entity_{table} SET rank = rank + 1"),
            format!("UPDATE entity_{table} SET rank = rank - 1"),
        ),
        _ => {
            let rebuild = |check: &str| {
                format!(
                    "CREATE TABLE entity_new (
                       id INTEGER PRIMARY KEY, parent_id INTEGER, name TEXT NOT NULL UNIQUE,
                       kind TEXT NOT NULL DEFAULT 'plain' CHECK (kind IN ('plain', 'fine')),
                       made_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
                       rank INTEGER NOT NULL DEFAULT 0{check}
                     );
                     INSERT INTO entity_new(id, parent_id, name, kind, made_at, rank)
                     SELECT id, parent_id, name, kind, made_at, rank FROM entity_{table};
                     DROP TABLE entity_{table};
                     ALTER TABLE entity_new RENAME TO entity_{table};
                     CREATE INDEX entity_{table}_by_kind ON entity_{table}(kind, rank)"
                )
            };
            let key = match table {
                0 => String::new(),
                _ => format!(
                    ", FOREIGN KEY (parent_id) REFERENCES entity_{}(id) ON DELETE CASCADE",
                    table - 1
                ),
            };
            (rebuild(&format!(" CHECK (rank >= 0){key}")), rebuild(&key))
        }
    };
    Migration::sql(n as i64 + 1, format!("step_{n}"), up).down(down)
}

fn migrator(size: usize) -> Migrator {
    let seed = Seed::new("entities", |tx| {
        tx.execute("INSERT OR IGNORE INTO entity_0(name) VALUES ('first'), ('second')", [])
            .map(drop)
    });
    let seeds = Seeds::new().add(seed.when_schema_at_least(4));
    Migrator::from_migrations((0..size).map(migration)).seeds(seeds)
}

fn main() -> Result<(), Box<dyn Error>> {
    let one = std::env::args().find_map(|argument| argument.parse::<usize>().ok());
    if let Some(size) = one {
        println!("{}", verify(&migrator(size)).run()?);
        return Ok(());
    }
    println!("| migrations | tables | rows made up | took | for each |\n|---|---|---|---|---|");
    for size in [10, 50, 100, 200, 400] {
        let migrator = migrator(size);
        let clock = Instant::now();
        let verified = verify(&migrator).run()?;
        let took = clock.elapsed();
        println!(
            "| {size} | {} | {} | {:.2} s | {:.1} ms |",
            size.div_ceil(5),
            verified.rows,
            took.as_secs_f64(),
            took.as_secs_f64() * 1000.0 / size as f64
        );
    }
    Ok(())
}
