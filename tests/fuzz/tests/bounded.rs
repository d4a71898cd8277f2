//! Every target for a fixed number of inputs from a fixed seed: the same ones in every run.

use mihwar_fuzz::{Budget, TARGETS, run, tidy_up};

/// One test, because memory is counted for the whole process.
#[test]
fn no_target_finds_anything_in_its_bounded_run() {
    for target in TARGETS {
        let inputs = target.bounded_inputs / 12;
        let report = run(target, 20_261_122, Budget::Inputs(inputs));
        assert_eq!(report.executions, inputs, "{}: {:?}", target.name, report.findings);
        if let Some(finding) = report.findings.first() {
            panic!(
                "{}: {}\ninput: {:?}",
                target.name,
                finding.what,
                String::from_utf8_lossy(&finding.input)
            );
        }
    }
    tidy_up();
}
