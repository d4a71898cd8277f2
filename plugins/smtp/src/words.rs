//! What is written around the feedback, in both languages.

use mihwar_sdk::ChannelKind;

use crate::settings::Language;

/// The fixed words of a mail.
pub(crate) struct Words {
    pub(crate) tag: &'static str,
    pub(crate) direction: &'static str,
    pub(crate) channel: &'static str,
    pub(crate) received: &'static str,
    pub(crate) said: &'static str,
    pub(crate) author: &'static str,
    pub(crate) reached_at: &'static str,
    pub(crate) spoken: &'static str,
    pub(crate) scores: &'static str,
    pub(crate) tags: &'static str,
    pub(crate) subject: &'static str,
    pub(crate) attachments: &'static str,
    pub(crate) id: &'static str,
    pub(crate) open: &'static str,
    pub(crate) changed: &'static str,
    pub(crate) cut: &'static str,
    pub(crate) no_words: &'static str,
    pub(crate) digest: &'static str,
    pub(crate) not_shown: &'static str,
    pub(crate) erase: &'static str,
    pub(crate) erase_text: &'static str,
    pub(crate) footer: &'static str,
    /// Between two things in a row.
    pub(crate) comma: &'static str,
}

const ENGLISH: Words = Words {
    tag: "en",
    direction: "ltr",
    channel: "Channel",
    received: "Received",
    said: "Said",
    author: "From",
    reached_at: "Reached at",
    spoken: "Language",
    scores: "Scores",
    tags: "Tags",
    subject: "Subject",
    attachments: "Attachments (not in this mail)",
    id: "Id",
    open: "Open it",
    changed: "The customer or the channel has changed this item; this is how it stands now.",
    cut: "[cut here; the hub has the whole text]",
    no_words: "(no words, or none that this department may see)",
    digest: "Feedback digest",
    not_shown: "Further items, by id:",
    erase: "Delete your copy",
    erase_text: "The hub holds the content of this item no longer: its author asked for that, or its time is over. Please \
delete every mail about it, and whatever was copied out of one. Nothing of the content stands here; the id does.",
    footer: "Mihwar sends this because this department receives it. Nobody reads answers to this mail.",
    comma: ", ",
};

const ARABIC: Words = Words {
    tag: "ar",
    direction: "rtl",
    channel: "القناة",
    received: "وردت في",
    said: "قيلت في",
    author: "من",
    reached_at: "يُتواصل معه عبر",
    spoken: "اللغة",
    scores: "الدرجات",
    tags: "الوسوم",
    subject: "الموضوع",
    attachments: "المرفقات (ليست في هذه الرسالة)",
    id: "المعرّف",
    open: "افتحها",
    changed: "غيّر العميل أو القناة هذه الملاحظة، وهذا ما هي عليه الآن.",
    cut: "[قُطع النص هنا، وهو كامل في المركز]",
    no_words: "(بلا نص، أو بنص لا يحق لهذا القسم أن يراه)",
    digest: "ملخص الملاحظات",
    not_shown: "ملاحظات أخرى بمعرّفاتها:",
    erase: "احذفوا نسختكم",
    erase_text: "لم يعد المركز يحتفظ بمحتوى هذه الملاحظة: طلب صاحبها ذلك أو انتهت مدتها. نرجو حذف كل رسالة عنها وكل ما نُسخ \
منها. لا يرد هنا شيء من محتواها سوى معرّفها.",
    footer: "أرسلها محور لأن هذا القسم يستقبلها. لا يقرأ أحد الردود على هذه الرسالة.",
    comma: "، ",
};

impl Language {
    pub(crate) const fn words(self) -> &'static Words {
        match self {
            Self::English => &ENGLISH,
            Self::Arabic => &ARABIC,
        }
    }

    /// What a kind of feedback is called; one without a kind is feedback.
    pub(crate) fn kind(self, kind: Option<&str>) -> &'static str {
        let (english, arabic) = match kind {
            Some("complaint") => ("Complaint", "شكوى"),
            Some("suggestion") => ("Suggestion", "اقتراح"),
            Some("enquiry") => ("Enquiry", "استفسار"),
            Some("praise") => ("Praise", "شكر"),
            Some("observation") => ("Observation", "ملاحظة"),
            Some("defect") => ("Defect", "عطل"),
            _ => ("Feedback", "رأي عميل"),
        };
        match self {
            Self::English => english,
            Self::Arabic => arabic,
        }
    }

    pub(crate) fn channel(self, channel: &ChannelKind) -> String {
        let (english, arabic) = match channel {
            ChannelKind::Email => ("mail", "بريد إلكتروني"),
            ChannelKind::Voice => ("call", "مكالمة"),
            ChannelKind::Chat => ("chat", "محادثة"),
            ChannelKind::Survey => ("survey", "استبيان"),
            ChannelKind::Social => ("social network", "شبكة اجتماعية"),
            ChannelKind::Review => ("review", "تقييم"),
            ChannelKind::Form => ("form", "نموذج"),
            ChannelKind::InApp => ("in the app", "داخل التطبيق"),
            ChannelKind::Other(name) => return name.clone(),
        };
        match self {
            Self::English => english.to_owned(),
            Self::Arabic => arabic.to_owned(),
        }
    }
}

/// How text of a language runs, for HTML: told where the language tells, else left to the letters.
pub(crate) fn direction(tag: Option<&str>) -> &'static str {
    let Some(tag) = tag else { return "auto" };
    let mut parts = tag.split('-');
    let language = parts.next().unwrap_or_default().to_ascii_lowercase();
    let script = parts.next().filter(|part| part.len() == 4).map(str::to_ascii_lowercase);
    let is_leftward = match script.as_deref() {
        Some(script) => ["arab", "hebr", "syrc", "thaa"].contains(&script),
        None => ["ar", "fa", "ur", "he", "ps", "ckb", "sd", "ug", "dv", "yi"].contains(&language.as_str()),
    };
    if is_leftward { "rtl" } else { "ltr" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_runs_as_its_language_does() {
        for (tag, runs) in [
            (Some("ar"), "rtl"),
            (Some("ar-SA"), "rtl"),
            (Some("FA"), "rtl"),
            (Some("az-Arab"), "rtl"),
            (Some("ar-Latn"), "ltr"),
            (Some("en-GB"), "ltr"),
            (None, "auto"),
        ] {
            assert_eq!(direction(tag), runs, "{tag:?}");
        }
    }

    #[test]
    fn every_kind_has_its_word_in_both_languages() {
        let kinds = ["complaint", "suggestion", "enquiry", "praise", "observation", "defect"];
        for language in [Language::English, Language::Arabic] {
            for kind in kinds {
                assert_ne!(language.kind(Some(kind)), language.kind(None), "{kind}");
            }
        }
        assert_eq!(Language::Arabic.channel(&ChannelKind::Other("فرع".into())), "فرع");
    }
}
