//! The page's own words in both languages. Field by field, so that neither can lack one.

use crate::args::PageLanguage;

/// Every sentence of the page.
pub(super) struct Words {
    pub(super) lang: &'static str,
    pub(super) dir: &'static str,
    pub(super) title: &'static str,
    pub(super) about: &'static str,
    pub(super) contact: &'static str,
    pub(super) since: &'static str,
    pub(super) erased: &'static str,
    pub(super) hold: &'static str,
    pub(super) known_by: &'static str,
    pub(super) nothing: &'static str,
    pub(super) who_saw: &'static str,
    pub(super) who_saw_about: &'static str,
    pub(super) instance: &'static str,
    pub(super) brought: &'static str,
    pub(super) read: &'static str,
    pub(super) received: &'static str,
    pub(super) may_read: &'static str,
    pub(super) requests: &'static str,
    pub(super) records: &'static str,
    pub(super) revision: &'static str,
    pub(super) gone: &'static str,
    pub(super) files: &'static str,
    pub(super) facts: &'static str,
    pub(super) everything: &'static str,
    pub(super) went: &'static str,
    pub(super) department: &'static str,
    pub(super) state: &'static str,
    pub(super) attempts: &'static str,
    pub(super) calls_it: &'static str,
    pub(super) became: &'static str,
    pub(super) when: &'static str,
    pub(super) said_to_it: &'static str,
    pub(super) happened: &'static str,
}

impl PageLanguage {
    /// The words of this language.
    pub(super) const fn words(self) -> &'static Words {
        match self {
            Self::En => &ENGLISH,
            Self::Ar => &ARABIC,
        }
    }
}

static ENGLISH: Words = Words {
    lang: "en",
    dir: "ltr",
    title: "What is held about you",
    about: "This is everything that this feedback hub holds about one person. Times are UTC.",
    contact: "The hub's number of this person",
    since: "Known since",
    erased: "Everything personal was erased at",
    hold: "Nothing may be erased at present, because",
    known_by: "Names and addresses",
    nothing: "none",
    who_saw: "Who saw it",
    who_saw_about: "The counts follow from the ledger. A program that reads a record and has nothing to add leaves no trace \
        there; so the last column names what each program may read of every record that reaches it, as it is set up today. \
        What a department did with its copy is known to that department.",
    instance: "Program",
    brought: "brought",
    read: "read and added to, or masked",
    received: "was handed",
    may_read: "may read today, beside the facts",
    requests: "Requests of other systems that are stored and no records yet. Nobody can tell whose they are without reading \
        them:",
    records: "What was said",
    revision: "Version",
    gone: "Its content is gone; the facts remain.",
    files: "Files",
    facts: "Scores, labels and what else is known of it",
    everything: "Everything that is kept of what was said",
    went: "Where it went",
    department: "Department",
    state: "State",
    attempts: "Attempts",
    calls_it: "Called there",
    became: "What departments say became of it",
    when: "Since",
    said_to_it: "What they say to it",
    happened: "What happened to it",
};

static ARABIC: Words = Words {
    lang: "ar",
    dir: "rtl",
    title: "ما يُحفظ عنك",
    about: "هذا كل ما يحفظه هذا النظام عن شخص واحد. الأوقات بالتوقيت العالمي.",
    contact: "رقم هذا الشخص في النظام",
    since: "معروف منذ",
    erased: "مُحي كل ما هو شخصي في",
    hold: "لا يجوز محو شيء الآن، والسبب",
    known_by: "الأسماء والعناوين",
    nothing: "لا شيء",
    who_saw: "من اطّلع عليه",
    who_saw_about: "الأعداد مأخوذة من السجل. والبرنامج الذي يقرأ ولا يضيف شيئًا لا يترك أثرًا فيه، لذلك يذكر العمود الأخير \
        ما يحق لكل برنامج أن يقرأه اليوم من كل ما يصل إليه. أما ما فعلته الإدارة بنسختها فهي أعلم به.",
    instance: "البرنامج",
    brought: "جاء به",
    read: "قرأ وأضاف أو حجب",
    received: "سُلّم إليه",
    may_read: "يحق له أن يقرأ اليوم، إلى جانب الوقائع",
    requests: "طلبات محفوظة من أنظمة أخرى لم تصبح سجلات بعد، ولا يُعرف أصحابها إلا بقراءتها:",
    records: "ما قيل",
    revision: "النسخة",
    gone: "مُحي المحتوى وبقيت الوقائع.",
    files: "الملفات",
    facts: "الدرجات والوسوم وما عُرف عنه غير ذلك",
    everything: "كل ما هو محفوظ مما قيل",
    went: "أين ذهب",
    department: "الإدارة",
    state: "الحالة",
    attempts: "المحاولات",
    calls_it: "اسمه هناك",
    became: "ما أفادت به الإدارات عمّا آل إليه",
    when: "منذ",
    said_to_it: "ما قالته عنه",
    happened: "ما جرى له",
};
