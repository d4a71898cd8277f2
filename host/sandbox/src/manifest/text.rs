//! Text for people, in the languages the author wrote it in.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// Text by language tag (`en`, `ar`, …). A plain string counts as English.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct LocalText(BTreeMap<String, String>);

impl LocalText {
    /// The text in `language` (a BCP 47 tag; its first subtag is enough), else English, else any.
    #[must_use]
    pub fn in_language(&self, language: &str) -> &str {
        let primary = language.split('-').next().unwrap_or(language);
        self.0
            .get(language)
            .or_else(|| self.0.get(primary))
            .or_else(|| self.0.get("en"))
            .or_else(|| self.0.values().next())
            .map_or("", String::as_str)
    }

    /// The language tags that are there.
    pub fn languages(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl From<&str> for LocalText {
    fn from(english: &str) -> Self {
        Self(BTreeMap::from([("en".to_owned(), english.to_owned())]))
    }
}

impl<'de> Deserialize<'de> for LocalText {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = LocalText;
            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("text, or a table such as { en = \"Forms\", ar = \"نماذج\" }")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<LocalText, E> {
                Ok(text.into())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LocalText, A::Error> {
                let mut texts = BTreeMap::new();
                while let Some((language, text)) = map.next_entry::<String, String>()? {
                    texts.insert(language, text);
                }
                if texts.is_empty() {
                    return Err(A::Error::custom("give the text in one language at least"));
                }
                Ok(LocalText(texts))
            }
        }
        from.deserialize_any(Text)
    }
}
