//! The page's own words in both languages. Field by field, so that neither can lack one.

use super::settings::Tongue;

/// Every sentence of the page.
pub(super) struct Words {
    pub(super) lang: &'static str,
    pub(super) dir: &'static str,
    pub(super) title: &'static str,
    pub(super) name: &'static str,
    pub(super) tagline: &'static str,
    pub(super) skip: &'static str,
    pub(super) ready: &'static str,
    pub(super) not_ready: &'static str,
    pub(super) other_language: &'static str,
    pub(super) western_digits: &'static str,
    pub(super) arabic_digits: &'static str,
    pub(super) refresh_on: &'static str,
    pub(super) refresh_off: &'static str,
    pub(super) figures: &'static str,
    pub(super) feedback: &'static str,
    pub(super) delivered: &'static str,
    pub(super) on_the_way: &'static str,
    pub(super) dead: &'static str,
    pub(super) ledger_entries: &'static str,
    pub(super) came_in: &'static str,
    pub(super) came_in_nothing: &'static str,
    pub(super) came_in_hint: &'static str,
    pub(super) goes_to: &'static str,
    pub(super) goes_nowhere: &'static str,
    pub(super) erased: &'static str,
    pub(super) without_words: &'static str,
    pub(super) call: &'static str,
    pub(super) went_out: &'static str,
    pub(super) went_out_nothing: &'static str,
    pub(super) department: &'static str,
    pub(super) state: &'static str,
    pub(super) attempts: &'static str,
    pub(super) rule: &'static str,
    pub(super) when: &'static str,
    pub(super) plugins: &'static str,
    pub(super) plugins_nothing: &'static str,
    pub(super) last_failure: &'static str,
    pub(super) ledger: &'static str,
    pub(super) ledger_about: &'static str,
    pub(super) verifier_key: &'static str,
    pub(super) checkpoint: &'static str,
    pub(super) see_also: &'static str,
    pub(super) api_viewer: &'static str,
    pub(super) health: &'static str,
    pub(super) metrics: &'static str,
    pub(super) problems: &'static str,
    pub(super) just_now: &'static str,
}

impl Tongue {
    /// The words of this language.
    pub(super) const fn words(self) -> &'static Words {
        match self {
            Self::Arabic => &ARABIC,
            Self::English => &ENGLISH,
        }
    }

    /// A name that the API uses, for people. What has no word here is shown as it is: instances and channels bring their
    /// own names.
    pub(super) fn term(self, name: &str) -> Option<&'static str> {
        let (_, en, ar) = TERMS.iter().find(|(term, ..)| *term == name)?;
        Some(match self {
            Self::Arabic => ar,
            Self::English => en,
        })
    }
}

static ENGLISH: Words = Words {
    lang: "en",
    dir: "ltr",
    title: "Mihwar · what customers say",
    name: "Mihwar",
    tagline: "What customers say, where it goes, and the proof of it.",
    skip: "Skip to what came in",
    ready: "Ready",
    not_ready: "Not ready",
    other_language: "العربية",
    western_digits: "123 digits",
    arabic_digits: "٠١٢ digits",
    refresh_on: "Reload every 30 s",
    refresh_off: "Stop reloading",
    figures: "In figures",
    feedback: "pieces of feedback",
    delivered: "delivered",
    on_the_way: "on their way",
    dead: "dead letters",
    ledger_entries: "ledger entries",
    came_in: "What came in last",
    came_in_nothing: "Nothing has come in yet.",
    came_in_hint: "Import files with “mihwar import INSTANCE PATH”, or send a record to POST /api/v1/feedback.",
    goes_to: "Goes to",
    goes_nowhere: "No rule sends it anywhere",
    erased: "The content was erased; the facts remain.",
    without_words: "No words were left.",
    call: "Call",
    went_out: "What went out last",
    went_out_nothing: "Nothing has gone out yet.",
    department: "Department",
    state: "State",
    attempts: "Attempts",
    rule: "Rule",
    when: "When",
    plugins: "Plugins",
    plugins_nothing: "No plugin instance is configured.",
    last_failure: "Last failure",
    ledger: "Ledger",
    ledger_about: "Everything above follows from this signed list of events. “mihwar ledger verify” checks it all.",
    verifier_key: "Verifier key",
    checkpoint: "Latest checkpoint",
    see_also: "See also",
    api_viewer: "API",
    health: "Health",
    metrics: "Metrics",
    problems: "Problems explained",
    just_now: "just now",
};

