//! A server that is not the library's own, whose connections `Background::connection` has wrapped.

use std::{pin::pin, time::Duration};

use axum::{Router, serve::Listener};
use bg_runtime::Background;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};

use crate::recorded_io::RecordedListener;

/// Serves with hyper-util until `stop`, and then until the connections have ended, or for 10 seconds.
pub async fn serve_connections(
    background: Background,
    mut listener: RecordedListener,
    app: Router,
    stop: impl Future<Output = ()>,
) {
    let connections = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let (io, _client) = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let (io, app) = background.connection(io, app.clone());
        let builder = auto::Builder::new(TokioExecutor::new());
        let service = TowerToHyperService::new(app);
        let served = builder.serve_connection(TokioIo::new(io), service);
        let served = connections.watch(served.into_owned());
        tokio::spawn(async move {
            // A client that leaves is seen there.
            let _ = served.await;
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(Duration::from_secs(10), connections.shutdown()).await;
}
