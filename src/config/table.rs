//! Reads a table of the file key by key. Whatever is wrong is recorded and reading goes on,
//! which is why this is not serde: it stops at the first mistake of a file.

use std::fmt::Display;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Problems;
use crate::suggestion;

/// A table as written, and all that may stand in it.
#[derive(Debug)]
pub struct Table<'a> {
    pub span: Range<usize>,
    entries: &'a DeTable<'a>,
    keys: &'static Keys,
}

/// How a table is written, and the keys that it knows, in the order of the documentation.
#[derive(Debug)]
pub struct Keys {
    pub table: &'static str,
    pub known: &'static [&'static str],
}

impl<'a> Table<'a> {
    pub fn root(root: &'a Spanned<DeTable<'a>>, keys: &'static Keys, problems: &mut Problems<'_>) -> Self {
        Self::of(root.get_ref(), root.span(), keys, problems)
    }

    fn of(
        entries: &'a DeTable<'a>,
        span: Range<usize>,
        keys: &'static Keys,
        problems: &mut Problems<'_>,
    ) -> Self {
        for key in entries.keys() {
            let name: &str = key.get_ref();
            if !keys.known.contains(&name) {
                let hint = suggestion::did_you_mean(name, keys.known.iter().copied())
                    .unwrap_or_else(|| format!("{} accepts {}", keys.table, keys.known.join(", ")));
                problems.add(&key.span(), format!("unknown key {name:?}: {hint}"));
            }
        }
        Self { span, entries, keys }
    }

    pub fn value(&self, key: &'static str) -> Option<Value<'a>> {
        debug_assert!(
            self.keys.known.contains(&key),
            "{key} is missing from the keys of {}",
            self.keys.table
        );
        let value = self.entries.get(key)?;
        Some(Value { key, is_item: false, span: value.span(), content: value.get_ref() })
    }

    /// The value, or the default where none is written. `None`: it is wrong, and that is recorded;
    /// or it is inherited from what was.
    pub fn read<T>(
        &self,
        key: &'static str,
        default: Option<T>,
        problems: &mut Problems<'_>,
        read: impl FnOnce(&Value<'a>, &mut Problems<'_>) -> Option<T>,
    ) -> Option<T> {
        match self.value(key) {
            Some(value) => read(&value, problems),
            None => default,
        }
    }

    /// As [`Self::read`], for what may be absent.
    pub fn read_optional<T>(
        &self,
        key: &'static str,
        problems: &mut Problems<'_>,
        read: impl FnOnce(&Value<'a>, &mut Problems<'_>) -> Option<T>,
    ) -> Option<Option<T>> {
        self.read(key, Some(None), problems, |value, problems| read(value, problems).map(Some))
    }
}

/// As the command line has it.
pub fn invalid_port(port: impl Display) -> String {
    format!("invalid port {port} (expected 1 to 65535)")
}

/// One value as written, or one item of a list.
#[derive(Debug)]
pub struct Value<'a> {
    pub key: &'static str,
    pub span: Range<usize>,
    is_item: bool,
    content: &'a DeValue<'a>,
}

impl<'a> Value<'a> {
    /// `expected` names the string: `a string such as "30s"`.
    pub fn text(&self, expected: &str, problems: &mut Problems<'_>) -> Option<&'a str> {
        let DeValue::String(text) = self.content else {
            return self.refuse(expected, problems);
        };
        Some(text)
    }

    /// The string, where it is one.
    pub fn as_text(&self) -> Option<&'a str> {
        if let DeValue::String(text) = self.content { Some(text) } else { None }
    }

    pub fn is_list(&self) -> bool {
        matches!(self.content, DeValue::Array(_))
    }

    pub fn flag(&self, problems: &mut Problems<'_>) -> Option<bool> {
        let DeValue::Boolean(flag) = self.content else {
            return self.refuse("true or false", problems);
        };
        Some(*flag)
    }

    pub fn port(&self, problems: &mut Problems<'_>) -> Option<u16> {
        let DeValue::Integer(number) = self.content else {
            return self.refuse("a number such as 443", problems);
        };
        let port = u16::from_str_radix(number.as_str(), number.radix()).ok().filter(|port| *port != 0);
        if port.is_none() {
            problems.add(&self.span, invalid_port(number));
        }
        port
    }

    pub fn table(&self, keys: &'static Keys, problems: &mut Problems<'_>) -> Option<Table<'a>> {
        let DeValue::Table(entries) = self.content else {
            return self.refuse(&format!("a table, written {}", keys.table), problems);
        };
        Some(Table::of(entries, self.span.clone(), keys, problems))
    }

    /// The items of a list, of which there may be `most`. `expected` as in [`Self::text`].
    pub fn items(&self, expected: &str, most: usize, problems: &mut Problems<'_>) -> Option<Vec<Self>> {
        let DeValue::Array(items) = self.content else {
            return self.refuse(expected, problems);
        };
        if items.len() > most {
            let message = format!("{} has {} entries; at most {most} are allowed", self.key, items.len());
            problems.add(&self.span, message);
            return None;
        }
        let item = |item: &'a Spanned<DeValue<'a>>| Self {
            key: self.key,
            span: item.span(),
            is_item: true,
            content: item.get_ref(),
        };
        Some(items.iter().map(item).collect())
    }

    /// A list without repetition; every item is read, whatever is wrong with the others.
    pub fn list<T: PartialEq>(
        &self,
        most: usize,
        problems: &mut Problems<'_>,
        mut read: impl FnMut(&Self, &mut Problems<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let items = self.items("a list", most, problems)?;
        let mut all = Vec::with_capacity(items.len());
        for item in &items {
            match read(item, problems) {
                Some(value) if all.contains(&value) => {
                    problems.add(&item.span, format!("duplicate entry in {}", self.key));
                }
                Some(value) => all.push(value),
                None => {}
            }
        }
        (all.len() == items.len()).then_some(all)
    }

    fn refuse<T>(&self, expected: &str, problems: &mut Problems<'_>) -> Option<T> {
        let verb = if self.is_item { "contain" } else { "be" };
        let found = match self.content {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        problems.add(&self.span, format!("{} must {verb} {expected}, not {found}", self.key));
        None
    }
}