static ARABIC: Words = Words {
    lang: "ar",
    dir: "rtl",
    title: "محور · ما يقوله العملاء",
    name: "محور",
    tagline: "ما يقوله العملاء، وإلى أين يصل، والدليل عليه.",
    skip: "تجاوز إلى ما ورد",
    ready: "جاهز",
    not_ready: "غير جاهز",
    other_language: "English",
    western_digits: "أرقام 123",
    arabic_digits: "أرقام ٠١٢",
    refresh_on: "تحديث كل 30 ثانية",
    refresh_off: "إيقاف التحديث",
    figures: "بالأرقام",
    feedback: "ملاحظات العملاء",
    delivered: "سُلِّمت",
    on_the_way: "في الطريق",
    dead: "رسائل عالقة",
    ledger_entries: "قيود السجل",
    came_in: "آخر ما ورد",
    came_in_nothing: "لم يرد شيء بعد.",
    came_in_hint: "استورد ملفات بالأمر «mihwar import INSTANCE PATH»، أو أرسل ملاحظة إلى POST /api/v1/feedback.",
    goes_to: "تصل إلى",
    goes_nowhere: "لا توجد قاعدة توجّهها",
    erased: "مُحي المحتوى وبقيت الوقائع.",
    without_words: "لم تُترك كلمات.",
    call: "مكالمة",
    went_out: "آخر ما أُرسل",
    went_out_nothing: "لم يُرسل شيء بعد.",
    department: "الإدارة",
    state: "الحالة",
    attempts: "المحاولات",
    rule: "القاعدة",
    when: "متى",
    plugins: "الإضافات",
    plugins_nothing: "لا توجد إضافات مهيأة.",
    last_failure: "آخر إخفاق",
    ledger: "السجل",
    ledger_about: "كل ما سبق ينتج عن هذه القائمة الموقّعة من الأحداث، ويتحقق منها كلها الأمر «mihwar ledger verify».",
    verifier_key: "مفتاح التحقق",
    checkpoint: "آخر نقطة تحقق",
    see_also: "انظر أيضًا",
    api_viewer: "واجهة البرمجة",
    health: "الصحة",
    metrics: "القياسات",
    problems: "شرح المشكلات",
    just_now: "الآن",
};

const TERMS: [(&str, &str, &str); 25] = [
    ("complaint", "complaint", "شكوى"),
    ("suggestion", "suggestion", "اقتراح"),
    ("enquiry", "enquiry", "استفسار"),
    ("praise", "praise", "ثناء"),
    ("observation", "observation", "ملاحظة"),
    ("defect", "defect", "عيب"),
    ("waiting", "waiting", "تنتظر"),
    ("retrying", "trying again", "تُعاد المحاولة"),
    ("delivered", "delivered", "سُلِّمت"),
    ("skipped", "skipped", "لا حاجة إليها"),
    ("dead", "dead letter", "عالقة"),
    ("channel", "channel", "قناة"),
    ("enricher", "enricher", "إثراء"),
    ("department", "department", "إدارة"),
    ("metric", "metric", "مقياس"),
    ("running", "running", "تعمل"),
    ("paused", "paused", "متوقفة مؤقتًا"),
    ("failed", "failed", "معطّلة"),
    ("ar", "Arabic", "العربية"),
    ("en", "English", "الإنجليزية"),
    ("fa", "Persian", "الفارسية"),
    ("ur", "Urdu", "الأردية"),
    ("fr", "French", "الفرنسية"),
    ("de", "German", "الألمانية"),
    ("es", "Spanish", "الإسبانية"),
];

#[cfg(test)]
mod tests {
    use super::{ARABIC, ENGLISH, TERMS, Tongue};

    #[test]
    fn arabic_words_are_arabic_and_english_ones_are_not() {
        let arabic = |text: &str| text.chars().any(|c| ('\u{0600}'..='\u{06FF}').contains(&c));
        for (name, en, ar) in TERMS {
            assert!(arabic(ar) && !arabic(en), "{name}");
            assert_eq!(Tongue::Arabic.term(name), Some(ar));
        }
        assert!(arabic(ARABIC.tagline) && !arabic(ENGLISH.tagline));
        assert_eq!(Tongue::English.term("nothing of ours"), None);
    }
}
