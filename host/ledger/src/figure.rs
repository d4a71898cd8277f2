//! Receipts of figures: what somebody needs, besides the ledger's entries and the module, to make a figure again and compare
//! the digits.

use serde::{Deserialize, Serialize};

use crate::consistency::{self, EvidenceError};
use crate::document::{self, DocumentError};
use crate::{Checkpoint, SignedNote, VerifyingKey};

/// What the key `format` of a figure's receipt says.
pub const FIGURE_FORMAT: &str = "mihwar-figure/2";
/// Groups that one receipt may have.
pub const MAX_FIGURE_GROUPS: usize = 1_000;

/// A figure, of which ledger it is, and by which module it was made. Nothing in it needs to be believed: whoever has the
/// module and the entries makes it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FigureReceipt {
    /// The instance that made it.
    pub metric: String,
    /// The module.
    pub module: FigureModule,
    /// What the module had while it counted.
    pub limits: FigureLimits,
    /// What the module says that it computes.
    pub definition: FigureDefinition,
    /// The key that the ledger says is its own. Whoever checks takes it from elsewhere.
    pub key: VerifyingKey,
    /// The checkpoint of the ledger that the figure is of, with every cosignature.
    pub checkpoint: SignedNote,
    /// What was chosen from it.
    pub selection: FigureSelection,
    /// The figures. At most [`MAX_FIGURE_GROUPS`], by name.
    pub groups: Vec<FigureGroup>,
}

/// The plugin file that made a figure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FigureModule {
    /// The plugin's id.
    pub plugin: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
}

/// What a module may use for one group. How long it may take is not among it: that changes no digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FigureLimits {
    /// Bytes of linear memory, all memories together.
    pub memory: u64,
    /// Elements of all tables together.
    pub table: u64,
}

/// What a module computes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FigureDefinition {
    /// Its name.
    pub id: String,
    /// Counts up whenever the same facts would give other digits.
    pub version: String,
    /// In one sentence.
    pub statement: String,
    /// What the value is measured in.
    pub unit: String,
}

/// What was chosen from the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FigureSelection {
    /// Records of this time or later: RFC 3339 in UTC.
    pub from: String,
    /// … and of before this time.
    pub to: String,
    /// By what they are grouped; nothing for all together.
    pub by: Option<String>,
    /// Records of the period that count.
    pub records: u64,
    /// Records of the period that their source withdrew: they do not count.
    pub withdrawn: u64,
    /// Records among those that count whose first revision said otherwise: another score, kind, channel or time.
    pub revised: u64,
    /// Records of which an earlier revision was of the period and the newest is not, or has no score any more.
    pub moved: u64,
}

/// The figure of one group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FigureGroup {
    /// What its records share; `all` for all together.
    pub name: String,
    /// Its records.
    pub records: u64,
    /// The answers among them.
    pub n: u64,
    /// Records among those of the group whose first revision said otherwise: another score, kind, channel or time.
    pub revised: u64,
    /// Records of which an earlier revision was of this group and the newest is not, or has no score any more.
    pub moved: u64,
    /// The figure as decimal digits; nothing where there are too few answers.
    pub value: Option<String>,
    /// Where the true value lies.
    pub interval: Option<FigureInterval>,
    /// What it is made of.
    pub parts: Vec<FigurePart>,
}

/// An interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FigureInterval {
    /// Its lower end.
    pub low: String,
    /// Its upper end.
    pub high: String,
    /// Of how many percent.
    pub level: String,
    /// How it was computed.
    pub method: String,
}

/// A named part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FigurePart {
    /// Its name.
    pub name: String,
    /// Its number as decimal digits.
    pub value: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    format: String,
    metric: String,
    module: FigureModule,
    limits: FigureLimits,
    definition: FigureDefinition,
    verifier_key: String,
    checkpoint: String,
    size: u64,
    root: String,
    selection: FigureSelection,
    groups: Vec<FigureGroup>,
}

impl FigureReceipt {
    /// The document.
    ///
    /// # Errors
    /// When the checkpoint is none; else it cannot fail in practice: every part has a JSON form.
    pub fn to_json(&self) -> Result<String, DocumentError> {
        let head = self.head()?;
        let wire = Wire {
            format: FIGURE_FORMAT.to_owned(),
            metric: self.metric.clone(),
            module: self.module.clone(),
            limits: self.limits,
            definition: self.definition.clone(),
            verifier_key: self.key.to_string(),
            checkpoint: self.checkpoint.to_string(),
            size: head.size,
            root: head.root.to_base64(),
            selection: self.selection.clone(),
            groups: self.groups.clone(),
        };
        document::write(&wire, false)
    }

