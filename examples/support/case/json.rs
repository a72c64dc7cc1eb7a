//! The JSON of a case, read field by field: what is left over in the end was not understood.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Result;

/// The fields of an object that nothing has read yet.
pub(super) struct Fields {
    place: String,
    left: Map<String, Value>,
}

impl Fields {
    pub(super) fn parse(text: &str) -> Result<Self> {
        match serde_json::from_str(text) {
            Ok(Value::Object(left)) => Ok(Self { place: String::new(), left }),
            Ok(_) => Err("the case is not a JSON object".into()),
            Err(error) => Err(format!("the case is invalid JSON: {error}").into()),
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.left.contains_key(key)
    }

    /// Reads a field that must be there; `kind` is what it should be, in words.
    pub(super) fn take<T>(&mut self, key: &str, kind: &str, read: impl Fn(&Value) -> Option<T>) -> Result<T> {
        let place = &self.place;
        let value = self.left.remove(key).ok_or_else(|| format!("{place}{key} is missing"))?;
        read(&value).ok_or_else(|| format!("{place}{key} is {value}, not {kind}").into())
    }

    pub(super) fn text(&mut self, key: &str) -> Result<String> {
        self.take(key, "a string", text)
    }

    pub(super) fn number(&mut self, key: &str) -> Result<f64> {
        self.take(key, "a number", Value::as_f64)
    }

    pub(super) fn flag(&mut self, key: &str) -> Result<bool> {
        self.take(key, "true or false", Value::as_bool)
    }

    /// A number from 0 up that fits `T`.
    pub(super) fn count<T: TryFrom<u64>>(&mut self, key: &str) -> Result<T> {
        self.take(key, "a count", |value| T::try_from(value.as_u64()?).ok())
    }

    pub(super) fn list<T>(&mut self, key: &str, kind: &str, read: impl Fn(&Value) -> Option<T>) -> Result<Vec<T>> {
        self.take(key, kind, |value| value.as_array()?.iter().map(&read).collect())
    }

    /// One of a few words, each of which stands for something.
    pub(super) fn word<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> Result<T> {
        let known = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        let meaning = |value: &Value| words.iter().find(|(word, _)| Some(*word) == value.as_str()).map(|w| w.1);
        self.take(key, &format!("one of {known}"), meaning)
    }

    pub(super) fn object(&mut self, key: &str) -> Result<Self> {
        let left = self.take(key, "an object", |value| value.as_object().cloned())?;
        Ok(Self { place: format!("{}{key}.", self.place), left })
    }

    /// The names in the object under `key`, each with what `read` makes of its field.
    pub(super) fn each<T>(
        &mut self,
        key: &str,
        read: impl Fn(&mut Self, &str) -> Result<T>,
    ) -> Result<BTreeMap<String, T>> {
        let mut object = self.object(key)?;
        let names: Vec<String> = object.left.keys().cloned().collect();
        names.into_iter().map(|name| read(&mut object, &name).map(|value| (name, value))).collect()
    }

    /// Drops fields that only tell a reader something.
    pub(super) fn ignore(&mut self, keys: &[&str]) {
        self.left.retain(|key, _| !keys.contains(&key.as_str()));
    }

    /// Refuses what nothing has read.
    pub(super) fn finish(self) -> Result<()> {
        match self.left.keys().next() {
            Some(key) => Err(format!("key {}{key} has no meaning here", self.place).into()),
            None => Ok(()),
        }
    }
}

pub(super) fn text(value: &Value) -> Option<String> {
    value.as_str().map(String::from)
}

pub(super) fn size(value: &Value) -> Option<usize> {
    value.as_u64()?.try_into().ok()
}
