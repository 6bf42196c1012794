//! What has to hold of any text at all, and the judges that say so. Shared by the fuzz targets and
//! by the tests, which try it on the texts that were kept.

use std::ffi::{CStr, CString, c_char};
use std::ops::Range;
use std::ptr;

use landfall::include_dir::{Dir, DirEntry, File};
use landfall::rusqlite::{Connection, ffi};
use landfall::sql::{checksum, statements};
use landfall::{Error, ErrorKind, Migration, Migrator, Position};

/// A text as a fuzzer gives it. What is no text is refused before anything here sees it.
pub fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

pub fn is_complete(text: &str) -> bool {
    let text = CString::new(text).unwrap();
    // SAFETY: the text ends with a NUL, and SQLite only reads it.
    unsafe { ffi::sqlite3_complete(text.as_ptr()) != 0 }
}

/// What SQLite takes from the head of a text as one statement: the bytes of it, and the statement,
/// which is NULL where they hold nothing but white space, comments and semicolons.
pub fn prepare(conn: &Connection, text: &CStr) -> Result<(usize, *mut ffi::sqlite3_stmt), String> {
    let mut statement = ptr::null_mut();
    let mut tail: *const c_char = ptr::null();
    // SAFETY: the handle is open, and the text ends with a NUL and outlives the call, so that the
    // tail points into it.
    unsafe {
        let code =
            ffi::sqlite3_prepare_v2(conn.handle(), text.as_ptr(), -1, &mut statement, &mut tail);
        if code != ffi::SQLITE_OK {
            let why = CStr::from_ptr(ffi::sqlite3_errmsg(conn.handle()));
            return Err(why.to_string_lossy().into_owned());
        }
        Ok((usize::try_from(tail.offset_from(text.as_ptr())).unwrap(), statement))
    }
}

/// Whether SQLite finds nothing to do in a text.
fn is_nothing(conn: &Connection, text: &str) -> bool {
    let text = CString::new(text).unwrap();
    let Ok((_, statement)) = prepare(conn, &text) else { return false };
    // SAFETY: the statement was just prepared, or is NULL, which is allowed here.
    unsafe { ffi::sqlite3_finalize(statement) };
    statement.is_null()
}

/// The pieces that `sqlite3_complete` cuts a text into: each ends at the first semicolon at which
/// the text since the end of the one before is complete; what is left is the last.
pub fn pieces_when_complete(text: &str) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut from = 0;
    for (at, _) in text.match_indices(';') {
        if is_complete(&text[from..=at]) {
            pieces.push(from..at + 1);
            from = at + 1;
        }
    }
    pieces.push(from..text.len());
    pieces
}

/// Checks our statements against the judge's pieces. A piece that is nothing to SQLite, be it
/// white space, comments or a bare semicolon, is an empty statement: `sqlite3_complete` counts it
/// and we pass over it. Every other piece holds exactly one of ours, and what stands around that
/// is nothing.
pub fn assert_one_in_each(script: &str, pieces: &[Range<usize>]) {
    let conn = Connection::open_in_memory().unwrap();
    let mut ours = statements(script).into_iter();
    for piece in pieces {
        let text = &script[piece.clone()];
        if is_nothing(&conn, text) {
            continue;
        }
        let Some(statement) = ours.next() else {
            panic!("no statement of ours for {text:?} in {script:?}");
        };
        let Range { start, end } = place(script, statement);
        assert!(
            piece.start <= start && end <= piece.end,
            "{statement:?} is not all in {text:?} of {script:?}"
        );
        let (before, after) = (&script[piece.start..start], &script[end..piece.end]);
        assert!(is_nothing(&conn, before), "{before:?} stands before {statement:?}");
        assert!(is_nothing(&conn, after), "{after:?} stands after {statement:?}");
        // A string that never ends may end in white space.
        let ends = piece.end < script.len() && statement.ends_with(is_space);
        let uncut = ends || statement.starts_with(is_space);
        assert!(!uncut, "{statement:?} is not cut at its tokens");
    }
    assert_eq!(ours.next(), None, "too many statements of ours in {script:?}");
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\x0c' | '\r')
}

/// The bytes of a text that a part of it is.
fn place(text: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr() as usize - text.as_ptr() as usize;
    start..start + part.len()
}

