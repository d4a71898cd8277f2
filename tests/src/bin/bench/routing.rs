//! How many records a rule set of five hundred rules routes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Instant;

use mihwar_hub::{ContactField, Matching, RouteSource, RoutingSample, RuleSet, RulesSource};
use mihwar_model::{Attribute, Channel, Draft, InstanceName, Kind, Language, Scalar, Score, Tag, Time};

use crate::figure;

const RULES: usize = 500;
const RECORDS: usize = 20_000;
/// Times that all records are routed; the first is not counted.
const ROUNDS: usize = 6;

/// What people write, about three hundred letters of each.
const TEXTS: [&str; 4] = [
    "وصلت الشحنة متأخرة أسبوعًا كاملًا ولم يرد علي أحد رغم اتصالي أكثر من مرة، وعندما وصلت كان الصندوق مفتوحًا والجهاز لا يعمل. \
     أرجو إعادة المبلغ إلى بطاقتي في أقرب وقت، فقد دفعت قيمة التوصيل السريع ولم أحصل عليه، وهذه ثالث مرة يحدث فيها هذا معي",
    "The courier left my parcel in the rain and nobody answered the phone for two days. When I finally reached somebody I was \
     told that the invoice had not been paid, although the money was taken from my account a week ago. Please look into this, \
     send me a new one and tell your driver to ring the bell the next time he comes by",
    "التطبيق ممتاز وسهل الاستخدام وأصبح أسرع بكثير بعد التحديث الأخير، لكن أتمنى إضافة خيار للدفع عند الاستلام وإمكانية تتبع الطلب \
     على الخريطة. خدمة العملاء ردت علي خلال دقائق وكان الموظف مهذبًا جدًا وحل المشكلة من أول اتصال، شكرًا لكم جميعًا على هذا الجهد",
    "The new app يتعطل every time I try to login من جوالي وما فيه حل, and the page for refunds shows an error في كل مرة. I have \
     reinstalled it twice, changed my password and asked a friend, but it is always the same. متى يتم إصلاح هذه المشكلة؟ I would \
     rather pay in the branch than go through this again, شكرًا",
];

/// The rules of a large organisation: most ask for a channel, a tag or words, some for scores, lists and languages, and a few
/// for what only the interpreter understands.
fn rules() -> RulesSource {
    let route = |number: usize| RouteSource {
        name: format!("قاعدة-{number}"),
        when: match number % 25 {
            0..=6 => format!(
                "record.channel == 'channel-{}' && 'موضوع-{number}' in record.tags",
                number % 9
            ),
            7..=10 => format!("record.body.contains('منتج {number}') || record.subject.contains('product {number}')"),
            11..=16 => format!(
                "(record.subject + ' ' + record.body).matches('(?i)branch {number}|invoice {number}|فرع {number}|فاتوره? {number}')"
            ),
            17..=19 => format!("record.kind == 'complaint' && record.instance in ['kiosk-{number}', 'form-{number}']"),
            20..=21 => format!(
                "has(record.scores.nps) && record.scores.nps <= {}.0 && record.language == 'ar-{number}'",
                number % 10
            ),
            22 => {
                format!("has(record.given.plan) && record.given.plan in lists.vip_plans && record.revision > {number}")
            }
            23 => format!("'partner-{number}.example' in contact.domains || record.attachments > {number}"),
            // The interpreter's: only looked at for the records of one channel.
            _ => format!(
                "record.channel == 'channel-{}' && record.tags.filter(t, t.startsWith('وسم')).size() > 3",
                number % 9
            ),
        },
        to: vec![InstanceName::new(format!("department-{}", number % 40)).unwrap()],
    };
    RulesSource {
        default: vec![InstanceName::new("service").unwrap()],
        matching: Matching::All,
        contact_fields: vec![ContactField::Domains],
        lists: BTreeMap::from([("vip-plans".to_owned(), vec!["gold".to_owned(), "ذهبي".to_owned()])]),
        routes: (0..RULES).map(route).collect(),
    }
}

fn sample(number: usize) -> RoutingSample {
    let channel = Channel::new(Tag::new(format!("channel-{}", number % 9)).unwrap());
    let mut body = TEXTS[number % TEXTS.len()].to_owned();
    // About every third record is what some rule looks for.
    match number % 9 {
        0 => write!(body, " منتج {}", number % RULES).unwrap(),
        1 => write!(body, " INVOICE {}", number % RULES).unwrap(),
        _ => {}
    }
    let tags = [format!("موضوع-{}", number % RULES), "شحن".to_owned()];
    let draft = Draft {
        kind: Some(Kind::ALL[number % Kind::ALL.len()]),
        language: Some(Language::new(if number.is_multiple_of(2) { "ar" } else { "en" }).unwrap()),
        subject: Some("عن طلبي الأخير / about my last order".to_owned()),
        body,
        scores: vec![Score {
            metric: "nps".to_owned(),
            value: f64::from(u32::try_from(number % 11).unwrap()),
            min: 0.0,
            max: 10.0,
        }],
        tags: tags.into_iter().map(|tag| Tag::new(tag).unwrap()).collect(),
        attributes: vec![Attribute {
            name: "plan".to_owned(),
            value: Scalar::Text(if number.is_multiple_of(50) { "ذهبي" } else { "basic" }.to_owned()),
        }],
        ..Draft::new(channel)
    };
    let instance = InstanceName::new(format!("kiosk-{}", number % RULES)).unwrap();
    RoutingSample::of(draft, instance, Time(1_790_000_000_000)).unwrap()
}

/// Routes all samples some times over; answers records a second, and how many were chosen for a department by a rule.
fn rate(rules: &RuleSet, samples: &[RoutingSample]) -> (f64, usize) {
    let mut chosen = 0;
    let mut started = Instant::now();
    for round in 0..ROUNDS {
        if round == 1 {
            started = Instant::now();
        }
        chosen = samples
            .iter()
            .filter(|sample| {
                let departments = rules.departments_of(sample);
                departments.iter().any(|department| department.as_str() != "service")
            })
            .count();
    }
    let routed = u32::try_from(samples.len() * (ROUNDS - 1)).unwrap();
    (f64::from(routed) / started.elapsed().as_secs_f64(), chosen)
}

pub(crate) fn five_hundred_rules() {
    let started = Instant::now();
    let (rules, problems) = RuleSet::read(rules());
    assert_eq!(problems, []);
    figure("500 rules read", &format!("{:.0?}", started.elapsed()), "-");
    let samples: Vec<_> = (0..RECORDS).map(sample).collect();
    let (one, chosen) = rate(&rules, &samples);
    let label = format!("records routed by 500 rules, 1 thread ({chosen} of {RECORDS} matched)");
    figure(&label, &format!("{one:.0} /s"), "-");
    let both = std::thread::scope(|scope| {
        let rules = &rules;
        let halves: Vec<_> = samples
            .chunks(RECORDS / 2)
            .map(|half| scope.spawn(move || rate(rules, half).0))
            .collect();
        halves.into_iter().map(|half| half.join().unwrap()).sum::<f64>()
    });
    figure(
        "records routed by 500 rules, 2 threads",
        &format!("{both:.0} /s"),
        "50 000 /s",
    );
}
