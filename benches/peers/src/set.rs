//! The migrations that every tool gets, each in the form that its macro would have compiled in.

use include_dir::{Dir, DirEntry, File};

use crate::generate::{self, Kind};

pub struct Script {
    pub number: usize,
    pub name: String,
    pub text: &'static str,
}

/// `size` migrations, and after them one more with the views.
pub fn scripts(size: usize) -> Vec<Script> {
    let tables = (1..=size).map(|number| Script {
        number,
        name: format!("entity_{number}"),
        text: generate::migration(Kind::Realistic, number).leak(),
    });
    let views =
        Script { number: size + 1, name: "views".to_owned(), text: generate::views(size).leak() };
    tables.chain([views]).collect()
}

/// As `include_dir!` makes it from a folder of files.
pub fn folder_of_files(
    files: impl Iterator<Item = (String, &'static str)>,
) -> &'static Dir<'static> {
    let files = files.map(|(name, text)| DirEntry::File(File::new(name.leak(), text.as_bytes())));
    folder("", files.collect())
}

/// As `include_dir!` makes it from a folder of folders, each of which has the one file `up.sql`.
pub fn folder_of_folders(
    folders: impl Iterator<Item = (String, &'static str)>,
) -> &'static Dir<'static> {
    let folders = folders.map(|(name, text)| {
        let file = File::new(format!("{name}/up.sql").leak(), text.as_bytes());
        DirEntry::Dir(folder(name.leak(), vec![DirEntry::File(file)]).clone())
    });
    folder("", folders.collect())
}

fn folder(path: &'static str, entries: Vec<DirEntry<'static>>) -> &'static Dir<'static> {
    Box::leak(Box::new(Dir::new(path, entries.leak())))
}