/// The text as `sqlite3_complete` has to be asked about it. Two characters that SQLite's parser
/// passes over are tokens to it: a byte order mark between tokens, and a vertical tab after other
/// white space. Where SQLite itself runs a script they are white space, so that is what the judge
/// is shown. No byte moves.
pub fn without_what_only_the_parser_passes_over(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut in_word = false;
    let mut in_space = false;
    for c in text.chars() {
        match c {
            '\u{feff}' if !in_word => {
                shown.push_str("   ");
                in_space = false;
                continue;
            }
            '\x0b' if in_space => shown.push(' '),
            c => {
                shown.push(c);
                in_word = c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii();
                in_space = is_space(c);
            }
        }
    }
    shown
}

/// Statements lie in the text one after another, none of them empty, and a text is cut in the same
/// places whatever follows its last semicolon; and where `sqlite3_complete` can judge, it agrees.
pub fn splitter(text: &str) {
    let found = statements(text);
    let mut end = 0;
    for statement in &found {
        let at = place(text, statement);
        assert!(end <= at.start && at.start < at.end, "{statement:?} in {text:?}");
        end = at.end;
    }
    // A variable, and a number with a fraction, is a single token to the parser and several to
    // `sqlite3_complete`.
    let judged: String = text
        .chars()
        .map(|c| if matches!(c, '$' | '@' | ':' | '#' | '?' | '.') { '+' } else { c })
        .collect();
    let shown = without_what_only_the_parser_passes_over(&judged);
    assert_eq!(shown.len(), judged.len());
    assert_one_in_each(&judged, &pieces_when_complete(&shown));
}

/// What stands between statements does not count, nor the kind of line ends. And two texts with
/// one checksum are one program to SQLite.
pub fn canonical(text: &str) {
    let sum = checksum(text);
    let same = |other: &str, why: &str| assert_eq!(checksum(other), sum, "{why}: {other:?}");
    let unix = text.replace("\r\n", "\n");
    if !unix.contains("\r\n") && !unix.contains('\r') {
        same(&unix.replace('\n', "\r\n"), "other line ends");
    }
    same(&format!("\u{feff}{text}"), "a byte order mark");
    let found = statements(text);
    // A vertical tab after white space is white space, and by itself it is a token; and `$a(` takes
    // in what follows up to white space.
    same(&found.join(" ;"), "statements alone");
    same(&format!("-- a; b\n/* ' */ ;;{}", found.join(" -- ;\r\n;/* \" */;\t/**/")), "comments");
    let Some(last) = found.last() else {
        return same("", "nothing");
    };
    if is_complete(&format!("{last};")) && !last.contains(['$', '@', ':', '#', '?', '.']) {
        same(&format!("{text}\n;\n"), "a semicolon at the end");
    }
    one_program(text, &sum);
}

/// Small changes of a text that leave its checksum as it was leave its program as it was. The
/// judge is the code that SQLite compiles it to.
fn one_program(text: &str, sum: &str) {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t(a, b); CREATE TABLE u(a INTEGER PRIMARY KEY, c)").unwrap();
    let before = program(&conn, text);
    let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    // Not every place of a long text: a few, which the text itself selects.
    let step = places.len() / 16 + 1;
    for &at in places.iter().skip(text.len() % step).step_by(step) {
        let (head, tail) = text.split_at(at);
        let mut rest = tail.chars();
        rest.next();
        for changed in [
            format!("{head}{}", rest.as_str()),
            format!("{head} {tail}"),
            format!("{head}/* */{tail}"),
            format!("{head}'{tail}"),
            format!("{head}\u{feff}{tail}"),
        ] {
            if checksum(&changed) == sum {
                assert_eq!(program(&conn, &changed), before, "{text:?} and {changed:?}");
            }
        }
    }
}

/// What SQLite compiles the statements of a text to, as far as that does not hold their text.
fn program(conn: &Connection, text: &str) -> Vec<String> {
    // Line ends are read as LF before a script runs, and so they are here.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let mut lines = Vec::new();
    for statement in statements(&text) {
        let verb = statement.get(..6).unwrap_or_default().to_ascii_uppercase();
        if !matches!(verb.as_str(), "SELECT" | "INSERT" | "UPDATE" | "DELETE" | "VALUES") {
            continue;
        }
        let Ok(mut explained) = conn.prepare(&format!("EXPLAIN {statement}")) else {
            lines.push("refused".to_owned());
            continue;
        };
        let Ok(mut rows) = explained.query([]) else { continue };
        while let Ok(Some(row)) = rows.next() {
            let columns = 0..8;
            lines.extend(columns.map(|at| format!("{:?}", row.get_ref(at))));
        }
    }
    lines
}

