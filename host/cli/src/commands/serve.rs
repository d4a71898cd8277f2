//! `mihwar serve`: run the hub.

use std::net::SocketAddr;

use anyhow::Context;
use mihwar_hub::{Config, Doors, Hub};
use mihwar_server::{ConsoleSocket, Listeners, Metrics};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{load_config, start_log, upgrade};
use crate::args::Global;
use crate::client::socket_path;
use crate::output::{Outcome, line};

/// Runs the hub until it is told to stop (SIGTERM or SIGINT). A second signal does not wait for what the first one lets
/// end: open exchanges, work that was begun, the store.
pub(super) async fn run(global: &Global, listen: Option<SocketAddr>) -> anyhow::Result<Outcome> {
    let further: Vec<_> = listen
        .iter()
        .map(|address| ("server.listen".to_owned(), address.to_string()))
        .collect();
    let config = load_config(global, &further)?;
    start_log(&config.log)?;
    // Before the hub opens, so that its first writes are counted too.
    let metrics = Metrics::install()?;
    let stop = Stop::listen()?;
    tokio::select! {
        ended = open_and_serve(config, metrics, &stop.asked) => ended.map(|()| Outcome::Done),
        () = stop.insisted.cancelled() => {
            anyhow::bail!("stopped at once, as asked a second time; what was acknowledged is safe")
        }
    }
}

/// Upgrades the data folder if need be, opens the hub, serves it until `stop`, and closes it.
async fn open_and_serve(config: Config, metrics: Metrics, stop: &CancellationToken) -> anyhow::Result<()> {
    tokio::select! {
        upgraded = upgrade::bring(&config) => upgraded.map(drop)?,
        () = stop.cancelled() => anyhow::bail!("stopped while the data folder was being upgraded; the next start goes on there"),
    }
    let hub = Hub::open(config, Doors::real()).await?;
    let served = serve(&hub, metrics, stop).await;
    tracing::info!("stopping: what was accepted is finished or kept for the next start");
    let closed = hub.close().await;
    closed.context("the store was not closed cleanly; what was acknowledged is safe")?;
    served
}

async fn serve(hub: &Hub, metrics: Metrics, stop: &CancellationToken) -> anyhow::Result<()> {
    let config = hub.config();
    let (address, socket) = (config.listen, socket_path(&config));
    let tcp = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; set server.listen, or give --listen with another port")
    })?;
    let console = ConsoleSocket::bind(&socket).with_context(|| socket.display().to_string())?;
    let bound = tcp.local_addr()?;
    hub.start();
    line(format_args!("mihwar is ready on http://{bound}"))?;
    tracing::info!(address = %bound, data = %config.data.display(), "ready");
    let listeners = Listeners {
        tcp,
        console: Some(console),
    };
    mihwar_server::serve(hub.clone(), metrics, listeners, stop.cancelled()).await;
    Ok(())
}

/// What the signals say.
struct Stop {
    /// The first: stop when everything is in order.
    asked: CancellationToken,
    /// The second: do not wait for that.
    insisted: CancellationToken,
}

impl Stop {
    /// Listens from here on.
    fn listen() -> anyhow::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stop = Self {
            asked: CancellationToken::new(),
            insisted: CancellationToken::new(),
        };
        let told = [stop.asked.clone(), stop.insisted.clone()];
        tokio::spawn(async move {
            for next in told {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                next.cancel();
            }
        });
        Ok(stop)
    }
}
