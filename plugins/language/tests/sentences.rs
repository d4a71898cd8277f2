//! How often the enricher is right, on sentences that were written for this test.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what the tests share fails loudly")]

use std::collections::BTreeMap;

use mihwar_sdk::{
    ChannelKind, Edit, Feedback, Value, Verdict,
    testing::{self, FakeHost},
};
use plugin_language::LanguageEnricher;
use serde_json::json;

/// Expected finding, then the text. `unknown`: no language and no mix is named.
const SENTENCES: &[(&str, &str)] = &[
    // Arabic: standard, Gulf, Egyptian, Levantine, Maghrebi.
    ("ar", "لم يصل الطلب في الموعد المحدد ولم يتصل بي أحد"),
    ("ar", "أشكركم على سرعة الاستجابة وحسن التعامل"),
    ("ar", "أقترح إضافة طريقة دفع جديدة إلى التطبيق"),
    ("ar", "الموظف كان متعاونًا جدًا وشرح لي كل شيء"),
    ("ar", "ما هي ساعات العمل في الفرع الجديد؟"),
    ("ar", "الفاتورة غير صحيحة وأريد استرجاع المبلغ"),
    ("ar", "خدمة سيئة للغاية"),
    ("ar", "وصل المنتج مكسورًا والعلبة مفتوحة"),
    ("ar", "ابي اعرف ليش تأخر طلبي كل هالمدة"),
    ("ar", "والله الخدمة عندكم مو زينة بالمرة"),
    ("ar", "وش السالفة كل يوم التطبيق يعلق"),
    ("ar", "ابغى الغي الاشتراك وما احد يرد علي"),
    ("ar", "عايز اعرف الطلب بتاعي فين لحد دلوقتي"),
    ("ar", "الموقع مش شغال من امبارح وانا زهقت"),
    ("ar", "ليه كده يا جماعة السعر زاد من غير سبب"),
    ("ar", "شو هالخدمة الحلوة كتير مبسوطين منكن"),
    ("ar", "وين الطرد صار له اسبوعين ما وصل"),
    ("ar", "علاش الثمن غالي بزاف فهاد المتجر"),
    ("ar", "اشتريت iPhone 15 Pro من Apple Store والشاشة مكسورة"),
    ("ar", "تطبيق WhatsApp لا يفتح على جهازي بعد التحديث"),
    // Persian, also from an Arabic keyboard.
    ("fa", "سرویس شما خیلی بد بود و هیچ کس جواب نداد"),
    ("fa", "از برخورد خوب کارمندان شما تشکر می‌کنم"),
    ("fa", "بسته من هنوز نرسیده است"),
    ("fa", "چرا قیمت‌ها این قدر بالا رفته است؟"),
    ("fa", "برنامه روی گوشی من باز نمی‌شود"),
    ("fa", "پیشنهاد می‌کنم ساعت کار شعبه بیشتر شود"),
    ("fa", "لطفا پول من را پس بدهید"),
    ("fa", "کیفیت غذا عالی بود ولی دیر رسید"),
    ("fa", "من دو هفته است که منتظر پاسخ هستم"),
    ("fa", "این محصول را به دوستانم پیشنهاد می‌دهم"),
    ("fa", "سايت شما خيلي كند است و باز نمي شود"),
    ("fa", "با پشتیبانی تماس گرفتم ولی کمکی نکردند"),
    ("fa", "آیا امکان پرداخت در محل وجود دارد؟"),
    ("fa", "راننده بسیار مودب و خوش برخورد بود"),
    ("fa", "صورت حساب این ماه اشتباه است"),
    // Urdu.
    ("ur", "میرا آرڈر ابھی تک نہیں پہنچا"),
    ("ur", "آپ کی سروس بہت اچھی ہے"),
    ("ur", "مجھے اپنے پیسے واپس چاہییں"),
    ("ur", "ایپ بار بار بند ہو جاتی ہے"),
    ("ur", "عملے کا رویہ بہت خراب تھا"),
    ("ur", "براہ کرم میرا اکاؤنٹ کھول دیں"),
    ("ur", "قیمت بہت زیادہ ہے اور معیار اچھا نہیں"),
    ("ur", "کیا جمعہ کو دکان کھلی ہوتی ہے؟"),
    ("ur", "میں نے دو ہفتے پہلے شکایت کی تھی"),
    ("ur", "ڈرائیور نے بہت عزت سے بات کی"),
    ("ur", "بل میں غلط رقم لکھی گئی ہے"),
    ("ur", "نئی شاخ کا پتہ بتا دیں"),
    ("ur", "کھانا ٹھنڈا تھا اور دیر سے آیا"),
    ("ur", "پاس ورڈ تبدیل نہیں ہو رہا"),
    ("ur", "شکریہ، مسئلہ جلدی حل ہو گیا"),
    // English.
    ("en", "My order has not arrived and nobody answers the phone"),
    ("en", "Thank you for the quick help yesterday"),
    ("en", "The app crashes every time I open the cart"),
    ("en", "Please add a way to pay by card"),
    ("en", "Delivery was late again"),
    ("en", "I want my money back"),
    ("en", "What are your opening hours on Friday?"),
    ("en", "Great service, friendly staff"),
    ("en", "The invoice shows the wrong amount"),
    ("en", "Your website is very slow today"),
    ("en", "Could you call me back about my complaint"),
    ("en", "Box was open and the screen is broken"),
    ("en", "It would be nice to have a dark mode"),
    ("en", "Food was cold when it came"),
    ("en", "The driver could not find our house"),
    // Real mixes.
    ("mixed", "the app يتعطل every time I login"),
    ("mixed", "الطلب delay كثير و الـ support ما يرد"),
    ("mixed", "عندي مشكلة في الـ payment و الـ refund ما وصل"),
    ("mixed", "please الغاء الطلب because it is late"),
    ("mixed", "الخدمة very good لكن السعر too high"),
    ("mixed", "I ordered برجر and got بطاطس only"),
    ("mixed", "My name is not correct in the الفاتورة please fix"),
    ("mixed", "حاولت اعمل login بس يطلع error كل مرة"),
    ("mixed", "Customer service قالوا لي wait two days"),
    ("mixed", "thank you جزاكم الله خير for the help"),
    ("mixed", "سجلت في ال website و ما جاني email للتأكيد"),
    ("mixed", "Delivery كان سريع but the box مكسور"),
    // Arabic in Latin letters.
    ("ar-Latn", "3ayez a3raf el talab bta3y feen"),
    ("ar-Latn", "el khedma mesh kwayesa 5ales wa ma7adesh byrod"),
    ("ar-Latn", "wallah el app da zift awi we msh byefta7"),
    ("ar-Latn", "leh el talab et2akhar keda"),
    ("ar-Latn", "shukran 3ala el sor3a wel e7teram"),
    ("ar-Latn", "ana mesh 3aref a3mel eh m3 el fatora"),
    ("ar-Latn", "abi a3ref laish ma wasal al talab 7agi"),
    ("ar-Latn", "el se3r ghaly awi 3ala el 7aga di"),
    ("ar-Latn", "mafi a7ad yrod 3ala el jawwal"),
    ("ar-Latn", "momken ta3mlo tari2et daf3 gdida"),
    // Others, which must not be taken for one of the five.
    (
        "fr",
        "Ma commande n'est toujours pas arrivée et personne ne répond au téléphone",
    ),
    (
        "de",
        "Meine Bestellung ist immer noch nicht angekommen und niemand geht ans Telefon",
    ),
    ("tr", "Siparişim hâlâ gelmedi ve kimse telefona cevap vermiyor"),
    ("es", "Mi pedido todavía no ha llegado y nadie contesta el teléfono"),
    ("ru", "Мой заказ до сих пор не пришёл, и никто не отвечает на телефон"),
    ("hi", "मेरा ऑर्डर अभी तक नहीं आया है और कोई फोन नहीं उठाता"),
    ("el", "Η παραγγελία μου δεν έχει φτάσει ακόμα"),
    ("zh", "我的订单还没有到，也没有人接电话，请尽快处理"),
    // Too little or nothing to go by.
    ("unknown", "ok"),
    ("unknown", "شكرا"),
    ("unknown", "👍👍👍"),
    ("unknown", "12345 / 2026-01-05"),
    ("unknown", ""),
    ("unknown", "Hi"),
    ("unknown", "تمام"),
    ("unknown", "lol"),
    ("unknown", "https://shop.example/orders/12345?from=mail"),
    ("unknown", "asdfgh qwerty zxcvbn"),
    ("unknown", "sara@example.com"),
    ("unknown", "SKU-4471 XL"),
    ("unknown", "ههههههه"),
    // Kurdish and Pashto share the script and are none of the three.
    ("unknown", "داواکارییەکەم هێشتا نەگەیشتووە و کەس وەڵام ناداتەوە"),
    ("unknown", "زما فرمایش لا تر اوسه نه دی رسېدلی او هیڅوک ځواب نه ورکوي"),
    // What somebody else wrote does not count.
    (
        "en",
        "I still wait for an answer to this.\n> متى يصل الطلب؟ لم يصل حتى الآن ولم يتصل أحد\n> أرجو الرد",
    ),
    (
        "ar",
        "لم يصلني أي رد حتى الآن\n> Thank you for your message. We will get back to you soon.",
    ),
];

