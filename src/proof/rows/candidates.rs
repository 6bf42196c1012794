//! The values that a column may be given, in the order in which they are tried.

use rusqlite::types::Value;

use super::table::{Column, Family};

/// How many plain values a column has to choose from.
const PLAIN: usize = 8;

/// What a column may be given, the more likely first. `from` is where its plain values begin, so that
/// rows of a later round differ from those before; plain values stand at the end of `wanted`.
pub(super) struct Candidates {
    values: Vec<Value>,
    /// Where the plain ones begin.
    plain: usize,
}

impl Candidates {
    pub(super) fn of(column: &Column, from: usize) -> Self {
        let mut values: Vec<Value> = Vec::new();
        for value in &column.spoken_of {
            values.extend(fitted(value, column.family));
        }
        let plain = values.len();
        values.extend((0..PLAIN).map(|n| plain_value(column, from + n)));
        if column.is_judged {
            values.extend(unusual(column.family));
        }
        Candidates { values, plain }
    }

    /// Those of a column that refers to others: what these have.
    pub(super) fn given(values: Vec<Value>) -> Self {
        Candidates { values, plain: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn get(&self, at: usize) -> Value {
        let at = if self.values.is_empty() { 0 } else { at % self.values.len() };
        self.values.get(at).cloned().unwrap_or(Value::Null)
    }

    /// Where the n-th value stands that a row would have of its own accord.
    pub(super) fn natural(&self, n: usize) -> usize {
        if self.plain == 0 { n } else { n % self.plain }
    }
}

/// A value in the type that a STRICT column of this kind takes.
fn fitted(value: &Value, family: Family) -> Option<Value> {
    let value = match (family, value) {
        (Family::Integer | Family::Truth, Value::Text(text)) => Value::Integer(text.parse().ok()?),
        (Family::Integer | Family::Truth, Value::Blob(_) | Value::Real(_)) => return None,
        (Family::Real, Value::Integer(number)) => Value::Real(*number as f64),
        (Family::Real, Value::Text(_) | Value::Blob(_)) => return None,
        (Family::Text | Family::Time, Value::Integer(number)) => Value::Text(number.to_string()),
        (Family::Text | Family::Time, Value::Real(number)) => Value::Text(number.to_string()),
        (Family::Text | Family::Time, Value::Blob(_)) => return None,
        (Family::Blob, Value::Text(text)) => Value::Blob(text.clone().into_bytes()),
        (Family::Blob, Value::Integer(_) | Value::Real(_)) => return None,
        (_, value) => value.clone(),
    };
    Some(value)
}

/// The n-th value of a column of which nothing else is known. Every third is in capitals.
fn plain_value(column: &Column, n: usize) -> Value {
    let number = i64::try_from(n).unwrap_or(0) + 1;
    match column.family {
        Family::Integer => Value::Integer(number),
        Family::Truth => Value::Integer(number % 2),
        Family::Real => Value::Real(number as f64 + 0.5),
        Family::Text | Family::Any => {
            let text = format!("{} {number}", column.name);
            Value::Text(if n % 3 == 2 { text.to_ascii_uppercase() } else { text })
        }
        Family::Time => {
            let (day, hour) = (number % 28 + 1, number / 28 % 24);
            Value::Text(format!("2024-01-{day:02} {hour:02}:00:00"))
        }
        Family::Blob => Value::Blob(number.to_be_bytes().to_vec()),
    }
}

/// What columns are often asked to hold.
fn unusual(family: Family) -> Vec<Value> {
    let text = |text: &str| Value::Text(text.to_owned());
    match family {
        Family::Integer | Family::Truth => {
            [0, 1, 2, -1, 100, 1_700_000_000, 1_700_000_000_000].map(Value::Integer).to_vec()
        }
        Family::Real => [0.0, 0.5, 1.0, -1.0, 100.0].map(Value::Real).to_vec(),
        Family::Blob => [0, 16, 20, 32, 64].map(|length| Value::Blob(vec![0; length])).to_vec(),
        Family::Text | Family::Time | Family::Any => [
            "2024-01-02",
            "2024-01-02 03:04:05",
            "2024-01-02T03:04:05Z",
            "2024-01-02T03:04:05.000Z",
            "03:04",
            "03:04:05",
            "{}",
            "[]",
            "a",
            "A",
            "1",
            "",
            "ada@example.org",
            "https://example.org/",
            "12345678-1234-4234-8234-123456789abc",
            "0123456789abcdef0123456789abcdef",
            "en",
            "#000000",
        ]
        .map(text)
        .to_vec(),
    }
}
