//! Names that are checked once, where they enter.

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Decoder, Encode, Encoder};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A text that may not be a name, and why.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("\"{given}\" is not a valid {what}: {rule}")]
pub struct InvalidName {
    what: &'static str,
    given: String,
    rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text if it follows the rule of the type.
            ///
            /// # Errors
            /// Names the rule that is broken.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidName> {
                let text = text.into();
                let check: fn(&str) -> bool = $check;
                if check(&text) {
                    Ok(Self(text))
                } else {
                    let given = text.chars().take(80).collect();
                    Err(InvalidName { what: $what, given, rule: $rule })
                }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }

        impl<C> Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                encoder: &mut Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                encoder.str(&self.0)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(decoder: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                Self::new(decoder.str()?).map_err(minicbor::decode::Error::message)
            }
        }
    };
}

name! {
    /// The name of a plugin, an instance or a department: it appears in keys, addresses and files.
    InstanceName, "name", "use 1 to 48 lower-case letters a-z, digits and hyphens, beginning with a letter",
    |text| {
        (1..=48).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }
}

name! {
    /// A label on feedback. A fact, so never personal: a short slug in any script.
    Tag, "tag", "use 1 to 64 bytes of letters, digits, '-', '_', ':' and '.', without upper-case letters or spaces",
    |text| {
        (1..=64).contains(&text.len())
            && text.chars().all(|c| (c.is_alphanumeric() && !c.is_uppercase()) || matches!(c, '-' | '_' | ':' | '.'))
    }
}

name! {
    /// A language tag (BCP 47, by its syntax).
    Language, "language", "use a BCP 47 tag such as ar, en or ar-SA",
    |text| {
        text.len() <= 35
            && text.split('-').enumerate().all(|(i, part)| {
                let length = if i == 0 { 2..=8 } else { 1..=8 };
                length.contains(&part.len())
                    && part.bytes().all(|b| b.is_ascii_alphanumeric())
                    && (i > 0 || part.bytes().all(|b| b.is_ascii_alphabetic()))
            })
    }
}

/// What sort of feedback it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cbor(index_only)]
pub enum Kind {
    /// Something went wrong for this person.
    #[n(0)]
    Complaint,
    /// An idea for something better.
    #[n(1)]
    Suggestion,
    /// A question, or a request to be contacted.
    #[n(2)]
    Enquiry,
    /// Thanks.
    #[n(3)]
    Praise,
    /// A remark that asks for nothing.
    #[n(4)]
    Observation,
    /// A product does not work as made.
    #[n(5)]
    Defect,
}

impl Kind {
    /// All kinds, in the order in which they are shown.
    pub const ALL: [Self; 6] = [
        Self::Complaint,
        Self::Suggestion,
        Self::Enquiry,
        Self::Praise,
        Self::Observation,
        Self::Defect,
    ];

    /// The name as it stands in rules, filters and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complaint => "complaint",
            Self::Suggestion => "suggestion",
            Self::Enquiry => "enquiry",
            Self::Praise => "praise",
            Self::Observation => "observation",
            Self::Defect => "defect",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| InvalidName {
                what: "kind",
                given: text.chars().take(80).collect(),
                rule: "use complaint, suggestion, enquiry, praise, observation or defect",
            })
    }
}

#[cfg(test)]
mod tests {
    use super::{InstanceName, Kind, Language, Tag};

    #[test]
    fn names_keep_to_their_rules() {
        assert!(InstanceName::new("mail-2").is_ok());
        assert!(InstanceName::new("2mail").is_err());
        assert!(InstanceName::new("../mail").is_err());
        assert!(Tag::new("شكوى-عاجلة").is_ok());
        assert!(Tag::new("Auto Reply").is_err());
        assert!(Language::new("ar-SA").is_ok());
        assert!(Language::new("arabic language").is_err());
        assert_eq!("praise".parse(), Ok(Kind::Praise));
        assert!("شكوى".parse::<Kind>().unwrap_err().to_string().contains("complaint"));
    }
}
