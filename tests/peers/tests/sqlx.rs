use landfall::Adopt;
use sqlx::Connection as _;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::{Result, Stage, assert_taken, rows, take_over, use_it};

fn run(stage: &Stage) -> Result {
    let options = SqliteConnectOptions::new().filename(stage.file()).create_if_missing(true);
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let migrator = Migrator::new(stage.old()).await?;
        let mut conn = SqliteConnection::connect_with(&options).await?;
        migrator.run(&mut conn).await?;
        conn.close().await?;
        Ok(())
    })
}

#[test]
fn a_file_of_sqlx_s_is_taken_over_and_stays_its_own() -> Result {
    let simple = ["1_person.sql", "2_letter.sql", "3_born.sql", "4_note.sql"];
    let dated =
        ["20240101_person.sql", "20240102_letter.sql", "20240103_born.sql", "20240104_note.sql"];
    let reversible = [
        "20240101000000_person.up.sql",
        "20240102000000_letter.up.sql",
        "20240103000000_born.up.sql",
        "20240104000000_note.up.sql",
    ];
    let before = "SELECT CAST(count(*) AS TEXT) FROM _sqlx_migrations";
    for names in [simple, dated, reversible] {
        let stage = Stage::with(&names)?;
        run(&stage)?;
        use_it(&stage.file())?;
        let report = take_over(&stage.new(), &stage.file(), Adopt::Sqlx)?;
        assert_taken(&stage.file(), &report, Adopt::Sqlx, 3)?;
        run(&stage)?;
        assert_eq!(rows(&stage.file(), before)?, ["3"]);
    }
    Ok(())
}