fn finding(text: &str) -> String {
    let item = testing::stored("1", Feedback::new("1", ChannelKind::Form).body(text));
    let verdicts = testing::process::<LanguageEnricher>(&FakeHost::new().host(), &json!({}), vec![item]).unwrap();
    let Verdict::Edited(edits) = &verdicts[0] else {
        panic!("the enricher does not fail")
    };
    let mut found = "unknown".to_owned();
    for edit in &edits.edits {
        match edit {
            Edit::SetLanguage(language) => found.clone_from(language),
            Edit::AddTag(tag) if tag == "mixed-language" => return "mixed".to_owned(),
            _ => {}
        }
    }
    found
}

/// For each class: sentences, right, left unknown, wrong.
#[derive(Debug, Default, PartialEq)]
struct Score {
    sentences: usize,
    right: usize,
    unknown: usize,
    wrong: usize,
}

#[test]
fn languages_are_told_apart() {
    let mut scores: BTreeMap<&str, Score> = BTreeMap::new();
    for &(expected, text) in SENTENCES {
        let class = if ["ar", "fa", "ur", "en", "mixed", "ar-Latn", "unknown"].contains(&expected) {
            expected
        } else {
            "other"
        };
        let found = finding(text);
        let score = scores.entry(class).or_default();
        score.sentences += 1;
        if found == expected {
            score.right += 1;
        } else {
            println!("expected {expected}, found {found}: {text}");
            if found == "unknown" {
                score.unknown += 1;
            } else {
                score.wrong += 1;
            }
        }
    }
    for (class, score) in &scores {
        println!(
            "{class:8} {:3} sentences: {:3} right, {} left unknown, {} wrong",
            score.sentences, score.right, score.unknown, score.wrong
        );
    }
    let right = |class: &str| scores[class].right;
    assert_eq!(
        ["ar", "fa", "ur", "en", "mixed", "ar-Latn", "other", "unknown"].map(right),
        [21, 15, 15, 16, 12, 10, 5, 15],
        "the figures of this test set; better ones are welcome here"
    );
    let wrong = |class: &str| scores[class].wrong;
    assert_eq!(
        ["ar", "fa", "ur", "en", "mixed", "ar-Latn", "other", "unknown"].map(wrong),
        [0; 8],
        "a wrong language is worse than none"
    );
}

