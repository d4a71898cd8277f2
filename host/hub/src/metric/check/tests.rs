//! What is compared of a figure that was made again.

use mihwar_ledger::{
    Checkpoint, FigureDefinition, FigureGroup, FigureInterval, FigureLimits, FigureModule, FigurePart, FigureReceipt,
    FigureSelection, Hash, Signer,
};

use super::{TABLE_MAX, check_limits, compare, compare_counts};
use crate::metric::measuring::Measured;

fn group(name: &str, value: &str) -> FigureGroup {
    let part = |name: &str| FigurePart {
        name: name.to_owned(),
        value: "5".to_owned(),
    };
    FigureGroup {
        name: name.to_owned(),
        records: 10,
        n: 10,
        revised: 0,
        moved: 0,
        value: Some(value.to_owned()),
        interval: Some(FigureInterval {
            low: "1".into(),
            high: "9".into(),
            level: "95".into(),
            method: "exact".into(),
        }),
        parts: vec![part("promoters"), part("detractors")],
    }
}

fn measured() -> Measured {
    Measured {
        definition: FigureDefinition {
            id: "nps".into(),
            version: "1".into(),
            statement: "صافي نقاط الترويج".into(),
            unit: "points".into(),
        },
        groups: vec![group("بريد", "10.000"), group("نموذج", "-20.000")],
    }
}

/// What is found in a receipt that was doctored like this.
fn found(doctor: impl FnOnce(&mut FigureReceipt)) -> Vec<String> {
    let signer = Signer::from_seed("محور.example/ledger", &[7; 32]).unwrap();
    let checkpoint = Checkpoint {
        origin: "محور.example/ledger".to_owned(),
        size: 0,
        root: Hash::of_empty_tree(),
        extensions: Vec::new(),
    };
    let Measured { definition, groups } = measured();
    let mut receipt = FigureReceipt {
        metric: "nps".into(),
        module: FigureModule {
            plugin: "nps".into(),
            version: "0.1.0".into(),
            sha256: "ab".repeat(32),
        },
        limits: FigureLimits {
            memory: 64 << 20,
            table: 20_000,
        },
        definition,
        key: signer.verifying_key(),
        checkpoint: checkpoint.sign(&signer).unwrap(),
        selection: FigureSelection {
            from: String::new(),
            to: String::new(),
            by: Some("channel".into()),
            records: 20,
            withdrawn: 0,
            revised: 0,
            moved: 0,
        },
        groups,
    };
    doctor(&mut receipt);
    let mut differences = Vec::new();
    compare(&receipt, &measured(), &mut differences);
    differences
}

#[test]
fn the_same_figure_differs_in_nothing_and_another_digit_is_named() {
    assert_eq!(found(|_| {}), Vec::<String>::new());
    assert_eq!(
        found(|receipt| receipt.groups[1].value = Some("20.000".into())),
        ["نموذج: value: the receipt says 20.000, here it is -20.000"]
    );
}

#[test]
fn limits_are_those_of_the_receipt_up_to_a_bound_that_whoever_checks_sets() {
    let limits = |memory, table| FigureLimits { memory, table };
    let most = 1 << 30;
    assert!(check_limits(limits(most, TABLE_MAX), most).is_ok());
    assert!(check_limits(limits(3 << 30, TABLE_MAX), 3 << 30).is_ok());
    for (asked, said) in [
        (
            limits(3 << 30, 1),
            "3GiB of memory, and the module is given at most 1GiB here: allow more with --memory",
        ),
        (
            limits(1, 100_001),
            "100001 table elements, and no hub gives one more than 100000",
        ),
    ] {
        let refused = check_limits(asked, most).unwrap_err().to_string();
        assert!(refused.contains(said), "{refused}");
    }
}

#[test]
fn hushed_up_changes_are_named() {
    assert_eq!(
        found(|receipt| (receipt.groups[0].revised, receipt.groups[1].moved) = (2, 1)),
        [
            "بريد: revised records: the receipt says 2, here it is 0",
            "نموذج: records that were moved out: the receipt says 1, here it is 0"
        ]
    );
    let told = FigureSelection {
        from: String::new(),
        to: String::new(),
        by: None,
        records: 20,
        withdrawn: 0,
        revised: 3,
        moved: 1,
    };
    let hushed = FigureSelection {
        revised: 0,
        moved: 0,
        ..told.clone()
    };
    let mut differences = Vec::new();
    compare_counts(&hushed, &told, &mut differences);
    assert_eq!(differences.len(), 2, "{differences:?}");
}

#[test]
fn what_only_reads_alike_is_another_figure() {
    // One group with a name like those of both, and digits that nobody computed.
    assert_eq!(
        found(|receipt| receipt.groups = vec![group("بريد, نموذج", "95.000")]).len(),
        1
    );
    assert_eq!(found(|receipt| receipt.groups.swap(0, 1)).len(), 1);
    let merged = found(|receipt| {
        receipt.groups[0].parts = vec![FigurePart {
            name: "promoters 5, detractors".into(),
            value: "5".into(),
        }];
    });
    assert_eq!(merged.len(), 1, "{merged:?}");
    let shifted = found(|receipt| {
        if let Some(interval) = &mut receipt.groups[0].interval {
            (interval.low, interval.high) = ("1 to 9".into(), String::new());
        }
    });
    assert_eq!(shifted.len(), 1, "{shifted:?}");
}
