//! Two JSON values → what changed, and back: RFC 7396 (merge patch), with arrays of objects taken as objects by `id` or by
//! place. For the published status in a recording, whose fields grow with each version. Pure.

use serde_json::{Map, Value};

/// Arrays of objects as objects, so that a row that changes costs its own fields and not the array.
///
/// Rows that name themselves by a number `id` are keyed by it, others by their place. A `null` is left out, as what is
/// unknown is everywhere in the status. [`arrays`] is the way back.
pub(super) fn objects(value: Value) -> Value {
    match value {
        Value::Array(rows) if rows.iter().all(Value::is_object) && !rows.is_empty() => {
            let mut keyed = Map::new();
            for (place, row) in rows.into_iter().enumerate() {
                let id = row.get("id").and_then(Value::as_u64);
                let key = id.map_or_else(|| format!("#{place:06}"), |id| format!("@{id}"));
                keyed.insert(key, objects(row));
            }
            Value::Object(keyed)
        }
        Value::Object(fields) => {
            let known = fields.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(known.map(|(key, value)| (key, objects(value))).collect())
        }
        other => other,
    }
}

/// Undoes [`objects`]. Rows with a `path` come back in its order, others in that of their place or id.
pub(super) fn arrays(value: Value) -> Value {
    let Value::Object(fields) = value else { return value };
    let is_row = |key: &String| key.starts_with(['#', '@']);
    if fields.is_empty() || !fields.keys().all(is_row) {
        return Value::Object(fields.into_iter().map(|(key, value)| (key, arrays(value))).collect());
    }
    let mut rows: Vec<Value> = fields.into_iter().map(|(_, row)| arrays(row)).collect();
    rows.sort_by(|one, other| one["path"].as_str().cmp(&other["path"].as_str()));
    Value::Array(rows)
}

/// What turns `base` into `now`; `None`: nothing.
pub(super) fn between(base: &Value, now: &Value) -> Option<Value> {
    let (Value::Object(base), Value::Object(now)) = (base, now) else {
        return (base != now).then(|| now.clone());
    };
    let mut patch = Map::new();
    for (key, value) in now {
        let changed = match base.get(key) {
            Some(old) => between(old, value),
            None => Some(value.clone()),
        };
        patch.extend(changed.map(|changed| (key.clone(), changed)));
    }
    let gone = base.keys().filter(|key| !now.contains_key(*key));
    patch.extend(gone.map(|key| (key.clone(), Value::Null)));
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// Applies what [`between`] made.
pub(super) fn onto(base: Value, patch: Value) -> Value {
    let Value::Object(patch) = patch else { return patch };
    let mut fields = match base {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    for (key, change) in patch {
        if change.is_null() {
            fields.remove(&key);
        } else {
            let old = fields.remove(&key).unwrap_or(Value::Null);
            fields.insert(key, onto(old, change));
        }
    }
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_patch_holds_what_changed_and_gives_it_back() {
        let base = objects(json!({
            "at": 1, "lost": ["x"],
            "cgroups": [{"id": 7, "path": "a", "pages": 1, "swap": "max"}, {"id": 3, "path": "b", "pages": 2}],
        }));
        let now = json!({
            "at": 2, "lost": ["x"],
            "cgroups": [{"id": 7, "path": "a", "pages": 4}, {"id": 9, "path": "c", "pages": 3}],
        });
        let patch = between(&base, &objects(now.clone())).unwrap();
        let said = json!({
            "at": 2,
            "cgroups": {"@7": {"pages": 4, "swap": null}, "@9": {"id": 9, "path": "c", "pages": 3}, "@3": null},
        });
        assert_eq!(patch, said);
        assert_eq!(arrays(onto(base, patch)), now);
    }

    #[test]
    fn what_is_the_same_needs_no_patch() {
        let value = objects(json!({"a": [1, 2], "b": {"c": null}}));
        assert_eq!(between(&value, &value), None);
        assert_eq!(arrays(value), json!({"a": [1, 2], "b": {}}));
    }

    #[test]
    fn rows_without_a_name_keep_their_places() {
        let value = json!({"held": [{"reason": "b"}, {"reason": "a"}], "none": []});
        assert_eq!(arrays(objects(value.clone())), value);
    }
}
