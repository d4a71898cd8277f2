//! The rules that the hub has for names: kinds, tags, languages, instances, codes.

/// What a record can be.
pub(super) const KINDS: [&str; 6] = ["complaint", "suggestion", "enquiry", "praise", "observation", "defect"];

/// A tag, also the scheme of an identifier, the metric of a score and the name of a channel: a short slug in any script.
pub(super) fn is_tag(text: &str) -> bool {
    let allowed = |c: char| (c.is_alphanumeric() && !c.is_uppercase()) || matches!(c, '-' | '_' | ':' | '.');
    (1..=64).contains(&text.len()) && text.chars().all(allowed)
}

/// A language tag by the syntax of BCP 47.
pub(super) fn is_language(text: &str) -> bool {
    text.len() <= 35
        && text.split('-').enumerate().all(|(at, part)| {
            let lengths = if at == 0 { 2..=8 } else { 1..=8 };
            lengths.contains(&part.len())
                && part.bytes().all(|b| b.is_ascii_alphanumeric())
                && (at > 0 || part.bytes().all(|b| b.is_ascii_alphabetic()))
        })
}

/// The name of an instance or a department.
pub(super) fn is_instance_name(text: &str) -> bool {
    (1..=48).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Text that an enricher sets: a fact, never words of a person.
pub(super) fn is_code(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_the_rules_of_the_hub() {
        assert!(is_tag("شكوى-عاجلة") && is_tag("v1.2:x_y"));
        assert!(!is_tag("Auto Reply") && !is_tag("Größe") && !is_tag("") && !is_tag(&"ش".repeat(33)));
        assert!(is_language("ar") && is_language("en-GB") && is_language("zh-Hans-CN"));
        assert!(!is_language("arabic language") && !is_language("عربي") && !is_language("a") && !is_language("ar-"));
        assert!(is_instance_name("mail-2"));
        assert!(!is_instance_name("2mail") && !is_instance_name("Mail") && !is_instance_name("الدعم"));
        assert!(is_code("ar-Latn:1.0_b"));
        assert!(!is_code("محمد") && !is_code("two words") && !is_code(""));
    }
}
