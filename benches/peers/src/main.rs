//! landfall beside other tools that migrate a SQLite database, on the same migrations.
//!
//! `measure` prints Markdown tables and writes the numbers down for `plot`, which draws them; `fill`
//! puts what was printed into a document. The other two commands are what `measure` starts in processes of their own.

mod fill;
mod fresh;
#[path = "../../generate.rs"]
#[allow(dead_code)] // not every benchmark measures with every kind
mod generate;
mod measure;
mod plot;
mod processes;
mod rounds;
mod set;
mod tools;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", first_cause(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    match *arguments {
        ["measure", numbers] => measure::all(Path::new(numbers), None),
        ["measure", numbers, part] => measure::all(Path::new(numbers), Some(part)),
        ["plot", numbers, folder] => plot::draw(Path::new(numbers), Path::new(folder)),
        ["fill", measured, document] => fill::fill(Path::new(measured), Path::new(document)),
        ["do", tool, size, path, ref steps @ ..] => {
            processes::perform(tool, size.parse()?, path, steps)
        }
        ["boot", tool, size, path, start] => {
            processes::boot(tool, size.parse()?, path, start.parse()?)
        }
        _ => Err("measure <numbers> [part] | plot <numbers> <folder> | fill <measured> <document>"
            .into()),
    }
}

/// Tools wrap what SQLite says, some in the whole text of a migration.
fn first_cause<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut error = error;
    while let Some(cause) = error.source()
        && !error.is::<rusqlite::Error>()
    {
        error = cause;
    }
    error
}
