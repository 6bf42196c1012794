use refinery::{Report, Runner, load_sql_migrations};
use rusqlite::Connection;

use crate::{Result, Stage, assert_taken, take_over, use_it};
use landfall::Adopt;

fn run(stage: &Stage, grouped: bool, table: &str) -> Result<Report> {
    let migrations = load_sql_migrations(stage.old())?;
    let mut conn = Connection::open(stage.file())?;
    let mut runner = Runner::new(&migrations).set_grouped(grouped);
    runner.set_migration_table_name(table);
    Ok(runner.run(&mut conn)?)
}

#[test]
fn a_file_of_refinery_s_is_taken_over_and_stays_its_own() -> Result {
    for (grouped, table) in [(false, "refinery_schema_history"), (true, "our_history")] {
        let stage =
            Stage::with(&["V1__person.sql", "V2__letter.sql", "V3__born.sql", "V4__note.sql"])?;
        assert_eq!(run(&stage, grouped, table)?.applied_migrations().len(), 3);
        use_it(&stage.file())?;
        let report = take_over(&stage.new(), &stage.file(), Adopt::Refinery.table(table))?;
        assert_taken(&stage.file(), &report, Adopt::Refinery, 3)?;
        assert!(run(&stage, grouped, table)?.applied_migrations().is_empty());
    }
    Ok(())
}
