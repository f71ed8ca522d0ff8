//! Every key of the web configuration file that nothing reads. The parser names only the first.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor, value::Error};
use serde::forward_to_deserialize_any;

use super::error::Place;
use super::web_file::{HttpTable, Placed, RateTable, TlsTable, WebFile, read};

/// None where the file cannot be read so far: then the parser's own words are all there is.
pub fn unknown_keys(text: &str) -> Vec<(Place, String)> {
    let root = read::<Keys>(text).map(|keys| keys.unknown(fields::<WebFile>()));
    let tables = read::<Tables>(text).map(|tables| {
        [
            tables.tls.unwrap_or_default().unknown(fields::<TlsTable>()),
            tables.http.unwrap_or_default().unknown(fields::<HttpTable>()),
            tables.rate.unwrap_or_default().unknown(fields::<RateTable>()),
        ]
    });
    root.into_iter().chain(tables.into_iter().flatten()).flatten().collect()
}

#[derive(serde::Deserialize)]
struct Tables {
    #[serde(rename = "tls_server_config")]
    tls: Option<Keys>,
    #[serde(rename = "http_server_config")]
    http: Option<Keys>,
    #[serde(rename = "rate_limit")]
    rate: Option<Keys>,
}

/// The keys of one table. Its values are passed over.
#[derive(Default)]
struct Keys(Vec<Placed<String>>);

impl Keys {
    fn unknown(self, known: &[&str]) -> Vec<(Place, String)> {
        let unknown = self.0.into_iter().filter(|key| !known.contains(&key.value.as_str()));
        let message = |key: &str| format!("unknown field `{key}`, expected one of {}", known.join(", "));
        unknown.map(|key| (key.place, message(&key.value))).collect()
    }
}

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, IgnoredAny)) = map.next_entry()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// The keys that a table reads, by the table itself.
fn fields<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let mut fields: &'static [&'static str] = &[];
    let _ = T::deserialize(FieldNames(&mut fields));
    fields
}

struct FieldNames<'f>(&'f mut &'static [&'static str]);

impl<'de> Deserializer<'de> for FieldNames<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(de::Error::custom("only the fields of a table are asked for"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
