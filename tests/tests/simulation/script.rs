//! What happens in a simulated run, drawn from its seed before it begins.

use mihwar_model::{AttachmentBytes, Author, Channel, Draft, DraftAttachment, Identifier, Kind, Tag, Time};

use crate::luck::Luck;
use crate::world::START;

/// A word that the channel's plugin refuses until its settings allow it.
pub(crate) const REFUSED: &str = "ممنوع";
/// The last moment at which something befalls the hub.
const LAST: u64 = 45_000;
/// From when on nothing goes wrong any more.
pub(crate) const END: u64 = 55_000;

/// A run.
#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(crate) sayings: Vec<Saying>,
    pub(crate) posts: Vec<Post>,
    pub(crate) hooks: Vec<Hook>,
    pub(crate) pages: Vec<Page>,
    /// What befalls the hub, in order.
    pub(crate) strokes: Vec<(u64, Stroke)>,
}

/// One revision of one item, as a source hands it in over the API.
#[derive(Debug, Clone)]
pub(crate) struct Saying {
    /// Which item it is a revision of.
    pub(crate) item: usize,
    pub(crate) revision: usize,
    pub(crate) has_name: bool,
    author: Option<u64>,
    pub(crate) is_complaint: bool,
    has_file: bool,
}

impl Saying {
    /// The text that tells it from all others.
    pub(crate) fn text(&self) -> String {
        format!("بند {} مراجعة {}: the parcel came late", self.item, self.revision)
    }

    pub(crate) fn draft(&self) -> Draft {
        let author = self.author.map(|number| Author {
            name: Some(format!("هدى {number}")),
            identifiers: vec![Identifier {
                scheme: "card".to_owned(),
                id: format!("بطاقة-{number}"),
            }],
            locale: None,
        });
        let file = DraftAttachment {
            name: "صورة.txt".to_owned(),
            media_type: "text/plain".to_owned(),
            size: None,
            bytes: AttachmentBytes::Inline(self.text().into_bytes()),
        };
        Draft {
            external_id: self.has_name.then(|| format!("بند-{}", self.item)),
            revision: Some(format!("r{}", self.revision)),
            kind: Some(if self.is_complaint {
                Kind::Complaint
            } else {
                Kind::Praise
            }),
            occurred_at: self
                .item
                .is_multiple_of(2)
                .then(|| Time(START).plus_millis(-(self.item as i64) * 3_600_000)),
            author,
            body: self.text(),
            attachments: self.has_file.then_some(file).into_iter().collect(),
            ..Draft::new(Channel::new(Tag::new("kiosk").unwrap()))
        }
    }
}

/// A call of a source.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    pub(crate) at: u64,
    /// Numbers of sayings.
    pub(crate) sayings: Vec<usize>,
    /// The idempotency key, if it comes with one.
    pub(crate) key: Option<String>,
    /// After how many failures the source gives it up.
    pub(crate) patience: u64,
}

/// A request of another system.
#[derive(Debug, Clone)]
pub(crate) struct Hook {
    pub(crate) at: u64,
    pub(crate) text: String,
    pub(crate) patience: u64,
}

/// A page of a channel that is asked.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) at: u64,
    pub(crate) changes: Vec<NoteChange>,
}

/// What happened to a note at its source.
#[derive(Debug, Clone)]
pub(crate) enum NoteChange {
    Said { note: usize, revision: usize },
    Erased { note: usize },
}

impl NoteChange {
    pub(crate) fn name(note: usize) -> String {
        format!("ملاحظة-{note}")
    }

    pub(crate) fn text(note: usize, revision: usize) -> String {
        format!("ملاحظة {note} نصّ {revision}: thank you")
    }
}

/// What befalls the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stroke {
    /// Its process is killed.
    Kill,
    /// The power is cut.
    PowerCut,
    /// It is closed cleanly and opened again.
    Restart,
    /// The power goes in the middle of what the disk does then.
    DeathAfter(u64),
    /// An operation of the disk fails; some time after it the hub is started anew.
    ErrorAfter(u64),
    /// The disk is full, or has room again.
    Full(bool),
    /// The clock steps.
    Clock(i64),
    /// The configuration changes.
    Reload,
}

impl Script {
    pub(crate) fn of(seed: u64) -> Self {
        let mut script = Self::default();
        let luck = &mut Luck::of(seed, "script");
        script.say(luck);
        script.ask(luck);
        script.write_pages(luck);
        script.strike(luck);
        script
    }