fn edits_of(feedback: Feedback, settings: &serde_json::Value) -> Vec<Edit> {
    let item = testing::stored("7", feedback);
    let mut verdicts = testing::process::<LanguageEnricher>(&FakeHost::new().host(), settings, vec![item]).unwrap();
    match verdicts.remove(0) {
        Verdict::Edited(edits) => {
            assert_eq!(edits.id, "7");
            edits.edits
        }
        Verdict::Failed(failed) => panic!("{failed:?}"),
    }
}

fn attribute(edits: &[Edit], name: &str) -> Option<Value> {
    edits.iter().find_map(|edit| match edit {
        Edit::SetAttribute(attribute) if attribute.name == name => Some(attribute.value.clone()),
        _ => None,
    })
}

fn form(text: &str) -> Feedback {
    Feedback::new("1", ChannelKind::Form).body(text)
}

#[test]
fn script_and_confidence_are_given_even_when_the_language_is_not() {
    let edits = edits_of(form("شكرا"), &json!({}));
    assert_eq!(attribute(&edits, "script"), Some("Arab".into()));
    assert_eq!(attribute(&edits, "language-confidence"), Some(0.0.into()));
    assert_eq!(edits.len(), 2);
    assert!(edits_of(form("123 👍"), &json!({})).is_empty());
}

