//! From the author's traits to the component's exports.

/// Makes the component: `export!(MyChannel: Importer)`, or several capabilities as in `export!(X: Puller, Webhook)`.
/// `export!(MyFigure: Metric)` stands alone: a metric plugin does nothing else.
///
/// The component exports exactly the named capabilities and, except for a metric, `lifecycle`. The file `plugin.toml` beside the crate's
/// `Cargo.toml` goes into the custom section `mihwar:manifest`, the SDK's version into `mihwar:sdk`. A native build
/// only checks that the traits are implemented.
#[macro_export]
macro_rules! export {
    ($plugin:ident : Metric $(,)?) => {
        const _: () = {
            const fn implements<T: $crate::Metric>() {}
            implements::<$plugin>();
        };

        $crate::__embed!();
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::figure::export!($plugin with_types_in $crate::bindings::figure);
    };
    ($plugin:ident : $($capability:ident),+ $(,)?) => {
        $(
            const _: () = {
                const fn implements<T: $crate::$capability>() {}
                implements::<$plugin>();
            };
        )+

        $crate::__embed!();
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::lifecycle::export!($plugin with_types_in $crate::bindings::lifecycle);
        $( $crate::__export_capability!($capability $plugin); )+
    };
}

/// What [`export!`] embeds in each component.
#[doc(hidden)]
#[macro_export]
macro_rules! __embed {
    () => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            const MANIFEST: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/plugin.toml"));
            #[unsafe(link_section = "mihwar:manifest")]
            pub static SECTION: [u8; MANIFEST.len()] =
                *include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/plugin.toml"));
        };

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            #[unsafe(link_section = "mihwar:sdk")]
            pub static SECTION: [u8; $crate::STAMP.len()] = $crate::STAMP;
        };
    };
}

/// One capability of [`export!`].
#[doc(hidden)]
#[macro_export]
macro_rules! __export_capability {
    (Importer $plugin:ident) => {
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::importer::export!($plugin with_types_in $crate::bindings::importer);
    };
    (Puller $plugin:ident) => {
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::puller::export!($plugin with_types_in $crate::bindings::puller);
    };
    (Webhook $plugin:ident) => {
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::webhook::export!($plugin with_types_in $crate::bindings::webhook);
    };
    (Processor $plugin:ident) => {
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::processor::export!($plugin with_types_in $crate::bindings::processor);
    };
    (Destination $plugin:ident) => {
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::destination::export!($plugin with_types_in $crate::bindings::destination);
    };
    (Metric $plugin:ident) => {
        compile_error!("a `Metric` gets facts and nothing else: it cannot have other capabilities besides");
    };
    ($other:ident $plugin:ident) => {
        compile_error!(concat!(
            "`", stringify!($other), "` is no capability: use Importer, Puller, Webhook, Processor, Destination or Metric"
        ));
    };
}

const STAMP_TEXT: &str = concat!("rust ", env!("CARGO_PKG_VERSION"), " contract 0.1");

/// Content of the custom section `mihwar:sdk`, which the hub reads before it compiles the component.
#[doc(hidden)]
pub const STAMP: [u8; STAMP_TEXT.len()] = match STAMP_TEXT.as_bytes().first_chunk() {
    Some(bytes) => *bytes,
    None => [0; STAMP_TEXT.len()],
};

/// The exported functions: each opens the door to the hub, reads the settings and calls the author's trait.
#[cfg(target_arch = "wasm32")]
mod guests {
    use super::without_registry;
    use crate::bindings::host::mihwar::plugin::{config, log};
    use crate::bindings::{destination, importer, lifecycle, processor, puller, webhook};
    use crate::door::Door;
    use crate::{
        Ack, ConfigProblem, Delivery, Destination, Health, Host, ImportPage, ImportRequest, Importer, InboundRequest,
        Outcome, Plugin, PluginError, Processor, PullPage, PullRequest, Puller, StoredFeedback, Verdict, Webhook,
        parse_settings, settings_schema,
    };

    fn enter() -> Host {
        std::panic::set_hook(Box::new(|panic| {
            let message = panic.payload_as_str().unwrap_or("panic without a message");
            let place = panic
                .location()
                .map(|at| format!("{}:{}:{}", without_registry(at.file()), at.line(), at.column()));
            log::panicked(message, &place.unwrap_or_default());
        }));
        Host::new(Door)
    }