    fn say(&mut self, luck: &mut Luck) {
        for item in 0..usize::try_from(luck.between(3, 12)).unwrap() {
            let has_name = !luck.chance(200);
            let revisions = if has_name && luck.chance(350) {
                luck.between(2, 3)
            } else {
                1
            };
            let author = luck.chance(700).then(|| luck.between(0, 3));
            let is_complaint = luck.chance(500);
            let mut at = luck.between(0, 30_000);
            for revision in 1..=usize::try_from(revisions).unwrap() {
                let number = self.sayings.len();
                self.sayings.push(Saying {
                    item,
                    revision,
                    has_name,
                    author,
                    is_complaint,
                    has_file: luck.chance(150),
                });
                self.post(luck, at, number, has_name);
                at += luck.between(50, 8_000);
            }
        }
    }

    /// Hands a saying in: alone or with its neighbour, perhaps under a key, perhaps twice.
    fn post(&mut self, luck: &mut Luck, at: u64, number: usize, has_name: bool) {
        let patience = if luck.chance(60) { luck.between(1, 3) } else { u64::MAX };
        let key = (!has_name || luck.chance(300)).then(|| format!("key-{number}"));
        let together = key.is_none() && number > 0 && self.sayings[number - 1].has_name && luck.chance(300);
        let sayings = if together {
            vec![number - 1, number]
        } else {
            vec![number]
        };
        let post = Post {
            at,
            sayings,
            key,
            patience,
        };
        if luck.chance(250) {
            let again = at + luck.between(0, 9_000);
            self.posts.push(Post {
                at: again,
                ..post.clone()
            });
        }
        self.posts.push(post);
    }

    fn ask(&mut self, luck: &mut Luck) {
        for number in 0..luck.between(0, 5) {
            let word = if luck.chance(250) { REFUSED } else { "مرحبا" };
            self.hooks.push(Hook {
                at: luck.between(0, 40_000),
                text: format!("طلب {number} {word} hello"),
                patience: if luck.chance(100) { 1 } else { u64::MAX },
            });
        }
    }

    fn write_pages(&mut self, luck: &mut Luck) {
        let (mut at, mut notes): (u64, Vec<(usize, bool)>) = (0, Vec::new());
        for _ in 0..luck.between(0, 4) {
            at += luck.between(100, 10_000);
            let mut changes = Vec::new();
            for _ in 0..luck.between(1, 4) {
                let note = if notes.is_empty() {
                    None
                } else {
                    Some(usize::try_from(luck.next() % notes.len() as u64).unwrap())
                };
                match note.filter(|note| !notes[*note].1 && luck.chance(500)) {
                    Some(note) if luck.chance(500) => {
                        notes[note].1 = true;
                        changes.push(NoteChange::Erased { note });
                    }
                    Some(note) => {
                        notes[note].0 += 1;
                        changes.push(NoteChange::Said {
                            note,
                            revision: notes[note].0,
                        });
                    }
                    None => {
                        changes.push(NoteChange::Said {
                            note: notes.len(),
                            revision: 1,
                        });
                        notes.push((1, false));
                    }
                }
            }
            self.pages.push(Page { at, changes });
        }
    }

    fn strike(&mut self, luck: &mut Luck) {
        for _ in 0..luck.between(0, 4) {
            let at = luck.between(500, LAST);
            let stroke = match luck.between(0, 5) {
                0 => Stroke::Kill,
                1 => Stroke::PowerCut,
                2 => Stroke::Restart,
                3 => Stroke::ErrorAfter(luck.between(1, 60)),
                _ => Stroke::DeathAfter(luck.between(1, 60)),
            };
            self.strokes.push((at, stroke));
        }
        for _ in 0..luck.between(0, 2) {
            let step = i64::try_from(luck.between(1, 40_000)).unwrap();
            let step = if luck.chance(500) { step } else { -step };
            self.strokes.push((luck.between(0, LAST), Stroke::Clock(step)));
        }
        if luck.chance(200) {
            let at = luck.between(0, LAST);
            self.strokes.push((at, Stroke::Full(true)));
            self.strokes.push((at + luck.between(500, 6_000), Stroke::Full(false)));
        }
        if luck.chance(300) {
            self.strokes.push((luck.between(0, LAST), Stroke::Reload));
        }
        self.strokes.sort_by_key(|(at, _)| *at);
    }
}