#[test]
fn mixes_and_arabizi_carry_their_marks() {
    let edits = edits_of(form("الطلب delay كثير و الـ support ما يرد"), &json!({}));
    assert_eq!(attribute(&edits, "script"), Some("Mixed".into()));
    assert_eq!(attribute(&edits, "dominant-language"), Some("ar".into()));
    let edits = edits_of(form("3ayez a3raf el talab bta3y feen"), &json!({}));
    assert_eq!(attribute(&edits, "arabizi"), Some(true.into()));
    assert_eq!(attribute(&edits, "script"), Some("Latn".into()));
}

#[test]
fn a_language_that_the_channel_named_is_kept() {
    const TEXT: &str = "The app crashes every time I open the cart";
    let named = || form(TEXT).language("en-GB");
    let sets = |edits: &[Edit]| edits.iter().any(|edit| matches!(edit, Edit::SetLanguage(_)));
    assert!(!sets(&edits_of(named(), &json!({}))));
    assert!(sets(&edits_of(named(), &json!({"replace_existing": true}))));
    assert!(sets(&edits_of(form(TEXT), &json!({}))));
}

#[test]
fn settings_move_the_thresholds_and_are_checked() {
    let sets = |settings| {
        edits_of(form("شكرا على المساعدة"), &settings)
            .iter()
            .any(|edit| matches!(edit, Edit::SetLanguage(_)))
    };
    assert!(sets(json!({})));
    assert!(!sets(json!({"min_letters": 50})));
    let problems = testing::validate::<LanguageEnricher>(&json!({"min_letters": 0, "min_confidence": 2.0}));
    assert_eq!(
        problems.iter().map(|p| p.path.as_str()).collect::<Vec<_>>(),
        ["min_letters", "min_confidence"]
    );
}

#[test]
fn a_batch_gets_one_verdict_for_each_item() {
    let items = (0..256)
        .map(|at| testing::stored(&at.to_string(), form(SENTENCES[at % SENTENCES.len()].1)))
        .collect();
    let verdicts = testing::process::<LanguageEnricher>(&FakeHost::new().host(), &json!({}), items).unwrap();
    assert_eq!(verdicts.len(), 256);
}

proptest::proptest! {
    /// Any text gives a confidence between 0 and 1 and, at most, one language.
    #[test]
    fn any_text_is_judged(text in "\\PC{0,200}") {
        let edits = edits_of(form(&text), &json!({}));
        if let Some(Value::Decimal(confidence)) = attribute(&edits, "language-confidence") {
            proptest::prop_assert!((0.0..=1.0).contains(&confidence));
        }
        proptest::prop_assert!(edits.iter().filter(|edit| matches!(edit, Edit::SetLanguage(_))).count() <= 1);
    }
}
