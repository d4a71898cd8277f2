//! `mihwar serve`: run the hub.

use std::net::SocketAddr;

use anyhow::Context;
use mihwar_hub::{Doors, Hub};
use mihwar_server::{ConsoleSocket, Listeners, Metrics};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{load_config, start_log};
use crate::args::Global;
use crate::client::socket_path;
use crate::output::{Outcome, line};

/// Runs the hub until it is told to stop (SIGTERM or SIGINT; a second one does not wait).
pub(super) async fn run(global: &Global, listen: Option<SocketAddr>) -> anyhow::Result<Outcome> {
    let further: Vec<_> = listen
        .iter()
        .map(|address| ("server.listen".to_owned(), address.to_string()))
        .collect();
    let config = load_config(global, &further)?;
    start_log(&config.log)?;
    // Before the hub opens, so that its first writes are counted too.
    let metrics = Metrics::install()?;
    let (address, socket) = (config.listen, socket_path(&config));
    let mut stop = Stop::listen()?;
    let hub = Hub::open(config, Doors::real()).await?;
    let served = async {
        let tcp = TcpListener::bind(address).await.with_context(|| {
            format!("cannot listen on {address}; set server.listen, or give --listen with another port")
        })?;
        let console = ConsoleSocket::bind(&socket).with_context(|| socket.display().to_string())?;
        let bound = tcp.local_addr()?;
        hub.start();
        line(format_args!("mihwar is ready on http://{bound}"))?;
        tracing::info!(address = %bound, data = %hub.config().data.display(), "ready");
        let listeners = Listeners {
            tcp,
            console: Some(console),
        };
        mihwar_server::serve(hub.clone(), metrics, listeners, stop.wanted()).await;
        anyhow::Ok(())
    }
    .await;
    tracing::info!("stopping: what was accepted is finished or kept for the next start");
    tokio::select! {
        closed = hub.close() => closed.context("the store was not closed cleanly; what was acknowledged is safe")?,
        () = stop.wanted() => anyhow::bail!("stopped at once, as asked a second time; what was acknowledged is safe"),
    }
    served.map(|()| Outcome::Done)
}

struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn wanted(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
