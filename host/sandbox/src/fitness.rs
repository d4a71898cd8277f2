//! Whether this hub can run a plugin, as far as its file tells.

use crate::contract::CONTRACT;
use crate::figures;
use crate::inspect::Inspection;
use crate::load::LoadError;
use crate::manifest::contract_parts;
use crate::offered;
use crate::plugin::Capability;

/// What is wrong with a plugin that nobody could call.
pub(crate) const OFFERS_NOTHING: &str = "it exports none of importer, puller, webhook, processor, destination, figure";

impl Inspection {
    /// Checks that this hub serves the contract that the plugin was built for, offers every interface that it
    /// uses, and would find something to call in it. Nothing is compiled or run: functions of another shape
    /// and code that the engine refuses show only when the plugin is loaded.
    ///
    /// # Errors
    /// [`LoadError::Contract`], [`LoadError::MissingImports`], [`LoadError::Forbidden`] or [`LoadError::Shape`], as loading
    /// would say.
    pub fn fitness(&self) -> Result<(), LoadError> {
        check_contract(&self.manifest.plugin.contract)?;
        if self.is_metric() {
            return self.fitness_of_metric();
        }
        let missing = offered::missing(&self.imports);
        if !missing.is_empty() {
            return Err(LoadError::MissingImports(missing));
        }
        if !self.exports("lifecycle") {
            return Err(LoadError::Shape("every plugin exports `lifecycle`".to_owned()));
        }
        if !Capability::ALL
            .iter()
            .any(|capability| self.exports(capability.interface()))
        {
            return Err(LoadError::Shape(OFFERS_NOTHING.to_owned()));
        }
        Ok(())
    }

    /// Whether it makes figures.
    #[must_use]
    pub fn is_metric(&self) -> bool {
        self.exports(Capability::Measure.interface())
    }

    fn exports(&self, interface: &str) -> bool {
        self.exports.iter().any(|name| offered::served(name) == Some(interface))
    }

    /// A metric plugin offers its figure alone, and uses nothing that could differ from one machine to another.
    fn fitness_of_metric(&self) -> Result<(), LoadError> {
        let forbidden = figures::forbidden(&self.imports);
        if !forbidden.is_empty() {
            return Err(LoadError::Forbidden(forbidden));
        }
        let figure = Capability::Measure.interface();
        let others = self.exports.iter().filter_map(|name| offered::served(name));
        let others: Vec<&str> = others.filter(|interface| *interface != figure).collect();
        if others.is_empty() {
            return Ok(());
        }
        Err(LoadError::Shape(format!(
            "a metric plugin exports `{figure}` alone; this one also exports {}",
            others.join(", ")
        )))
    }
}

fn check_contract(built_for: &str) -> Result<(), LoadError> {
    let (Some(wants), Some(offers)) = (contract_parts(built_for), contract_parts(CONTRACT)) else {
        return Err(LoadError::Shape(format!("`{built_for}` is no contract version")));
    };
    // Within major 0 every minor may break.
    let fits = if offers.0 == 0 {
        wants == offers
    } else {
        wants.0 == offers.0 && wants.1 <= offers.1
    };
    if fits {
        return Ok(());
    }
    Err(LoadError::Contract {
        built_for: built_for.to_owned(),
        offered: CONTRACT,
        advice: if wants > offers {
            "Update the hub, or take an older version of the plugin"
        } else {
            "Take a newer version of the plugin"
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;

    /// What a file with these imports and exports would be read as.
    fn inspection(contract: &str, imports: &[&str], exports: &[&str]) -> Inspection {
        let manifest = Manifest::parse(&format!(
            "[plugin]\nid = \"tally\"\nversion = \"1.0.0\"\nname = \"عدّاد\"\ncontract = \"{contract}\"\n"
        ))
        .unwrap();
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Inspection {
            manifest,
            sha256: String::new(),
            hash: [0; 32],
            size: 0,
            exports: list(exports),
            imports: list(imports),
            sdk: None,
        }
    }

    const LIFECYCLE: &str = "mihwar:plugin/lifecycle@0.1.0";
    const PULLER: &str = "mihwar:plugin/puller@0.1.0";
    const FIGURE: &str = "mihwar:plugin/figure@0.1.0";

    #[test]
    fn a_plugin_for_this_hub_is_fit() {
        let imports = ["mihwar:plugin/log@0.1.0", "wasi:io/poll@0.2.6"];
        assert!(inspection(CONTRACT, &imports, &[LIFECYCLE, PULLER]).fitness().is_ok());
    }

    #[test]
    fn a_metric_plugin_that_asks_for_more_than_facts_is_told_what() {
        let runtime = [
            "wasi:cli/environment@0.2.6",
            "wasi:cli/terminal-stderr@0.2.6",
            "wasi:io/streams@0.2.6",
        ];
        assert!(inspection(CONTRACT, &runtime, &[FIGURE]).fitness().is_ok());
        for (import, word) in [
            ("wasi:clocks/wall-clock@0.2.6", "a clock (wasi:clocks/wall-clock@0.2.6)"),
            ("mihwar:plugin/clock@0.1.0", "a clock (mihwar:plugin/clock@0.1.0)"),
            ("wasi:random/insecure-seed@0.2.6", "random numbers"),
            ("wasi:filesystem/types@0.2.6", "files"),
            ("mihwar:plugin/http@0.1.0", "the network"),
            ("mihwar:plugin/net@0.1.0", "the network"),
            ("mihwar:plugin/state@0.1.0", "`state`"),
            ("mihwar:plugin/log@0.1.0", "`log`"),
            ("wasi:cli/command@0.2.6", "`wasi:cli/command@0.2.6`"),
            ("env", "`env`"),
        ] {
            let fault = inspection(CONTRACT, &[runtime[0], import], &[FIGURE])
                .fitness()
                .unwrap_err();
            assert!(matches!(fault, LoadError::Forbidden(_)), "{import}: {fault}");
            assert!(fault.to_string().contains(word), "{import}: {fault}");
        }
    }

    #[test]
    fn what_does_not_fit_is_found_without_running_anything() {
        let fault = |contract, imports: &[&str], exports: &[&str]| {
            inspection(contract, imports, exports)
                .fitness()
                .unwrap_err()
                .to_string()
        };
        let both = [LIFECYCLE, PULLER];
        for (fault, word) in [
            (fault("0.9", &[], &both), "Update the hub"),
            (fault("0.0", &[], &both), "newer version of the plugin"),
            (
                fault(CONTRACT, &["mihwar:plugin/telepathy@0.1.0"], &both),
                "telepathy@0.1.0",
            ),
            (fault(CONTRACT, &[], &[PULLER]), "`lifecycle`"),
            (fault(CONTRACT, &[], &[LIFECYCLE]), "destination"),
            (fault(CONTRACT, &[], &[LIFECYCLE, FIGURE]), "also exports lifecycle"),
            (
                fault(CONTRACT, &[], &[LIFECYCLE, "mihwar:plugin/puller@0.2.0"]),
                "exports none",
            ),
        ] {
            assert!(fault.contains(word), "{word}: {fault}");
        }
    }
}