/// A migration of a text is refused with a place in it or is sound, whatever its line ends. An
/// unknown directive is never passed over, and none is taken after the first statement.
pub fn directives(text: &str) {
    let checked = check(text);
    let Err(error) = &checked else {
        assert!(check(&format!("-- a note\n/**/{text}")).is_ok(), "a comment before {text:?}");
        assert!(check(&crlf(text)).is_ok(), "other line ends in {text:?}");
        let after = format!("{text}\n-- landfall: undo\n");
        let last = statements(text).last().copied().unwrap_or_default();
        let is_closed = is_complete(&format!("{last};")) && !last.is_empty();
        if is_closed && !last.contains(['$', '@', ':', '#', '?', '.']) {
            let error = check(&after).expect_err(&after);
            assert!(matches!(error.kind(), ErrorKind::Directive { .. }), "{error} in {after:?}");
        }
        return refuses_unknown(text);
    };
    told(error);
    if let ErrorKind::Directive { position, why, .. } | ErrorKind::BadText { position, why, .. } =
        error.kind()
    {
        let read = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
        if !read.contains("\r\n") {
            assert_eq!(*position, Position::of(&read, position.byte), "{why} in {text:?}");
            let again = check(&crlf(text)).expect_err(text);
            assert_eq!(again.to_string(), error.to_string(), "other line ends in {text:?}");
        }
    }
    let noted = check(&format!("-- a note\n/**/{text}")).expect_err(text);
    let line = |error: &Error| error.position().map(|position| position.line);
    assert_eq!(line(&noted), line(error).map(|line| line + 1), "a comment before {text:?}");
    refuses_unknown(text);
}

fn refuses_unknown(text: &str) {
    let error = check(&format!("-- landfall: nonsense\n{text}")).expect_err(text);
    // What is no SQL at all, such as the instruction of a template, is told first.
    if matches!(error.kind(), ErrorKind::Directive { .. }) {
        let expected = "`1_f`, line 1, column 1: `nonsense` is no directive; nothing was changed";
        assert_eq!(error.to_string(), expected, "{text:?}");
    }
}

fn check(text: &str) -> landfall::Result<()> {
    Migrator::from_migrations([Migration::sql(1, "f", text.to_owned())]).check()
}

fn crlf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\n', "\r\n")
}

/// Every form of an error can be written.
fn told(error: &Error) {
    let all = [error.to_string(), format!("{error:#}"), format!("{error:?}")];
    assert!(all.iter().all(|text| !text.is_empty()));
}

/// Files of any names, a line each, are a set or are refused with the name of one. What a name
/// says, written in the home form, says the same again.
pub fn names(text: &str) {
    let files: Vec<&str> = text.split('\n').take(6).collect();
    let read = match said(&files) {
        Ok(read) => read,
        Err(error) => {
            told(&error);
            let text = error.to_string();
            let mut parts =
                files.iter().map(|file| last_part(file)).filter(|part| !part.is_empty());
            let named = parts.any(|part| text.contains(part));
            assert!(named, "{text} of {files:?}");
            return;
        }
    };
    for (version, name) in read {
        let file = match version {
            Some(version) => format!("{version:020}_{name}.sql"),
            None => format!("R__{name}.sql"),
        };
        let again = said(&[file.as_str()]).unwrap_or_else(|error| panic!("{error} of {file:?}"));
        assert_eq!(again, [(version, name)], "{file:?}");
    }
    // One more of the same name is one too many.
    if let Some(first) = files.first().filter(|file| has_sql(file)) {
        let twice = [files.as_slice(), &[first]].concat();
        assert!(said(&twice).is_err(), "{twice:?}");
    }
}

fn last_part(path: &str) -> &str {
    path.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or_default()
}

fn has_sql(file: &str) -> bool {
    file.to_ascii_lowercase().ends_with(".sql")
}

/// Version and name of every migration in a set of empty files, and of every repeatable.
fn said(files: &[&str]) -> landfall::Result<Vec<(Option<i64>, String)>> {
    let entries: Vec<DirEntry<'_>> =
        files.iter().map(|file| DirEntry::File(File::new(file, b""))).collect();
    let dir = Dir::new("", &entries);
    // SAFETY: the migrator, which is what the names are lent to, ends before they do: it is not
    // cloned, keeps nothing elsewhere for verbs that only read, and what comes out is owned.
    let dir: Dir<'static> = unsafe { std::mem::transmute::<Dir<'_>, Dir<'static>>(dir) };
    let migrator = Migrator::from_embedded(&dir);
    migrator.check()?;
    let conn = Connection::open_in_memory().unwrap();
    let status = migrator.status(&conn)?;
    let known = status.migrations.into_iter();
    Ok(known.map(|one| (one.version.map(|version| version.get()), one.name)).collect())
}