    fn settings<P: Plugin>() -> Result<P::Settings, PluginError> {
        parse_settings(&config::get())
    }

    impl<P: Plugin> lifecycle::exports::mihwar::plugin::lifecycle::Guest for P {
        fn settings_schema() -> String {
            enter();
            settings_schema::<P::Settings>()
        }

        fn validate() -> Result<Vec<ConfigProblem>, PluginError> {
            enter();
            match settings::<P>() {
                Ok(settings) => Ok(P::validate(&settings)),
                Err(PluginError::Misconfigured(problems)) => Ok(problems),
                Err(other) => Err(other),
            }
        }

        fn check() -> Result<Health, PluginError> {
            P::check(&enter(), &settings::<P>()?)
        }

        fn migrate(previous_version: String) -> Result<(), PluginError> {
            P::migrate(&enter(), &previous_version)
        }
    }

    impl<P: Importer> importer::exports::mihwar::plugin::importer::Guest for P {
        fn read(request: ImportRequest) -> Result<ImportPage, PluginError> {
            P::read(&enter(), &settings::<P>()?, request)
        }
    }

    impl<P: Puller> puller::exports::mihwar::plugin::puller::Guest for P {
        fn pull(request: PullRequest) -> Result<PullPage, PluginError> {
            P::pull(&enter(), &settings::<P>()?, request)
        }
    }

    impl<P: Webhook> webhook::exports::mihwar::plugin::webhook::Guest for P {
        fn handle(request: InboundRequest) -> Result<Outcome, PluginError> {
            P::handle(&enter(), &settings::<P>()?, request)
        }
    }

    impl<P: Processor> processor::exports::mihwar::plugin::processor::Guest for P {
        fn process(items: Vec<StoredFeedback>) -> Result<Vec<Verdict>, PluginError> {
            P::process(&enter(), &settings::<P>()?, items)
        }
    }

    impl<P: Destination> destination::exports::mihwar::plugin::destination::Guest for P {
        fn deliver(batch: Vec<Delivery>) -> Result<Vec<Ack>, PluginError> {
            P::deliver(&enter(), &settings::<P>()?, batch)
        }
    }
}

/// The exported functions of a metric plugin. What it counts lives in its instance, which is made for one figure.
#[cfg(target_arch = "wasm32")]
mod figures {
    use std::any::Any;
    use std::cell::RefCell;

    use crate::Metric;
    use crate::bindings::figure::exports::mihwar::plugin::figure::{Batch, Definition, Guest, Outcome};
    use crate::figure::feed;

    thread_local! {
        static COUNTING: RefCell<Option<Box<dyn Any>>> = const { RefCell::new(None) };
    }

    fn with<M: Metric, T>(work: impl FnOnce(&mut M) -> T) -> T {
        COUNTING.with_borrow_mut(|counting| {
            let metric = counting.get_or_insert_with(|| -> Box<dyn Any> { Box::new(M::default()) });
            match metric.downcast_mut::<M>() {
                Some(metric) => work(metric),
                // A component has one metric: this is never reached.
                None => work(&mut M::default()),
            }
        })
    }

    impl<M: Metric> Guest for M {
        fn define() -> Definition {
            M::definition()
        }

        fn add(batch: Batch) {
            with(|metric: &mut M| feed(metric, &batch));
        }

        fn finish() -> Outcome {
            with(|metric: &mut M| metric.finish())
        }
    }
}

/// The path of a dependency's source without the folder of the machine that built it.
#[cfg(any(target_arch = "wasm32", test))]
fn without_registry(path: &str) -> &str {
    match path
        .split_once("/registry/src/")
        .and_then(|(_, rest)| rest.split_once('/'))
    {
        Some((_, in_crate)) => in_crate,
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_panic_names_no_machine() {
        assert_eq!(
            without_registry("/home/a/.cargo/registry/src/index-1/csv-1.4.0/src/x.rs"),
            "csv-1.4.0/src/x.rs"
        );
        assert_eq!(without_registry("plugins/form/src/lib.rs"), "plugins/form/src/lib.rs");
    }

    #[test]
    fn the_stamp_names_language_version_and_contract() {
        assert_eq!(str::from_utf8(&STAMP).unwrap(), STAMP_TEXT);
    }
}
