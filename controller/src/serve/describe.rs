//! What each field of the status and the detail is: one table, from which `describe` answers and the documentation is
//! made. A test holds it against the types themselves.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// One field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Where it is: `cgroups[].zswap_pages`.
    pub name: Cow<'static, str>,
    /// What is counted: `pages`, `bytes`, `seconds`, `percent`, or empty.
    pub unit: Cow<'static, str>,
    /// `gauge`, `counter`, `histogram`, `text`, `flag` or `id`.
    pub kind: Cow<'static, str>,
    /// What it means, in a sentence.
    pub help: Cow<'static, str>,
}

/// All fields.
#[must_use]
pub fn fields() -> Vec<Field> {
    FIELDS
        .iter()
        .map(|(name, unit, kind, help)| Field {
            name: (*name).into(),
            unit: (*unit).into(),
            kind: (*kind).into(),
            help: (*help).into(),
        })
        .collect()
}

type Row = (&'static str, &'static str, &'static str, &'static str);

const FIELDS: &[Row] = &[];
