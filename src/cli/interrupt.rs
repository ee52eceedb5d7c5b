//! Ctrl-C during long work: the work ends itself and takes back what it began.

use anyhow::{Context, Result};

use crate::engine::backups::Cancel;

/// From now on the first signal to end cancels the work; the second ends the process.
pub(super) fn cancels(work: &Cancel) -> Result<()> {
    let work = work.clone();
    let (listening, ready) = std::sync::mpsc::channel();
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async {
                let Ok(mut signals) = Signals::listen() else { return };
                let _ = listening.send(());
                signals.next().await;
                work.cancel();
                signals.next().await;
                std::process::exit(1);
            });
        })
        .context("no thread could be started")?;
    // Without signals the work is still good; a kill then leaves a `.part`, which the next run takes away.
    let _ = ready.recv();
    Ok(())
}

struct Signals {
    #[cfg(unix)]
    all: [tokio::signal::unix::Signal; 3],
}

impl Signals {
    #[cfg(unix)]
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let all = [
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::hangup())?,
        ];
        Ok(Self { all })
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        let [terminate, interrupt, hangup] = &mut self.all;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    }

    #[cfg(not(unix))]
    #[allow(clippy::unnecessary_wraps, reason = "as on the other systems")]
    fn listen() -> std::io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
