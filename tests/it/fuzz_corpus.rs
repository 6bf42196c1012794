//! The properties that the fuzz targets look for hold of every text that was kept: of those that
//! once broke one, and of those that reach the most of the code.

use std::path::Path;

use crate::properties;

/// Tries the property on every text of its corpus, on every text cut short and on the pieces that
/// are left.
fn holds(target: &str, property: impl Fn(&str)) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(target);
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 8, "{target} has a corpus of {}", files.len());
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        let text = properties::text(&bytes).unwrap_or_else(|| panic!("{}", file.display()));
        property(text);
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        for &at in places.iter().step_by(places.len() / 8 + 1) {
            let (head, tail) = text.split_at(at);
            property(head);
            property(tail);
        }
    }
}

#[test]
fn kept_texts_are_split_as_sqlite_splits_them() {
    holds("splitter", properties::splitter);
}

#[test]
fn kept_texts_have_the_checksum_of_what_sqlite_compiles_them_to() {
    holds("canonical", properties::canonical);
}

#[test]
fn kept_texts_are_sound_or_refused_with_a_place() {
    holds("directives", properties::directives);
}

#[test]
fn kept_names_say_the_same_in_the_home_form() {
    holds("names", properties::names);
}
