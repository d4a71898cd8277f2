//! How someone wants to read the page.

use http::{HeaderMap, Uri, header};

use crate::http::Problem;
use crate::http::query::read_query;

/// A language of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tongue {
    Arabic,
    English,
}

/// How someone wants to read the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settings {
    /// In which language.
    pub(super) tongue: Tongue,
    /// With the digits ٠ to ٩.
    pub(super) arabic_digits: bool,
    /// Loaded again by itself every half minute.
    pub(super) refresh: bool,
}

impl Settings {
    /// What the address asks for; where it says nothing, what the browser prefers.
    pub(super) fn read(uri: &Uri, headers: &HeaderMap) -> Result<Self, Problem> {
        let preferred = preferred(headers);
        read_query(uri, |fields| {
            let tongue = match fields.text("lang").as_deref() {
                Some("ar") => Tongue::Arabic,
                Some("en") => Tongue::English,
                None => preferred,
                Some(_) => {
                    fields.fault("lang", "should be ar or en");
                    preferred
                }
            };
            let arabic_digits = fields.text("digits").is_some_and(|digits| digits == "arab");
            let refresh = fields.text("refresh").is_some_and(|refresh| refresh == "on");
            Self {
                tongue,
                arabic_digits,
                refresh,
            }
        })
    }

    /// The address of the page with these settings.
    pub(super) fn address(self) -> String {
        let lang = match self.tongue {
            Tongue::Arabic => "ar",
            Tongue::English => "en",
        };
        let digits = if self.arabic_digits { "&digits=arab" } else { "" };
        let refresh = if self.refresh { "&refresh=on" } else { "" };
        format!("/?lang={lang}{digits}{refresh}")
    }
}

/// The first of our languages in the order of the browser's preferences.
fn preferred(headers: &HeaderMap) -> Tongue {
    let text = headers
        .get(header::ACCEPT_LANGUAGE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let mut best = (0.0, Tongue::English);
    for part in text.split(',') {
        let (tag, weight) = part.split_once(";q=").unwrap_or((part, "1"));
        let tongue = match tag.trim().split('-').next() {
            Some("ar") => Tongue::Arabic,
            Some("en") => Tongue::English,
            _ => continue,
        };
        let weight: f32 = weight.trim().parse().unwrap_or(0.0);
        if weight > best.0 {
            best = (weight, tongue);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::{Settings, Tongue};
    use http::{HeaderMap, HeaderValue, header};

    fn settings(address: &str, accept: &'static str) -> Settings {
        let headers = HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, HeaderValue::from_static(accept))]);
        Settings::read(&address.parse().unwrap(), &headers).unwrap()
    }

    #[test]
    fn the_address_goes_before_the_browser() {
        assert_eq!(settings("/", "fr, en;q=0.5, ar-SA;q=0.9").tongue, Tongue::Arabic);
        assert_eq!(settings("/", "en-GB,ar;q=0.9").tongue, Tongue::English);
        assert_eq!(settings("/", "fr").tongue, Tongue::English);
        assert_eq!(settings("/?lang=ar", "en").tongue, Tongue::Arabic);
        assert!(Settings::read(&"/?lang=fr".parse().unwrap(), &HeaderMap::new()).is_err());
    }

    #[test]
    fn settings_survive_their_address() {
        for arabic_digits in [true, false] {
            let wanted = Settings {
                tongue: Tongue::Arabic,
                arabic_digits,
                refresh: true,
            };
            assert_eq!(settings(&wanted.address(), "en"), wanted);
        }
    }
}
