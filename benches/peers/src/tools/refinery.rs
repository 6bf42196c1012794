use refinery::{Error, Migration, Runner};

use super::{Tool, on_rusqlite};
use crate::set::Script;

/// A transaction for each migration, and another for its row.
pub fn tool(scripts: &[Script]) -> impl Tool + use<> {
    let embedded = embedded(scripts);
    on_rusqlite::tool(move |conn| {
        runner(&embedded)?.run(conn)?;
        Ok(())
    })
}

/// One transaction for all, which is a choice.
pub fn grouped(scripts: &[Script]) -> impl Tool + use<> {
    let embedded = embedded(scripts);
    on_rusqlite::tool(move |conn| {
        runner(&embedded)?.set_grouped(true).run(conn)?;
        Ok(())
    })
}

fn embedded(scripts: &[Script]) -> Vec<(String, &'static str)> {
    let named = |script: &Script| (format!("V{}__{}", script.number, script.name), script.text);
    scripts.iter().map(named).collect()
}

/// What `embed_migrations!` writes as `runner()`, with its copies of the texts.
fn runner(embedded: &[(String, &'static str)]) -> Result<Runner, Error> {
    let quoted: Vec<(&str, String)> =
        embedded.iter().map(|(name, text)| (name.as_str(), text.to_string())).collect();
    let migrations: Vec<Migration> = quoted
        .into_iter()
        .map(|(name, text)| Migration::unapplied(name, &text))
        .collect::<Result<_, Error>>()?;
    Ok(Runner::new(&migrations))
}
