use diesel::SqliteConnection;
use diesel::prelude::*;
use diesel_migrations::{FileBasedMigrations, MigrationHarness};
use landfall::Adopt;

use crate::{Result, Stage, assert_taken, take_over, use_it};

/// How many it applied.
fn run(stage: &Stage) -> Result<usize> {
    let migrations = FileBasedMigrations::from_path(stage.old())?;
    let path = stage.file();
    let mut conn = SqliteConnection::establish(path.to_str().ok_or("no UTF-8")?)?;
    let applied = conn.run_pending_migrations(migrations).map_err(|error| error.to_string())?;
    Ok(applied.len())
}

#[test]
fn a_file_of_diesel_s_is_taken_over_and_stays_its_own() -> Result {
    let dated = [
        "2024-01-01-000000_person/up.sql",
        "2024-01-02-000000_letter/up.sql",
        "2024-01-03-000000_born/up.sql",
        "2024-01-04-000000_note/up.sql",
    ];
    let finer = [
        "2024-01-01-000000-0000_person/up.sql",
        "2024-01-01-000000-0001_letter/up.sql",
        "2024-01-01-000000-0002_born/up.sql",
        "2024-01-01-000001-0000_note/up.sql",
    ];
    for names in [dated, finer] {
        let stage = Stage::with(&names)?;
        assert_eq!(run(&stage)?, 3);
        use_it(&stage.file())?;
        let report = take_over(&stage.new(), &stage.file(), Adopt::Diesel)?;
        assert_taken(&stage.file(), &report, Adopt::Diesel, 0)?;
        assert_eq!(run(&stage)?, 0);
    }
    Ok(())
}