    /// Reads what [`FigureReceipt::to_json`] wrote. Nothing is verified yet but that size and root are those of the checkpoint.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn from_json(text: &[u8]) -> Result<Self, DocumentError> {
        let wire: Wire = document::read(text, FIGURE_FORMAT)?;
        let groups = wire.groups.len();
        if groups > MAX_FIGURE_GROUPS {
            let why = format!("{groups} of them, but a receipt has at most {MAX_FIGURE_GROUPS}");
            return Err(DocumentError::field("groups", why));
        }
        let digits = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
        if wire.module.sha256.len() != 64 || !wire.module.sha256.bytes().all(digits) {
            return Err(DocumentError::field("module.sha256", "not 64 hexadecimal digits"));
        }
        let receipt = Self {
            metric: wire.metric,
            module: wire.module,
            limits: wire.limits,
            definition: wire.definition,
            key: document::key(&wire.verifier_key)?,
            checkpoint: document::note("checkpoint", &wire.checkpoint)?,
            selection: wire.selection,
            groups: wire.groups,
        };
        let head = receipt.head()?;
        if wire.size != head.size {
            return Err(DocumentError::field("size", "not that of the checkpoint"));
        }
        if document::hash("root", &wire.root)? != head.root {
            return Err(DocumentError::field("root", "not that of the checkpoint"));
        }
        Ok(receipt)
    }

    /// What the checkpoint says. Its signature is not verified by it.
    ///
    /// # Errors
    /// When the note is no checkpoint.
    pub fn head(&self) -> Result<Checkpoint, DocumentError> {
        Checkpoint::from_text(self.checkpoint.text()).map_err(|error| DocumentError::field("checkpoint", error))
    }

    /// Checks that `key` signed the checkpoint, and answers it. The figure is checked by making it again.
    ///
    /// # Errors
    /// [`EvidenceError::Checkpoint`]: the receipt shows nothing then.
    pub fn verify(&self, key: &VerifyingKey) -> Result<Checkpoint, EvidenceError> {
        consistency::open("receipt's", &self.checkpoint, key)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        FigureDefinition, FigureGroup, FigureInterval, FigureLimits, FigureModule, FigurePart, FigureReceipt,
        FigureSelection,
    };
    use crate::{Checkpoint, DocumentError, Hash, Signer};

    const ORIGIN: &str = "محور.example/ledger";

    fn signer(seed: u8) -> Signer {
        Signer::from_seed(ORIGIN, &[seed; 32]).unwrap()
    }

    fn receipt() -> FigureReceipt {
        let checkpoint = Checkpoint {
            origin: ORIGIN.to_owned(),
            size: 12,
            root: Hash::of_empty_tree(),
            extensions: Vec::new(),
        };
        FigureReceipt {
            metric: "رضا".into(),
            module: FigureModule {
                plugin: "stars".into(),
                version: "1.0.0".into(),
                sha256: "ab".repeat(32),
            },
            limits: FigureLimits {
                memory: 64 << 20,
                table: 20_000,
            },
            definition: FigureDefinition {
                id: "stars".into(),
                version: "1".into(),
                statement: "متوسط النجوم".into(),
                unit: "stars".into(),
            },
            key: signer(7).verifying_key(),
            checkpoint: checkpoint.sign(&signer(7)).unwrap(),
            selection: FigureSelection {
                from: "2026-01-01T00:00:00.000Z".into(),
                to: "2026-02-01T00:00:00.000Z".into(),
                by: None,
                records: 4,
                withdrawn: 1,
                revised: 2,
                moved: 1,
            },
            groups: vec![FigureGroup {
                name: "all".into(),
                records: 4,
                n: 3,
                revised: 2,
                moved: 1,
                value: Some("4.33".into()),
                interval: Some(FigureInterval {
                    low: "3.00".into(),
                    high: "5.00".into(),
                    level: "95".into(),
                    method: "exact".into(),
                }),
                parts: vec![FigurePart {
                    name: "five".into(),
                    value: "2".into(),
                }],
            }],
        }
    }

    #[test]
    fn a_receipt_is_the_same_after_its_text() {
        let receipt = receipt();
        let text = receipt.to_json().unwrap();
        assert_eq!(FigureReceipt::from_json(text.as_bytes()), Ok(receipt.clone()));
        assert_eq!(receipt.verify(&receipt.key).unwrap().size, 12);
        assert!(receipt.verify(&signer(8).verifying_key()).is_err());
    }

    #[test]
    fn a_damaged_cut_or_foreign_text_is_refused_with_a_reason() {
        let text = receipt().to_json().unwrap();
        let refused = |text: &str| FigureReceipt::from_json(text.as_bytes()).unwrap_err();
        for cut in [1, text.len() / 3, text.len() - 3] {
            let cut = text.floor_char_boundary(cut);
            assert!(
                matches!(refused(text.get(..cut).unwrap()), DocumentError::Cut { .. }),
                "{cut}"
            );
        }
        for (from, to, word) in [
            ("\"size\": 12", "\"size\": 13", "size: not that of the checkpoint"),
            ("\"root\": \"", "\"root\": \"x", "root"),
            (&"ab".repeat(32), "AB", "module.sha256"),
            ("\"n\": 3", "\"n\": -3", "damaged"),
            ("\"records\": 4", "\"record\": 4", "damaged"),
            ("\"table\": 20000", "\"tables\": 20000", "damaged"),
            ("\"memory\": 67108864", "\"memory\": -1", "damaged"),
            ("\"moved\": 1", "\"mover\": 1", "damaged"),
            ("mihwar-figure/2", "mihwar-figure/3", "use a newer one"),
            ("mihwar-figure/2", "mihwar-figure/1", "have it made again"),
            ("mihwar-figure/2", "mihwar-figure/0", "have it made again"),
            ("mihwar-figure/2", "mihwar-receipt/2", "not of the format"),
        ] {
            let other = text.replacen(from, to, 1);
            assert_ne!(other, text, "{from}");
            let error = refused(&other).to_string();
            assert!(error.contains(word), "{from}: {error}");
        }
        assert!(matches!(refused("نص"), DocumentError::NotJson { .. }));
        assert!(matches!(refused("{}"), DocumentError::Foreign { .. }));
    }
}
