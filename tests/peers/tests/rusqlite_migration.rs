use landfall::Adopt;
use rusqlite::Connection;
use rusqlite_migration::{M, Migrations, SchemaVersion};

use crate::{BORN, LETTER, PERSON, Result, Stage, assert_taken, rows, take_over, use_it};

fn run(stage: &Stage) -> Result<SchemaVersion> {
    let migrations = Migrations::new(vec![M::up(PERSON), M::up(LETTER), M::up(BORN)]);
    let mut conn = Connection::open(stage.file())?;
    migrations.to_latest(&mut conn)?;
    Ok(migrations.current_version(&conn)?)
}

#[test]
fn a_file_of_rusqlite_migration_s_is_taken_over_and_stays_its_own() -> Result {
    for adopt in [Adopt::RusqliteMigration, Adopt::Auto] {
        let stage = Stage::with(&[
            "01-person/up.sql",
            "02-letter/up.sql",
            "03-born/up.sql",
            "10-note/up.sql",
        ])?;
        let version = run(&stage)?;
        use_it(&stage.file())?;
        let report = take_over(&stage.new(), &stage.file(), adopt)?;
        assert_taken(&stage.file(), &report, Adopt::RusqliteMigration, 0)?;
        assert_eq!(run(&stage)?, version);
        let count = "SELECT CAST(user_version AS TEXT) FROM pragma_user_version";
        assert_eq!(rows(&stage.file(), count)?, ["3"]);
    }
    Ok(())
}
