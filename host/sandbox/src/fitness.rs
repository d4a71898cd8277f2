//! Whether this hub can run a plugin, as far as its file tells.

use crate::contract::CONTRACT;
use crate::inspect::Inspection;
use crate::load::LoadError;
use crate::manifest::contract_parts;
use crate::offered;
use crate::plugin::Capability;

/// What is wrong with a plugin that nobody could call.
pub(crate) const OFFERS_NOTHING: &str = "it exports none of importer, puller, webhook, processor, destination";

impl Inspection {
    /// Checks that this hub serves the contract that the plugin was built for, offers every interface that it
    /// uses, and would find something to call in it. Nothing is compiled or run: functions of another shape
    /// and code that the engine refuses show only when the plugin is loaded.
    ///
    /// # Errors
    /// [`LoadError::Contract`], [`LoadError::MissingImports`] or [`LoadError::Shape`], as loading would say.
    pub fn fitness(&self) -> Result<(), LoadError> {
        check_contract(&self.manifest.plugin.contract)?;
        let missing = offered::missing(&self.imports);
        if !missing.is_empty() {
            return Err(LoadError::MissingImports(missing));
        }
        let exports = |interface: &str| self.exports.iter().any(|name| offered::served(name) == Some(interface));
        if !exports("lifecycle") {
            return Err(LoadError::Shape("every plugin exports `lifecycle`".to_owned()));
        }
        if !Capability::ALL.iter().any(|capability| exports(capability.interface())) {
            return Err(LoadError::Shape(OFFERS_NOTHING.to_owned()));
        }
        Ok(())
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

    #[test]
    fn a_plugin_for_this_hub_is_fit() {
        let imports = ["mihwar:plugin/log@0.1.0", "wasi:io/poll@0.2.6"];
        assert!(inspection(CONTRACT, &imports, &[LIFECYCLE, PULLER]).fitness().is_ok());
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
            (fault(CONTRACT, &["mihwar:plugin/net@0.1.0"], &both), "net@0.1.0"),
            (fault(CONTRACT, &[], &[PULLER]), "`lifecycle`"),
            (fault(CONTRACT, &[], &[LIFECYCLE]), "destination"),
            (
                fault(CONTRACT, &[], &[LIFECYCLE, "mihwar:plugin/puller@0.2.0"]),
                "exports none",
            ),
        ] {
            assert!(fault.contains(word), "{word}: {fault}");
        }
    }
}
